/* A table that ends before the last member of version 1.0. */
#define RAW_SIZE (sizeof(s4_app) - sizeof(void *))
#include "raw.h"
