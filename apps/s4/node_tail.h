/* A client's live subscription, for the files node_tail*.c.
 *
 * Of a cluster's output a client follows all of it at the node that it asks:
 *
 *     own slots    --parts-----------.
 *     other nodes  --a Tail each-----+--> what comes next, to the client
 *
 * The first part is of the slots that are here when it begins; each slot that comes later has a
 * part of its own, which ends when it leaves. The older part is read before the newer one, so what
 * comes of one slot at one node is in order.
 */
#ifndef APPS_S4_NODE_TAIL_H
#define APPS_S4_NODE_TAIL_H

#include "apps/s4/node.h"
#include "pe/output/tail.h"

#define TAIL_BATCH_BYTES (256 * KIB) /* of rendered rows in an answer, and at least one row */
#define TAIL_BATCH_ITEMS 1024u
#define TAIL_SIGN_US     1000000

struct tail_part {
    struct tail_part *next;
    struct tail *tail; /* owned */
    bool ended;
};

/* What one other node has of it. */
struct tail_far {
    enum { FAR_NONE, FAR_ADDING, FAR_READING, FAR_CAME, FAR_SILENT, FAR_OVER } state;
    uint64_t incarnation;
    uint64_t number;          /* of the subscription there; 0: none */
    S4__Control__Reply *came; /* not passed on yet; owned */
    bool kept;                /* its rows that were there have not all come */
    bool broken;              /* it was followed, and what it said since is lost */
    uint64_t retry_us;
};

struct node_tail {
    struct node *node;
    struct node_tail *next;
    struct tail *first; /* until it is in `parts` */
    struct tail_part *parts;
    uint64_t number;
    zmq_msg_t peer;
    struct node_sender sender;
    struct request *adding; /* its Tail, until all nodes have it */
    struct request *asked;  /* its TailNext, if one is under way */
    bool added;             /* here */
    bool reading;           /* the job thread has it, and the parts */
    bool gone;              /* as soon as nobody reads */
    bool over;              /* the end was told */
    bool kept;              /* rows that were there have not all come, from here */
    bool tells_caught_up;   /* that all have come, from everywhere */
    atomic_bool app_gone;   /* in a cluster, where parts come and go */
    atomic_bool awake;      /* set by upcalls: look again */
    uint64_t signed_us;
    struct bundle *bundle;

    struct tail_far *far;    /* [MAP_MEMBERS_MAX], owned; NULL: other nodes are not followed */
    struct request *carrier; /* of calls to them; owned, in no list */
    uint32_t turn;           /* of the other nodes; MAP_MEMBERS_MAX: of this one */

    /* Under the node's lock. */
    struct tail_part *came;
    bool lost; /* there was no memory for a part */
};

/* node_tail.c */
/* Answers what was asked, if there is something. */
void tail_look(struct node_tail *tail);
/* What was asked for is answered with this, and the tail goes: now, or when the job thread is done
 * with it. */
void tail_leave(struct node_tail *tail, s4_status status, const char *format, ...) PRINTF(3, 4);
/* All nodes have it: its client is told. */
void tail_added(struct node_tail *tail);

/* node_tail_pack.c: the rest as one answer, when nothing is offered any more. */
void tail_tell_rest(struct node_tail *tail, struct request *asked);

/* node_tail_far.c */
/* At all other nodes; `request` is its Tail. */
s4_status tail_far_begin(struct node_tail *tail, const struct request *request) MUST_USE;
void tail_far_end(struct node_tail *tail);
bool tail_far_is_adding(const struct node_tail *tail);
bool tail_far_has_kept(const struct node_tail *tail);
bool tail_far_is_over(const struct node_tail *tail); /* nothing comes from other nodes any more */
/* Answers what was asked with what came from another node; false: nothing did. */
bool tail_far_answer(struct node_tail *tail) MUST_USE;
/* There may be a newer map, or time has passed. */
void tail_far_step(struct node_tail *tail, uint64_t now_us);

#endif
