/* The inside of a session, shared by its files: session.c (life, saying), session_receive.c (what
 * comes), session_out.c (the opener's lanes), session_in.c (the acceptor's). */
#ifndef RUNTIME_NET_SESSION_IMPL_H
#define RUNTIME_NET_SESSION_IMPL_H

#include "runtime/net/envelope.h"
#include "runtime/net/lane_table.h"
#include "runtime/net/session.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* Messages that wait for the transport. */
enum session_pending { PENDING_HELLO = 1, PENDING_WELCOME = 2, PENDING_BYE = 4, PENDING_PING = 8 };

struct session {
    struct session_options options;
    char peer_name[ENVELOPE_NAME_MAX + 1];
    enum session_state state;
    unsigned pending;
    bool bye_said;
    bool parted; /* the other side gave a reason and listens no more */
    bool close_wanted;
    bool put_off; /* the transport did not take the last message */
    bool connected;
    uint64_t peer; /* the transport's, while connected */
    uint64_t number;
    uint64_t serial_out, serial_in;         /* messages of each direction so far */
    uint64_t now_us;                        /* of the last step */
    uint64_t said_us;                       /* when a message last went out */
    uint64_t answer_us;                     /* when an awaited answer is late */
    struct lane_table lanes;                /* lane_out or lane_in, by side; owned */
    struct lane_out *out_first, **out_last; /* linked: may have something to send, in turn */
    struct lane_in *in_first;               /* linked: may have something to say */
    uint64_t first_limit;                   /* opener: the credit that a lane begins with */
    char *apps[SESSION_APPS_MAX];           /* opener: owned */
    uint32_t apps_count;
    struct session_counters counters;
    struct diag diag;
};

/* Ends the session once, tells the other side why if it can, then the user. */
void session_fail(struct session *session, s4_status code, const char *format, ...) PRINTF(3, 4);

/* Ends the session in order. */
void session_end(struct session *session);

/* Sends one message with session and serial filled in. An error: nothing was sent, try again. */
s4_status session_say(struct session *session, Envelope *envelope, struct block *block) MUST_USE;

/* session_out.c */
void session_out_opened(struct session *session);
void session_out_ack(struct session *session, const Envelope *envelope);
void session_out_credit(struct session *session, const Envelope *envelope);
bool session_out_step(struct session *session);
bool session_out_is_drained(const struct session *session); /* all is acknowledged */
void session_out_fini(struct session *session);
void session_out_count(const struct session *session, struct session_counters *counters);

/* session_in.c */
/* Consumes the block in any case. */
void session_in_data(struct session *session, const Envelope *envelope, struct block *block);
bool session_in_step(struct session *session);
bool session_in_is_drained(const struct session *session); /* all that came is applied */
void session_in_fini(struct session *session);

#endif
