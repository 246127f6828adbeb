/* Who may connect: ZeroMQ asks this thread about every handshake, whatever socket of its context it
 * is for (RFC 27, ZAP). A key that the keyring has for the socket's domain is admitted; so are
 * sockets of this machine (ipc), which their directory guards. Everybody else is refused, counted,
 * and told of: the latest, once a second at most.
 *
 * It also reads the keyring again, once a second.
 */
#ifndef RUNTIME_NET_ZAP_H
#define RUNTIME_NET_ZAP_H

#include "runtime/net/keyring.h"

#define ZAP_NODES   "s4-nodes"   /* domain: only nodes */
#define ZAP_CLIENTS "s4-clients" /* domain: clients, and nodes */
#define ZAP_LOCAL   "local"      /* the User-Id of who came by ipc; all others' is their key */

struct zap_options {
    void *context;                                /* borrowed; one handler per context */
    struct keyring *ring;                         /* borrowed */
    void (*report)(void *user, const char *text); /* on the handler's thread; NULL: nobody */
    void *user;
};

struct zap_counters {
    uint64_t admitted, refused;
};

struct zap;

/* Before the first bind; without it every handshake with a domain fails. */
s4_status zap_start(const struct zap_options *options, struct zap **zap,
                    struct diag *diag) MUST_USE;
/* After the context's sockets are closed, before it is terminated. NULL is fine. */
void zap_stop(struct zap *zap);
struct zap_counters zap_count(const struct zap *zap); /* any thread */

/* What is answered to one question; apart, so that it can be tested. */
struct zap_question {
    const char *version, *domain, *address, *mechanism; /* texts */
    const void *credentials;
    size_t credentials_size;
};
struct zap_answer {
    bool admitted;
    char user[CURVE_TEXT + 1];
    char why[256]; /* not admitted */
};
void zap_decide(struct keyring *ring, const struct zap_question *question,
                struct zap_answer *answer);

#endif
