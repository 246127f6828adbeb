/* An app that makes too much of everything: fans, and cycles that hold their own or grow. */
#ifndef TESTS_SUPPORT_LOADS_APP_H
#define TESTS_SUPPORT_LOADS_APP_H

#include <s4/abi.h>

extern const s4_app s4_plugin;

#define LOADS_KEYS 1000u /* of the cycles */

#endif
