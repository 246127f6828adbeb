/* Requests to the other nodes; see the header. */
#include "apps/s4/node_relay.h"

#include <sys/eventfd.h>

#include "apps/s4/node_cluster.h"
#include "apps/s4/say.h"
#include "apps/s4/socket.h"
#include "runtime/base/mem.h"

#define REPLIES_AT_ONCE 64

struct call {
    struct call *next;
    struct request *request; /* NULL: it has ended */
    uint64_t id;
    uint64_t heard_us;
    uint64_t sent_us;
    uint32_t member;
    bool failed; /* it could not even be sent */
};

struct line {
    void *socket; /* NULL: none */
    uint64_t incarnation;
};

struct relay {
    struct line lines[MAP_MEMBERS_MAX];
    struct call *calls; /* newest first */
    uint64_t last_id;
};

s4_status relay_create(struct node *node)
{
    node->relay = mem_zalloc(sizeof *node->relay);
    return node->relay ? S4_OK : S4_NO_MEMORY;
}

static void hang_up(struct line *line)
{
    if (line->socket)
        zmq_close(line->socket);
    *line = (struct line){ 0 };
}

void relay_destroy(struct node *node)
{
    struct relay *relay = node->relay;
    if (!relay)
        return;
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        hang_up(&relay->lines[i]);
    while (relay->calls) {
        struct call *next = relay->calls->next;
        mem_free(relay->calls);
        relay->calls = next;
    }
    mem_free(relay);
    node->relay = NULL;
}

static void *line_to(struct node *node, uint32_t member)
{
    struct line *line = &node->relay->lines[member];
    const struct map_member *to = &node->map->members[member];
    if (line->socket)
        return line->socket;
    if (!to->name[0] || !to->clients[0])
        return NULL;
    void *socket = zmq_socket(node->context, ZMQ_DEALER);
    struct diag diag = { 0 };
    if (socket && socket_open(socket, node->ring, to->name, to->clients, &diag) == S4_OK) {
        *line = (struct line){ socket, to->incarnation };
        return socket;
    }
    if (socket) {
        log_write(&say_log, LOG_WARN, "%s is not asked: %s", to->name, diag.text);
        zmq_close(socket);
    }
    return NULL;
}

static s4_status send_on(struct node *node, uint32_t member, uint64_t id,
                         const S4__Control__Request *message)
{
    S4__Control__Request copy = *message;
    void *socket = line_to(node, member);
    void *bytes;
    size_t size;
    copy.id = id;
    copy.version = CONTROL_VERSION;
    copy.has_own = true;
    copy.own = true;
    copy.has_epoch = true;
    copy.epoch = node->map->version;
    if (!socket)
        return S4_UNAVAILABLE;
    TRY(control_pack(&copy.base, &bytes, &size));
    return control_send(socket, &bytes, size, ZMQ_DONTWAIT);
}

void relay_send(struct node *node, struct request *request, uint32_t member,
                const S4__Control__Request *message)
{
    struct call *call = mem_zalloc(sizeof *call);
    CHECK(call);
    *call = (struct call){ .next = node->relay->calls,
                           .request = request,
                           .id = ++node->relay->last_id,
                           .heard_us = clock_real.mono_us(&clock_real),
                           .member = member };
    call->sent_us = call->heard_us;
    node->relay->calls = call;
    request->n_calls++;
    call->failed = send_on(node, member, call->id, message) != S4_OK;
    if (call->failed)
        eventfd_write(node->wake, 1); /* the step says so */
}

void relay_forget(struct request *request)
{
    struct relay *relay = request->node->relay;
    for (struct call *call = relay ? relay->calls : NULL; call; call = call->next)
        if (call->request == request)
            call->request = NULL;
    request->n_calls = 0;
}

