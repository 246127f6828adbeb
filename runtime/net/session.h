/* A session: frames between two nodes, numbered, checked, credited and acknowledged.
 *
 * Data goes one way, from the node that opened it; the other way come credit and acknowledgement.
 * Two nodes that both send have two sessions. The rules are in the README of this folder.
 *
 * A session outlives its connections: what was sent is held until it is acknowledged, and goes
 * again over the next connection. Its owner makes the connections; the session says when one is of
 * no use any more. It ends when it is closed, or when the other side is not who it was, or says
 * what cannot be: in SESSION_FAILED, once, with a diag.
 *
 * Owner thread only. The session reads the clock and reaches the transport that it was given and
 * nothing else, so it runs in a simulator as it runs in a node.
 */
#ifndef RUNTIME_NET_SESSION_H
#define RUNTIME_NET_SESSION_H

#include "runtime/base/clock.h"
#include "runtime/net/envelope.h"
#include "runtime/net/greeting.h"
#include "runtime/net/lane.h"
#include "runtime/net/transport.h"

#define SESSION_LANES_MAX      4096u            /* lanes of one session: 64 workers to 64 */
#define SESSION_APPS_MAX       256u             /* names of apps that one session has carried */
#define SESSION_NOTICES_MAX    (1u << 20)       /* NOT_MINE that the other side has yet to hear */
#define SESSION_BYE_US         (30u * 1000000u) /* for an answer to BYE */
#define SESSION_PING_US        1000000u         /* the longest silence of a connection */
#define SESSION_ABSENT_US      2000000u /* not stepped for so long: nobody else was silent */
#define SESSION_UNHEARD_US     5000000u /* silence of the other side that is told */
#define SESSION_UNHEARD_MIN_US 2500000u /* what that may be set to: two PING may be late */
#define SESSION_RETRY_US       1000u    /* after the transport was full */

struct session;

enum session_state {
    SESSION_NEW,     /* nobody has answered, or asked, so far */
    SESSION_OPEN,    /* with a connection or without */
    SESSION_CLOSING, /* opener: no new frames; BYE goes when all are acknowledged */
    SESSION_CLOSED,
    SESSION_FAILED,
};

/* What a frame is beside its block. Strings are borrowed for the call. */
struct session_frame {
    uint32_t lane;
    uint64_t frame;
    const char *app;
    uint64_t schema;
    uint64_t version; /* of the sender's map, as it was given to session_send */
};

/* They may call the session, not destroy it. */
struct session_upcalls {
    void (*opened)(void *user, struct session *session); /* frames can flow: for the first time */
    /* The block becomes the callee's; used, count, worker and hops are set, app is not. Its bytes
     * are what the sender sent; what they mean is for the callee to check (block_check). It owes a
     * session_credit and a session_applied for it. */
    void (*arrived)(void *user, struct session *session, const struct session_frame *frame,
                    struct block *block);
    /* Opener: the other side did not take the records for `slot` in a frame that is still held.
     * Once for each, before the frame is let go. The block is borrowed. */
    void (*not_mine)(void *user, struct session *session, const struct session_frame *frame,
                     const struct block *block, uint32_t slot);
    /* The connection is of no use any more: the callee ends it, and makes another if it is the
     * opener. Not called when the transport told of its end (session_disconnected). */
    void (*broken)(void *user, struct session *session, const char *reason);
    /* For so long nothing was heard of the other side; or it is heard again. */
    void (*unheard)(void *user, struct session *session, bool heard);
    void (*closed)(void *user, struct session *session);
    void (*failed)(void *user, struct session *session, const struct diag *diag);
};

struct session_options {
    bool opener;
    struct transport *transport; /* borrowed */
    const struct clock *clock;   /* borrowed */
    struct self *self;           /* who speaks; borrowed until destroy, not written to */
    const char *peer;            /* opener: the name that must answer (copied); NULL: any */
    uint64_t peer_incarnation;   /* opener: the same; 0: any */
    uint64_t number;             /* opener: drawn, not 0; acceptor: 0 */
    uint32_t window;             /* acceptor: 0 is LANE_WINDOW_DEFAULT */
    uint64_t unheard_us;         /* 0: SESSION_UNHEARD_US */
    const struct session_upcalls *upcalls;
    void *user;
};

