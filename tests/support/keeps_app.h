/* An app whose states own memory: one a message, one a map and a list; both set timers. */
#ifndef TESTS_SUPPORT_KEEPS_APP_H
#define TESTS_SUPPORT_KEEPS_APP_H

#include <s4/abi.h>

extern const s4_app s4_plugin;

#define KEEPS_REMOVE "remove" /* a word at which its user's instances go */

#endif
