/* Two streams of one name. */
#define RAW_SECOND "words"
#include "raw.h"