struct session_counters {
    uint64_t frames_sent, bytes_sent;         /* DATA, what went again included */
    uint64_t frames_resent;                   /* of these, what went again */
    uint64_t frames_received, bytes_received; /* DATA that passed every check */
    uint64_t frames_repeated;                 /* DATA that had come before, dropped */
    uint64_t frames_applied;                  /* acknowledged by the other side (opener) */
    uint64_t controls_sent, controls_received;
    uint64_t reopened;       /* connections after the first */
    uint64_t transport_full; /* sends that the transport put off */
    uint64_t stalls;         /* frames that had to wait for credit */
    uint64_t frames_held;    /* now: not yet acknowledged, waiting ones included */
    uint64_t frames_waiting; /* now: for credit or for the transport */
    uint64_t bytes_held;     /* now */
};

s4_status session_create(const struct session_options *options, struct session **session) MUST_USE;
void session_destroy(struct session *session); /* releases every held block; NULL is fine */

/* Opener: a connection is up, and takes the place of the one before. */
void session_connected(struct session *session, uint64_t peer);
/* Acceptor: whether this HELLO comes from a newer connection than the one that there is. */
bool session_is_newer(const struct session *session, const Envelope *hello);
/* Acceptor: by this connection came a HELLO for this session, which was checked, and is newer. */
void session_greeted(struct session *session, uint64_t peer, const Envelope *hello);
/* What comes by its connection; consumes the block (NULL: none). */
void session_receive(struct session *session, const void *bytes, size_t size, struct block *block);
void session_disconnected(struct session *session);

/* Opener, on the lane `what->lane`: queues a block with `used`, `count`, `worker` and `hops` set,
 * and sends it if there is credit. S4_STATE: not in a state to send; S4_TOO_LARGE, S4_INVALID,
 * S4_FULL (a limit above), S4_NO_MEMORY: the block stays the caller's. The frame gets the next
 * number of its lane, whatever `what->frame` says. A session that failed keeps it, and never sends
 * it. */
s4_status session_send(struct session *session, const struct session_frame *what,
                       struct block **block) MUST_USE;
/* The block is borrowed; calls into the session are not allowed. */
typedef void session_held_fn(void *user, const struct session_frame *frame,
                             const struct block *block);
/* Opener, in every state: each frame that is not acknowledged, lane by lane by number, oldest
 * first. */
void session_walk(const struct session *session, session_held_fn *fn, void *user);
/* Opener: no more frames; BYE goes when all that were queued are acknowledged. */
void session_close(struct session *session);
/* Ends it at once, without an upcall; the other side is told why if that is possible. */
void session_cut(struct session *session, const char *reason);
/* Ends it as a fault of the other side. */
void session_refuse(struct session *session, const struct diag *diag);

/* Acceptor, once per frame that arrived on the lane of that number: its records are in their
 * partitions' runs (or copied out); its records are applied. With a connection or without; ignored
 * when the session is over. */
void session_credit(struct session *session, uint32_t number);
void session_applied(struct session *session, uint32_t number, uint64_t frame);
/* Acceptor, before session_applied of that frame: its records for the slot were not taken. */
void session_not_mine(struct session *session, uint32_t number, uint64_t frame, uint32_t slot);

/* Says what there is to say, minds the time. True: something was sent. */
bool session_step(struct session *session);
/* When session_step has something to do at the latest, if nothing else happens. */
uint64_t session_deadline_us(const struct session *session);

enum session_state session_state(const struct session *session);
bool session_is_over(const struct session *session); /* closed or failed */
bool session_is_connected(const struct session *session);
bool session_is_unheard(const struct session *session);
bool session_has_state(const struct session *session); /* acceptor: frames have come */
/* The other side is silent, and nothing is owed to it. */
bool session_is_done_with(const struct session *session);
uint64_t session_number(const struct session *session);
const char *session_peer_wanted(const struct session *session); /* NULL before it is known */
const char *session_peer_name(const struct session *session);   /* "?" before it is known */
uint64_t session_peer_incarnation(const struct session *session);
const struct diag *session_diag(const struct session *session); /* why it failed */
struct session_counters session_counters(const struct session *session);
size_t session_lanes(const struct session *session);

#endif
