/* Calls what nobody defines. */
#include "raw.h"

extern int nobody_defines_this(void);
extern int (*const undefined_user)(void);
int (*const undefined_user)(void) = nobody_defines_this;
