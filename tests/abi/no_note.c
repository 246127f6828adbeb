/* No ELF note. */
#define RAW_NO_NOTE
#include "raw.h"
