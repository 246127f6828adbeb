/* Instances that wait: their mailboxes and their turns (README.md, rules 9, 10 and 12).
 *
 * An instance that asked and waits takes no event, timer or query: they go into its mailbox,
 * copied, within its limits. The answer comes as a message to the partition's worker, between two
 * runs (requests.c); then the mailbox is emptied, oldest first, at most `budget` items in a turn,
 * and other keys go on between the turns. While anything is in the mailbox the instance is QUEUED
 * and new events go behind, so that the order per sender and key holds.
 *
 * An instance without mail takes its events out of the run in the worker's hands. No run of a
 * partition has more than BUDGET_DEFAULT records (dispatch.c), so that this needs no counting,
 * unless app.yaml says less: then the prototype's instances count, on the general way, and what is
 * beyond the budget goes into the mailbox, too.
 */
#include "pe/host/host_run.h"

/* One turn that is owed. */
struct turn {
    uint32_t prototype;
    uint32_t number;
};

/* ---- mailboxes ----------------------------------------------------------------------------- */

struct mailbox **host_mailbox(const struct host_prototype *prototype, struct instances *table,
                              struct instance *instance)
{
    if (prototype->extra_mailbox == INSTANCE_NONE)
        return NULL;
    return (struct mailbox **)(void *)((char *)instance_extra(table, instance) +
                                       prototype->extra_mailbox);
}

uint64_t *host_life(const struct host_prototype *prototype, struct instances *table,
                    struct instance *instance)
{
    return (uint64_t *)(void *)((char *)instance_extra(table, instance) + prototype->extra_life);
}

static struct mailbox *mailbox_of(struct host_ctx *ctx, const struct host_prototype *prototype,
                                  uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct mailbox **at = host_mailbox(prototype, table, instances_at(table, number));
    CHECK(at);
    if (!*at)
        *at = mailbox_create();
    return *at;
}

static void drop_mail(struct host_ctx *ctx, const struct host_prototype *prototype,
                      struct mail *mail)
{
    struct host_counters *counters = host_counters(ctx->worker, ctx->app);
    count_sub(&counters->mailbox, 1);
    if (mail->kind == MAIL_QUERY)
        host_query_drop((struct host_query *)(uintptr_t)mail->number, S4_NOT_FOUND);
    else
        count_add(&counters->mailbox_dropped, 1);
    if (mail->kind == MAIL_RECORD)
        host_dead_letter(ctx, (const struct record *)(const void *)mail->data, prototype, S4_FULL,
                         "dropped from its instance's mailbox");
    mem_free(mail);
}

void host_mailbox_clear(struct host_ctx *ctx, struct host_prototype *prototype,
                        struct instance *instance)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct mailbox **at = host_mailbox(prototype, table, instance);
    if (!at || !*at)
        return;
    for (struct mail *mail = mailbox_pop(*at); mail; mail = mailbox_pop(*at))
        drop_mail(ctx, prototype, mail);
    mailbox_destroy(*at);
    *at = NULL;
}

static void note_parked(struct host_ctx *ctx)
{
    count_add(&host_counters(ctx->worker, ctx->app)->mailbox, 1);
}

bool host_park(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
               uint32_t pair, uint32_t sub, const struct record *record)
{
    struct mailbox *mailbox = mailbox_of(ctx, prototype, number);
    s4_status status = S4_NO_MEMORY;
    while (mailbox) {
        status = mailbox_push(mailbox, &prototype->mailbox, MAIL_RECORD, (uint16_t)sub, pair,
                              record, record->len);
        if (status != S4_FULL || prototype->mailbox_full != S4__GRAPH__PROTOTYPE__FULL__DROP_OLDEST)
            break;
        drop_mail(ctx, prototype, mailbox_pop(mailbox));
    }
    if (status == S4_OK) {
        note_parked(ctx);
        return true;
    }
    if (status == S4_FULL && prototype->mailbox_full == S4__GRAPH__PROTOTYPE__FULL__BLOCK)
        return false;
    count_add(&host_counters(ctx->worker, ctx->app)->mailbox_dropped, 1);
    host_dead_letter(ctx, record, prototype, status, "its instance's mailbox is full");
    return true;
}

bool host_park_timer(struct host_ctx *ctx, struct host_prototype *prototype,
                     const struct timer *timer)
{
    struct mailbox *mailbox = mailbox_of(ctx, prototype, timer->instance);
    struct mailbox_limits none = { .items_max = UINT32_MAX, .bytes_max = UINT64_MAX };
    /* A timer is bounded by the timers' own limit, and must not be lost. */
    if (!mailbox || mailbox_push(mailbox, &none, MAIL_TIMER, 0, timer->id, NULL, 0) != S4_OK)
        return false;
    note_parked(ctx);
    return true;
}

void host_timer_call(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                     uint64_t id)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_TIMER;
    void *state = instance_state(table, instances_at(table, number));
    s4_status status = host_call_end(ctx, prototype->of->timer(&ctx->pub, state, id));
    if (status == S4_OK)
        instances_at(table, number)->flags |= prototype->dirty_flag;
    host_call_came_to(ctx, prototype, number, status);
}

