/* Built for a version of the ABI that comes after this node. */
#define RAW_MINOR (S4_ABI_MINOR + 1)
#include "raw.h"
