/* A subscription without its callback. */
#define RAW_HANDLER NULL
#include "raw.h"
