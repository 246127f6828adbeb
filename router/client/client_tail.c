/* A subscription. The client asks for a batch of items, and for the next one as soon as it begins
 * to hand out this one: so one is on its way while the other is read, and a reader that does not
 * read asks for no more. */
#include "router/client/client_internal.h"

#include "runtime/base/clock.h"
#include "runtime/base/mem.h"

struct s4_tail {
    s4_client *client;
    uint64_t number;
    uint64_t asked;            /* the id of the request under way; 0: none */
    S4__Control__Reply *came;  /* its answer, not looked at yet; owned */
    S4__Control__Reply *batch; /* what is handed out; owned */
    size_t at;
    bool over;
};

bool tail_is_asked(const s4_client *client)
{
    return client->tail && client->tail->asked;
}

bool tail_answered(s4_client *client, S4__Control__Reply *reply)
{
    struct s4_tail *tail = client->tail;
    if (!tail || !tail->asked || reply->id != tail->asked)
        return false;
    tail->asked = 0;
    tail->came = reply;
    return true;
}

/* protobuf-c's structs have no const; packing only reads. */
static char *text(const char *given)
{
    union {
        const char *given;
        char *wanted;
    } both = { given };
    return both.wanted;
}

static s4_status subscribe(s4_client *client, const s4_tail_options *options, uint64_t *number)
{
    S4__Control__Tail message = S4__CONTROL__TAIL__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    message.app = text(options->app);
    message.output = text(options->output);
    message.key = text(options->key);
    message.prefix = text(options->prefix);
    message.has_kept = true;
    message.kept = options->kept;
    request.what_case = S4__CONTROL__REQUEST__WHAT_TAIL;
    request.tail = &message;
    S4__Control__Reply *reply;
    TRY(client_call(client, &request, S4__CONTROL__REPLY__WHAT_TAILING, &reply));
    *number = reply->tailing->tail;
    control_reply_destroy(reply);
    return S4_OK;
}

static s4_status ask(struct s4_tail *tail)
{
    S4__Control__TailNext message = S4__CONTROL__TAIL_NEXT__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    message.tail = tail->number;
    request.what_case = S4__CONTROL__REQUEST__WHAT_TAIL_NEXT;
    request.tail_next = &message;
    TRY(client_send(tail->client, &request));
    tail->asked = request.id;
    return S4_OK;
}

s4_status s4_client_tail(s4_client *client, const s4_tail_options *options, s4_tail **tail)
{
    if (client->tail)
        return diag_set(&client->diag, S4_STATE, "this client has a subscription already");
    TRY(client_check_text(client, "application", options->app));
    TRY(client_check_text(client, "output", options->output));
    if (options->key)
        TRY(client_check_text(client, "key", options->key));
    if (options->prefix)
        TRY(client_check_text(client, "prefix", options->prefix));
    struct s4_tail *made = mem_zalloc(sizeof *made);
    if (!made)
        return diag_set(&client->diag, S4_NO_MEMORY, "out of memory");
    made->client = client;
    s4_status status = subscribe(client, options, &made->number);
    if (status == S4_OK)
        status = ask(made);
    if (status != S4_OK) {
        mem_free(made);
        return status;
    }
    client->tail = made;
    *tail = made;
    return S4_OK;
}

/* ---- items --------------------------------------------------------------------------------- */

/* Looks at the answer that came. */
static s4_status take_batch(struct s4_tail *tail)
{
    s4_client *client = tail->client;
    S4__Control__Reply *reply = tail->came;
    tail->came = NULL;
    control_reply_destroy(tail->batch);
    tail->batch = reply;
    tail->at = 0;
    bool fits = reply->what_case == S4__CONTROL__REPLY__WHAT_TAILED;
    tail->over = reply->status != S4_OK || !fits || reply->tailed->ended;
    if (reply->status != S4_OK)
        return diag_set(&client->diag, (s4_status)reply->status, "%s",
                        reply->message && *reply->message
                            ? reply->message
                            : s4_status_text((s4_status)reply->status));
    if (!fits)
        return diag_set(&client->diag, S4_PROTOCOL, "the node's answer is of the wrong kind");
    return tail->over ? S4_OK : ask(tail);
}

static bool hand_out_one(struct s4_tail *tail, s4_tail_item *item)
{
    const S4__Control__Reply *reply = tail->batch;
    if (!reply || reply->what_case != S4__CONTROL__REPLY__WHAT_TAILED)
        return false;
    const S4__Control__Tailed *tailed = reply->tailed;
    while (tail->at < tailed->n_items && ((int)tailed->items[tail->at]->kind < S4_TAIL_KEPT ||
                                          (int)tailed->items[tail->at]->kind > S4_TAIL_CAUGHT_UP))
        tail->at++; /* of a later release */
    if (tail->at >= tailed->n_items && !tailed->ended)
        return false;
    *item = (s4_tail_item){ .kind = S4_TAIL_ENDED, .why = tailed->why ? tailed->why : "" };
    if (tail->at >= tailed->n_items)
        return true;
    const S4__Control__TailItem *from = tailed->items[tail->at++];
    *item = (s4_tail_item){ .kind = (s4_tail_kind)from->kind,
                            .partition = from->partition,
                            .number = from->number,
                            .time_us = from->time_us,
                            .missed = from->missed };
    if (from->row) {
        item->json = from->row->json;
        item->pb = from->row->pb.data;
        item->pb_size = from->row->pb.len;
    } else if (from->kind <= S4__CONTROL__TAIL_ITEM__KIND__REMOVED) {
        item->json = "{}"; /* a node that tells no row */
    }
    return true;
}

static uint64_t now_ms(void)
{
    return clock_real.mono_us(&clock_real) / 1000;
}

s4_status s4_tail_next(s4_tail *tail, uint32_t wait_ms, s4_tail_item *item)
{
    s4_client *client = tail->client;
    uint64_t until = now_ms() + wait_ms;
    while (!hand_out_one(tail, item)) {
        uint64_t now = now_ms();
        if (tail->over)
            return client->diag.code != S4_OK ? client->diag.code : S4_CANCELLED;
        if (!tail->came)
            TRY(client_pump_for(client, now < until ? (uint32_t)(until - now) : 0));
        if (tail->came)
            TRY(take_batch(tail));
        else if (now >= until)
            return S4_AGAIN;
    }
    return S4_OK;
}

void s4_tail_destroy(s4_tail *tail)
{
    if (!tail)
        return;
    S4__Control__TailEnd message = S4__CONTROL__TAIL_END__INIT;
    S4__Control__Request request = S4__CONTROL__REQUEST__INIT;
    message.tail = tail->number;
    request.what_case = S4__CONTROL__REQUEST__WHAT_TAIL_END;
    request.tail_end = &message;
    if (!tail->over)
        (void)!client_send(tail->client, &request); /* the node finds out by itself too */
    tail->client->tail = NULL;
    control_reply_destroy(tail->came);
    control_reply_destroy(tail->batch);
    mem_free(tail);
}
