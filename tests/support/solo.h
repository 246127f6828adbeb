/* One session whose other side, "carl", is played by hand over a transport that sends nowhere. Its
 * lane is 5, its window 4 frames. */
#ifndef TESTS_SUPPORT_SOLO_H
#define TESTS_SUPPORT_SOLO_H

#include "runtime/net/session.h"
#include "tests/support/fake_transport.h"

struct solo {
    struct fake_transport fake;
    struct clock_sim clock;
    struct block_pool *pool;
    struct session *session;
    uint64_t serial, attempt; /* of what the other side said */
    int opened, arrived, broken, unheard, heard_again, closed, failed;
    struct session_frame last;
    char not_mine[200]; /* lane.frame/slot, each after a space */
    char reason[DIAG_TEXT_MAX];
};

extern struct self solo_self; /* "dora" of cluster 7 */

void solo_open(struct solo *solo, bool opener);
void solo_start(struct solo *solo, bool opener); /* up to the open state */
/* Opener, lane 5: 6 frames, 4 sent, 1 acknowledged; then another connection, which tells so many
 * lanes. */
void solo_reopen(struct solo *solo, uint32_t lanes);
void solo_close(struct solo *solo);

/* Opener: a connection is up. Acceptor: one with a HELLO that net has found right. */
void solo_connect(struct solo *solo);
void solo_hello(struct solo *solo, uint64_t notice);

/* A message as carl would say it; `frame` 1, and in WELCOME the window. */
Envelope solo_envelope(S4__Wire__Envelope__Type type);
Envelope solo_data(const struct block *block, uint64_t frame);
void solo_add_lane(Envelope *envelope, uint64_t lane, uint64_t received, uint64_t applied,
                   uint64_t limit);
/* Fills in session and serial, if they are not there. */
void solo_hear(struct solo *solo, Envelope *envelope, struct block *block);
void solo_hear_simple(struct solo *solo, S4__Wire__Envelope__Type type);
void solo_hear_data(struct solo *solo, uint64_t frame);

s4_status solo_send(struct solo *solo, uint32_t lane, const char *app, struct block **block);
void solo_send_one(struct solo *solo, s4_status wanted);

/* It failed once, for this reason, and said so to the other side. Closes it. */
void solo_end(struct solo *solo, s4_status code, const char *text);
/* It gave its connection up, once, for this reason, and lives. */
void solo_end_conn(struct solo *solo, const char *text);

#endif