/* Takes the call out, then tells: that may end requests, and begin calls. */
static void end_call(struct node *node, struct call **at, S4__Control__Reply *reply)
{
    struct call *call = *at;
    struct request *request = call->request;
    uint32_t member = call->member;
    bool sent = !call->failed;
    *at = call->next;
    mem_free(call);
    if (request) {
        request->n_calls--;
        node_relayed(node, request, member, reply, sent);
    } else {
        control_reply_destroy(reply);
    }
}

static struct call **find_call(struct relay *relay, uint64_t id)
{
    struct call **at = &relay->calls;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void take_reply(struct node *node, uint32_t member, S4__Control__Reply *reply)
{
    struct call **at = find_call(node->relay, reply->id);
    if (!*at || (*at)->member != member) {
        control_reply_destroy(reply);
    } else if (reply->status == S4_AGAIN) {
        (*at)->heard_us = clock_real.mono_us(&clock_real);
        control_reply_destroy(reply);
    } else {
        end_call(node, at, reply);
    }
}

static void take_replies(struct node *node, uint32_t member)
{
    for (int i = 0; i < REPLIES_AT_ONCE && node->relay->lines[member].socket; i++) {
        zmq_msg_t part;
        S4__Control__Reply *reply;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, node->relay->lines[member].socket, ZMQ_DONTWAIT) < 0)
            return;
        s4_status status = control_reply_read(zmq_msg_data(&part), zmq_msg_size(&part), &reply);
        zmq_msg_close(&part);
        if (status == S4_OK)
            take_reply(node, member, reply);
    }
}

/* A batch that is numbered may be sent again, for as long as the same member may have it. */
static bool is_repeatable(const struct call *call)
{
    const S4__Control__Request *message = call->request ? call->request->message : NULL;
    return message && message->what_case == S4__CONTROL__REQUEST__WHAT_INJECT &&
           message->inject->producer != 0;
}

/* A call that another one's answer began may be younger than `now_us`. */
static bool is_past(uint64_t now_us, uint64_t from_us, uint64_t time_us)
{
    return now_us >= from_us + time_us;
}

static bool is_over(const struct node *node, const struct call *call, uint64_t now_us)
{
    const struct line *line = &node->relay->lines[call->member];
    return call->failed || !line->socket ||
           (!is_repeatable(call) && is_past(now_us, call->heard_us, RELAY_SILENCE_US));
}

/* A connection that was lost took what was on its way along. */
static void send_again(struct node *node, uint64_t now_us)
{
    for (struct call *call = node->relay->calls; call; call = call->next) {
        uint64_t since = call->heard_us > call->sent_us ? call->heard_us : call->sent_us;
        if (!is_repeatable(call) || !is_past(now_us, since, RELAY_RESEND_US))
            continue;
        call->sent_us = now_us;
        if (send_on(node, call->member, call->id, call->request->message) != S4_OK)
            continue; /* it may still have the one before */
    }
}

/* One at a time, since telling may change the list. */
static bool end_one(struct node *node, uint64_t now_us)
{
    for (struct call **at = &node->relay->calls; *at; at = &(*at)->next) {
        if (!is_over(node, *at, now_us))
            continue;
        end_call(node, at, NULL);
        return true;
    }
    return false;
}

void relay_step(struct node *node, uint64_t now_us)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++)
        take_replies(node, i);
    while (end_one(node, now_us))
        continue;
    send_again(node, now_us);
}

void relay_changed(struct node *node)
{
    for (uint32_t i = 0; i < MAP_MEMBERS_MAX; i++) {
        struct line *line = &node->relay->lines[i];
        if (line->socket && line->incarnation != node->map->members[i].incarnation)
            hang_up(line);
    }
}

size_t relay_sockets(struct node *node, zmq_pollitem_t *items)
{
    size_t n = 0;
    for (uint32_t i = 0; node->relay && i < MAP_MEMBERS_MAX; i++)
        if (node->relay->lines[i].socket)
            items[n++] =
                (zmq_pollitem_t){ .socket = node->relay->lines[i].socket, .events = ZMQ_POLLIN };
    return n;
}