void host_park_query(struct host_ctx *ctx, struct host_query *query, uint32_t number)
{
    struct mailbox *mailbox = mailbox_of(ctx, query->prototype, number);
    s4_status status = S4_NO_MEMORY;
    if (mailbox)
        status = mailbox_push(mailbox, &query->prototype->mailbox, MAIL_QUERY, 0,
                              (uint64_t)(uintptr_t)query, NULL, 0);
    if (status == S4_OK)
        note_parked(ctx);
    else
        host_query_drop(query, status);
}

/* ---- turns --------------------------------------------------------------------------------- */

static bool is_waiting(const struct instances *table, uint32_t number)
{
    return (instances_at(table, number)->flags & INSTANCE_WAITING) != 0;
}

/* What an instance with a small budget has taken; in its extra part. */
struct share {
    uint32_t turn; /* of the partition */
    uint32_t taken;
};

bool host_turn_has_room(struct host_ctx *ctx, const struct host_prototype *prototype,
                        uint32_t number)
{
    if (LIKELY(prototype->extra_turn == INSTANCE_NONE))
        return true;
    struct instances *table = &ctx->partition->tables[prototype->number];
    char *extra = instance_extra(table, instances_at(table, number));
    struct share *share = (struct share *)(void *)(extra + prototype->extra_turn);
    if (share->turn != ctx->partition->turn)
        *share = (struct share){ .turn = ctx->partition->turn };
    if (share->taken == prototype->budget)
        return false;
    share->taken++;
    return true;
}

static void take_mail(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number,
                      const struct mail *mail)
{
    if (mail->kind == MAIL_TIMER) {
        host_timer_call(ctx, prototype, number, mail->number);
        return;
    }
    if (mail->kind == MAIL_QUERY) {
        host_query_run(ctx, (struct host_query *)(uintptr_t)mail->number, number);
        return;
    }
    const struct record *record = (const struct record *)(const void *)mail->data;
    struct host_pair *pair = &ctx->app->pairs[mail->number];
    const struct instances *table = &ctx->partition->tables[prototype->number];
    if (UNLIKELY(instances_at(table, number)->flags & INSTANCE_PARKED)) {
        host_dead_letter(ctx, record, prototype, S4_FAILED, "the key is parked");
        return;
    }
    ctx->record = record;
    ctx->emission.hop = (uint8_t)(record->hop + (record->hop < UINT8_MAX));
    const void *event = host_decode(ctx->worker, pair, record);
    if (event)
        host_deliver_now(ctx, prototype, pair->subs[mail->note].on_event, number, record, event);
    else
        host_dead_letter(ctx, record, prototype, S4_NO_MEMORY, "out of memory for the event");
    ctx->record = NULL;
}

/* One turn: up to `budget` items. True: the instance is owed another one. */
static bool take_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    uint32_t taken = 0;
    while (!ctx->yield) {
        struct instance *instance = instances_at(table, number);
        if (!(instance->flags & INSTANCE_LIVE) || is_waiting(table, number))
            return false;
        struct mailbox **at = host_mailbox(prototype, table, instance);
        if (!*at || (*at)->count == 0) {
            mailbox_destroy(*at);
            *at = NULL;
            instance->flags &= (uint8_t)~INSTANCE_QUEUED;
            return false;
        }
        if (taken++ == prototype->budget || !host_turn_has_room(ctx, prototype, number))
            return true;
        struct mail *mail = mailbox_pop(*at);
        count_sub(&host_counters(ctx->worker, ctx->app)->mailbox, 1);
        take_mail(ctx, prototype, number, mail);
        mem_free(mail);
    }
    return true;
}

void host_owe_turn(struct host_ctx *ctx, struct host_prototype *prototype, uint32_t number)
{
    struct instances *table = &ctx->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    struct mailbox **at = host_mailbox(prototype, table, instance);
    if (!*at) { /* it had just been emptied when it was saved: an empty one is not loaded */
        instance->flags &= (uint8_t)~INSTANCE_QUEUED;
        return;
    }
    struct turn turn = { .prototype = prototype->number, .number = number };
    CHECK(buffer_append(&ctx->partition->turns, &turn, sizeof turn) == S4_OK);
    instance->flags |= INSTANCE_QUEUED;
}

bool host_turns(struct host_ctx *ctx)
{
    struct host_partition *p = ctx->partition;
    size_t n = p->turns.size / sizeof(struct turn);
    for (size_t i = 0; i < n; i++) {
        struct turn turn;
        memcpy(&turn, p->turns.data + i * sizeof turn, sizeof turn);
        if (take_turn(ctx, &ctx->app->prototypes[turn.prototype], turn.number))
            CHECK(buffer_append(&p->turns, &turn, sizeof turn) == S4_OK);
    }
    memmove(p->turns.data, p->turns.data + n * sizeof(struct turn),
            p->turns.size - n * sizeof(struct turn));
    p->turns.size -= n * sizeof(struct turn);
    if (p->turns.size > 0)
        host_turn_later(p);
    if (p->base.stalled && !atomic_load_explicit(&p->app->paused, memory_order_relaxed))
        partition_resume(ctx->worker->actor, &p->base);
    return n > 0;
}
