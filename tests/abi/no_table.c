/* A note, and no table. */
#define RAW_NO_TABLE
#include "raw.h"
