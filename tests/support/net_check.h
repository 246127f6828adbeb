/* What two nodes must do over every transport: one body per promise. */
#ifndef TESTS_SUPPORT_NET_CHECK_H
#define TESTS_SUPPORT_NET_CHECK_H

#include "tests/support/ends.h"

void net_check_both_ways(enum ends_kind kind);  /* all blocks, once, in order; all memory back */
void net_check_window(enum ends_kind kind);     /* N frames and not one more */
void net_check_threads(enum ends_kind kind);    /* a thread per node */
void net_check_loss(enum ends_kind kind);       /* a node that goes away is told */
void net_check_wrong_node(enum ends_kind kind); /* another name, a name twice */
void net_check_strangers(enum ends_kind kind);  /* what is no node is refused and does no harm */
void net_check_names(void);                     /* with keys: a name is that of its key */

#endif
