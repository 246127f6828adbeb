/* All that a Processing Element needs. See define.h for how an app is put together, context.h for
 * what a callback may do, containers.h for a list, a map and a ring that save themselves. */
#ifndef S4_S4_H
#define S4_S4_H

#include <s4/abi.h>
#include <s4/context.h>
#include <s4/define.h>
#include <s4/status.h>

#endif
