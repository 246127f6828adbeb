/* Its compiler laid the tables out in another way. */
#define RAW_LAYOUT (S4_LAYOUT_SIGNATURE + 1)
#include "raw.h"
