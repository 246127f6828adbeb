/* A stream whose type is no message descriptor. */
#define RAW_TYPE NULL
#include "raw.h"
