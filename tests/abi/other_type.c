/* A handler for another type than its stream carries; the macros would not compile. */
#define RAW_HANDLER_TYPE &abi__line__descriptor
#include "raw.h"
