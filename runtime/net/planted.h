/* What can be planted in sessions (runtime/base/planted.h); tests/sim/net_test.c finds each. */
#ifndef RUNTIME_NET_PLANTED_H
#define RUNTIME_NET_PLANTED_H

#include "runtime/base/planted.h"

enum net_planted_bug {
    PLANTED_NOTHING,
    PLANTED_GAP_UNCHECKED,      /* what is missing is not looked for */
    PLANTED_DAMAGE_UNCHECKED,   /* a block's bytes are not compared */
    PLANTED_ACKED_EARLY,        /* a frame is acknowledged when it is received */
    PLANTED_GOES_ON,            /* a new connection goes on where the old one was */
    PLANTED_CREDIT_FORGOTTEN,   /* a new connection does not tell the credit */
    PLANTED_CREDIT_RELATIVE,    /* credit is added to what there is */
    PLANTED_RESTAMPED,          /* what goes again carries the newest version */
    PLANTED_NOT_MINE_ONCE,      /* what may not have been heard is not said again */
    PLANTED_NOT_MINE_TWICE,     /* HELLO does not tell what was heard, and it is heard again */
    PLANTED_NOT_MINE_LATE,      /* acknowledgements go before it */
    PLANTED_ABSENCE_IS_SILENCE, /* who was away judges the others */
    PLANTED_SILENCE_UNMINDED,   /* a silent connection is kept */
    PLANTED_LANES_TOGETHER,     /* a lane without credit stops the others */
    PLANTED_NET_END
};

#endif
