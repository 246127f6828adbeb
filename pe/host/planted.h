/* What can be planted in slots that come and go, here and in pe/node (runtime/base/planted.h). */
#ifndef PE_HOST_PLANTED_H
#define PE_HOST_PLANTED_H

#include "runtime/base/planted.h"

enum host_planted_bug {
    PLANTED_NOTHING,
    PLANTED_NO_EPOCH_CHECK,    /* a frame from before the slot's epoch is taken */
    PLANTED_NOT_MINE_UNHEARD,  /* what the other one did not take is not kept apart */
    PLANTED_NOT_MINE_UNSAID,   /* nor does it say so */
    PLANTED_PICKED_TWICE,      /* old frames are picked again at a later change */
    PLANTED_NO_PICK_OUT,       /* what frames still hold is not sent to the new owner */
    PLANTED_NEWER_FIRST,       /* what was kept apart goes behind what is newer */
    PLANTED_NO_WAITING,        /* a frame of a newer map is taken at once */
    PLANTED_WAITING_LEFT,      /* records that wait do not go along */
    PLANTED_SENT_LEFT,         /* nor does what the slot had sent */
    PLANTED_NO_FORGET,         /* a new generation is compared with the old one */
    PLANTED_NOT_FRESH,         /* an empty partition begins with number 1 */
    PLANTED_OLD_GENERATION,    /* what comes of a generation that is over is taken */
    PLANTED_NOT_ASKED_AGAIN,   /* requests do not go along */
    PLANTED_NO_FLUSH,          /* blocks stay open while where they go changes */
    PLANTED_RUNS_AT_ONCE,      /* what was loaded runs before the map says so */
    PLANTED_CHANGE_UNSEEN,     /* what was copied and changed since goes as it was */
    PLANTED_APPLIED_TOO_EARLY, /* a frame is said to be applied when it is taken in */
    PLANTED_HOST_END = 100
};

#endif
