/* What the parts of the client share. A client is one ZeroMQ DEALER socket, at most one call, and a
 * window of batches; the thread that calls also receives. */
#ifndef ROUTER_CLIENT_CLIENT_INTERNAL_H
#define ROUTER_CLIENT_CLIENT_INTERNAL_H

#include <s4/client.h>

#include "router/client/endpoint.h"
#include "router/client/control.h"
#include "runtime/base/base.h"
#include "runtime/base/diag.h"
#include "runtime/net/keyring.h"

#define CLIENT_TIMEOUT_MS_DEFAULT 10000
#define CLIENT_CONNECT_MS_MAX     3000 /* for the first answer */
#define CLIENT_WINDOW_DEFAULT     8

/* A batch under way. */
struct flight {
    uint64_t id;     /* of its request; 0: this place is free */
    uint64_t number; /* of the batch */
    void *bytes;     /* the packed request, kept to be sent again; owned */
    size_t size;
    s4_injected_fn *done;
    void *user;
};

struct s4_client {
    void *context;
    void *socket;
    void *monitor;                   /* of the socket's handshakes; NULL: by ipc */
    struct keyring *ring;            /* owned; NULL: no keys */
    uint32_t watches;                /* monitors so far */
    char server[CURVE_NAME_MAX + 1]; /* "": the only one */
    uint32_t failures;               /* handshakes that ended without a word */
    struct endpoint endpoint;
    uint32_t timeout_ms;
    bool connected;
    char release[64];
    uint64_t id_next;
    uint64_t heard_us; /* when the node last gave a sign of life, or when it was first waited for */
    bool resent;       /* since then */

    uint64_t call_id;          /* of the call under way; 0: none */
    S4__Control__Reply *reply; /* its answer; owned */

    uint64_t producer;
    uint64_t number_next;
    uint32_t window;
    uint32_t n_flights;
    struct flight *flights; /* `window` places; owned */

    struct s4_tail *tail; /* the caller's; NULL: none */

    S4__Control__Reply *kept; /* the texts of the last result lie here; owned */
    s4_reject rejects[CONTROL_REJECTS_MAX];
    struct diag diag;
};

/* Sends a request (its id and version are set here) and waits for its answer, which is the caller's
 * to destroy. An answer with a status other than S4_OK is that failure, with its message; so is an
 * answer that is not of the wanted kind (0: any). */
s4_status client_call(s4_client *client, S4__Control__Request *request,
                      S4__Control__Reply__WhatCase wanted, S4__Control__Reply **reply) MUST_USE;

/* Sends a request (its id and version are set here) without waiting. */
s4_status client_send(s4_client *client, S4__Control__Request *request) MUST_USE;

/* client_keys.c: reads the keys, if the node is reached by tcp. */
s4_status client_keys_open(s4_client *client, const s4_client_options *options) MUST_USE;
/* Prepares a new socket; `turn`: of the node's keys. */
s4_status client_keys_guard(s4_client *client, uint32_t turn) MUST_USE;
/* What became of handshakes. S4_PERMISSION: it does not get better. S4_END: perhaps with the next
 * of the node's keys. */
s4_status client_keys_look(s4_client *client) MUST_USE;
void client_keys_close_socket(s4_client *client);

/* Takes the reply if it belongs to a subscription; whether one is asked for. */
bool tail_answered(s4_client *client, S4__Control__Reply *reply);
bool tail_is_asked(const s4_client *client);

/* Waits a little, receives at most one message and gives it to whom it belongs. S4_UNAVAILABLE: the
 * node is silent for too long. */
s4_status client_pump(s4_client *client) MUST_USE;
/* The same, waiting no longer than this. */
s4_status client_pump_for(s4_client *client, uint32_t wait_ms) MUST_USE;

/* Takes the reply if it belongs to a batch. */
bool flight_answered(s4_client *client, S4__Control__Reply *reply);
/* Sends every unanswered batch once more. */
s4_status flights_resend(s4_client *client) MUST_USE;
/* Nobody will answer: hands S4_UNAVAILABLE to all. */
void flights_fail(s4_client *client);
void flights_drop(s4_client *client);

/* Waiting starts now, if nothing was waited for before. */
void client_listen(s4_client *client);

/* NULL, or not UTF-8 without NULs, cannot be sent. */
s4_status client_check_text(s4_client *client, const char *what, const char *text) MUST_USE;

#endif
