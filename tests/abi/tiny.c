/* The least plugin by hand; breaks no rule. */
#include "raw.h"
