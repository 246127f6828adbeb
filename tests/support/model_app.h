/* An app that shows every part of the programming model once; what the engine's tests run. */
#ifndef TESTS_SUPPORT_MODEL_APP_H
#define TESTS_SUPPORT_MODEL_APP_H

#include <s4/abi.h>

extern const s4_app s4_plugin;

#endif
