/* The inside of a session, shared by its files: session.c (life), session_end.c (its ends),
 * session_say.c (what it says), session_receive.c (what comes), session_out.c (the opener's lanes),
 * session_in.c (the acceptor's), session_notice.c (what was not taken). */
#ifndef RUNTIME_NET_SESSION_IMPL_H
#define RUNTIME_NET_SESSION_IMPL_H

#include "runtime/net/envelope.h"
#include "runtime/net/lane_table.h"
#include "runtime/net/session.h"

#define TYPE(name) S4__WIRE__ENVELOPE__TYPE__##name

/* Messages that wait for the transport, in the order in which they go. */
enum session_pending { PENDING_HELLO = 1, PENDING_WELCOME = 2, PENDING_BYE = 4, PENDING_PING = 8 };

enum conn_state {
    CONN_DOWN,
    CONN_GREETING, /* opener: HELLO is said, or about to be */
    CONN_RESUMING, /* the acceptor says, or the opener hears, where the lanes stand */
    CONN_UP,
};

/* What belongs to one connection: new for each. */
struct session_conn {
    enum conn_state state;
    uint64_t peer;                  /* the transport's */
    uint64_t serial_out, serial_in; /* messages of each direction so far */
    uint64_t since_us;
    uint64_t said_us; /* when a message last went out */
    unsigned pending;
    uint32_t lanes;    /* of which the acceptor tells; opener: those to come */
    uint32_t lanes_at; /* acceptor: the next one to tell of */
    bool bye_said;
    bool put_off; /* the transport did not take the last message */
};

/* A NOT_MINE that the other side has yet to hear. */
struct notice {
    uint64_t frame;
    uint32_t lane;
    uint32_t slot;
};

/* The acceptor's: a queue, numbered on through the whole session. */
struct notices {
    struct notice *list; /* owned */
    size_t count, capacity;
    uint64_t heard; /* by the other side, as far as is known: number of what lay before list[0] */
    uint64_t said;  /* the last that was said on this connection */
};

struct session {
    struct session_options options;
    char peer_name[ENVELOPE_NAME_MAX + 1];
    uint64_t peer_incarnation; /* 0: not known yet */
    enum session_state state;
    struct session_conn conn;
    uint64_t number;
    uint64_t attempt; /* of the newest connection; 0: there was none */
    bool parted;      /* the other side gave a reason and listens no more */
    bool close_wanted;
    bool resumes; /* opener: frames were acknowledged */
    bool spoken;  /* something came since the last step */
    bool unheard; /* that was told */
    uint64_t heard_us;
    uint64_t now_us;                        /* of the last step */
    uint64_t answer_us;                     /* when the answer to BYE is late; 0: none is due */
    struct lane_table lanes;                /* lane_out or lane_in, by side; owned */
    struct lane_out *out_first, **out_last; /* linked: may have something to send, in turn */
    struct lane_in *in_first;               /* linked: may have something to say */
    uint64_t first_limit;                   /* opener: the credit that a lane begins with */
    struct notices notices;                 /* acceptor */
    uint64_t notices_heard, notices_told;   /* opener: the last heard, and the last it told so */
    char *apps[SESSION_APPS_MAX];           /* opener: owned */
    uint32_t apps_count;
    struct session_counters counters;
    struct diag diag;
};

/* Ends the session once, tells the other side why if it can, then the user. */
void session_fail(struct session *session, s4_status code, const char *format, ...) PRINTF(3, 4);
/* Ends the session in order. */
void session_end(struct session *session);
/* Gives the connection up, for this reason; the session goes on with another. */
void session_break(struct session *session, const char *format, ...) PRINTF(2, 3);
/* Whether nothing of the connection may be used any more. */
static inline bool session_is_cut_off(const struct session *session)
{
    return session_is_over(session) || session->conn.state == CONN_DOWN;
}
/* For the first time. */
void session_open(struct session *session);

/* session_say.c */
/* Sends one message with session and serial filled in. An error: nothing was sent, try again. */
s4_status session_say(struct session *session, Envelope *envelope, struct block *block) MUST_USE;
/* `reason` NULL: in order. */
void session_say_bye(struct session *session, const char *reason, bool again);
/* True: something was said. */
bool session_say_pending(struct session *session);

/* session_out.c */
void session_out_lanes(struct session *session, const Envelope *envelope);
/* All was told where it stands. */
void session_out_resume(struct session *session);
void session_out_ack(struct session *session, const Envelope *envelope);
void session_out_credit(struct session *session, const Envelope *envelope);
void session_out_not_mine(struct session *session, const Envelope *envelope);
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

/* session_notice.c */
/* The other side has heard all up to `number`; false: that cannot be. */
bool session_notices_heard(struct session *session, uint64_t number) MUST_USE;
s4_status session_notices_say(struct session *session, bool *said) MUST_USE;

#endif
