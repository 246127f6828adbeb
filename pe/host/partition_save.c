/* A partition's state as bytes, and back.
 *
 * Saving writes everything that the same runs would need to give the same bytes: time, instances
 * with their states, mailboxes, timers, outputs, link counters, ids, random numbers, producers.
 * What waits in the worker's queue is input, not state, and stays there.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#define PARTITION_MAGIC 0x34505334u /* "4SP4" */

/* ---- saving -------------------------------------------------------------------------------- */

struct head {
    uint32_t magic;
    uint32_t slots;
    uint64_t graph;
    uint64_t now_us;
    uint64_t last_id_ms;
    uint64_t lives;
    uint64_t astray;
    uint64_t last_probe;
    uint32_t turn;
    uint32_t reserved;
    uint32_t next_id;
    uint32_t resume_sub;
    uint32_t resume_number;
    uint32_t resuming;
    struct rng rng;
    uint64_t turns;     /* bytes */
    uint64_t producers; /* bytes */
};

struct state_user {
    struct host_partition *partition;
    struct host_prototype *prototype;
    struct cuts *cuts; /* of what is saved */
    struct diag *diag;
};

static s4_status save_mailbox(struct host_prototype *prototype, struct instances *table,
                              struct instance *instance, struct buffer *out)
{
    struct mailbox **at = host_mailbox(prototype, table, instance);
    if (!at)
        return S4_OK;
    uint32_t n = 0;
    for (struct mail *m = *at ? (*at)->oldest : NULL; m; m = m->next)
        n += m->kind != MAIL_QUERY; /* who asked is not part of the state */
    TRY(buffer_append(out, &n, sizeof n));
    for (struct mail *m = *at ? (*at)->oldest : NULL; m; m = m->next) {
        if (m->kind == MAIL_QUERY)
            continue;
        TRY(buffer_append(out, m, offsetof(struct mail, data)));
        TRY(buffer_append(out, m->data, m->size));
    }
    return S4_OK;
}

static s4_status save_by_kind(struct host_partition *p, struct host_prototype *prototype,
                              uint32_t number, void *state, struct buffer *out)
{
    const s4_class *of = prototype->of;
    if (of->state_kind == S4_FLAT)
        return buffer_append(out, state, of->state_size);
    if (of->state_kind == S4_MESSAGE) {
        uint64_t size = protobuf_c_message_get_packed_size(state);
        TRY(buffer_append(out, &size, sizeof size));
        char *room = buffer_room(out, size);
        if (!room)
            return S4_NO_MEMORY;
        protobuf_c_message_pack(state, (uint8_t *)room);
        return S4_OK;
    }
    struct host_ctx *ctx = &p->worker->ctx;
    ctx->prototype = prototype;
    ctx->table = &p->tables[prototype->number];
    ctx->number = number;
    ctx->kind = CALL_SAVE;
    ctx->pub.host = &host_services_quiet;
    s4_status status = of->save(&ctx->pub, state, (s4_saver *)(void *)out);
    ctx->pub.host = &host_services;
    ctx->failed = S4_OK;
    ctx->touched = 0;
    return status;
}

static s4_status save_state(void *user, uint32_t number, struct buffer *out)
{
    struct state_user *u = user;
    struct instances *table = &u->partition->tables[u->prototype->number];
    struct instance *instance = instances_at(table, number);
    TRY(save_mailbox(u->prototype, table, instance, out));
    size_t at = out->size;
    uint64_t size = 0;
    TRY(buffer_append(out, &size, sizeof size));
    TRY(save_by_kind(u->partition, u->prototype, number, instance_state(table, instance), out));
    size = out->size - at - sizeof size;
    memcpy(out->data + at, &size, sizeof size);
    return cuts_mark(u->cuts, out->size);
}

static s4_status save_rest(struct host_partition *p, struct buffer *out, struct cuts *cuts)
{
    struct host_app *app = p->app;
    TRY(buffer_append(out, p->turns.data, p->turns.size));
    TRY(buffer_append(out, p->producers.data, p->producers.size));
    size_t links = links_count(app->engine->map.slots);
    TRY(buffer_append(out, p->links_in.last, links * sizeof *p->links_in.last));
    TRY(buffer_append(out, p->links_in.genesis, links * sizeof *p->links_in.genesis));
    TRY(buffer_append(out, p->links_out, app->engine->map.slots * sizeof *p->links_out));
    TRY(buffer_append(out, p->output_due_us, app->n_prototypes * sizeof *p->output_due_us));
    TRY(buffer_append(out, p->ttl_due_us, app->n_prototypes * sizeof *p->ttl_due_us));
    TRY(timers_save(p->timers, out));
    TRY(host_jobs_save(p, out));
    for (uint32_t i = 0; i < app->n_outputs; i++)
        TRY(p->outputs[i].table ? table_save_cut(p->outputs[i].table, out, cuts)
                                : rowlog_save(p->outputs[i].log, out));
    return rowlog_save(p->dead, out);
}

s4_status host_partition_save(struct host_partition *p, struct buffer *out, struct cuts *cuts)
{
    struct host_app *app = p->app;
    struct head head = {
        .magic = PARTITION_MAGIC,
        .slots = app->engine->map.slots,
        .graph = app->bundle->graph_hash,
        .now_us = p->now_us,
        .last_id_ms = p->last_id_ms,
        .lives = p->lives,
        .last_probe = p->last_probe,
        .turn = p->turn,
        .astray = p->astray,
        .next_id = p->next_id,
        .resume_sub = p->resume_sub,
        .resume_number = p->resume_number,
        .resuming = p->resuming,
        .rng = p->rng,
        .turns = p->turns.size,
        .producers = p->producers.size,
    };
    host_enter(p->worker, p, p->now_us);
    s4_status status = buffer_append(out, &head, sizeof head);
    for (uint32_t i = 0; status == S4_OK && i < app->n_prototypes; i++) {
        struct state_user user = { .partition = p, .prototype = &app->prototypes[i], .cuts = cuts };
        status = instances_save(&p->tables[i], out, save_state, &user);
    }
    if (status == S4_OK)
        status = save_rest(p, out, cuts);
    host_leave(p->worker);
    return status;
}

/* Instances of one prototype, from number `at` on. */
static s4_status save_instances(struct host_partition *p, uint32_t prototype, size_t *at,
                                size_t bytes, struct buffer *out, struct cuts *cuts, bool *over)
{
    struct state_user user = { .partition = p,
                               .prototype = &p->app->prototypes[prototype],
                               .cuts = cuts };
    const struct instances *table = &p->tables[prototype];
    size_t before = out->size;
    uint32_t number = INSTANCE_NONE;
    while (out->size - before < bytes &&
           (number = instances_next(table, (uint32_t)*at)) != INSTANCE_NONE) {
        TRY(instances_save_one(table, number, out, save_state, &user));
        *at = number + 1;
    }
    *over = number == INSTANCE_NONE;
    return S4_OK;
}

s4_status host_partition_save_some(struct host_partition *p, struct host_look *look, size_t bytes,
                                   struct buffer *out, struct cuts *cuts, bool *over)
{
    const struct host_app *app = p->app;
    s4_status status = S4_OK;
    size_t before = out->size;
    host_enter(p->worker, p, p->now_us);
    while (status == S4_OK && out->size - before < bytes &&
           look->part < app->n_prototypes + app->n_outputs) {
        bool part_over = true;
        size_t left = bytes - (out->size - before);
        const struct table *table = look->part < app->n_prototypes
                                        ? NULL
                                        : p->outputs[look->part - app->n_prototypes].table;
        if (look->part < app->n_prototypes)
            status = save_instances(p, look->part, &look->at, left, out, cuts, &part_over);
        else if (table)
            status = table_save_some(table, &look->at, left, out, cuts, &part_over);
        if (part_over)
            *look = (struct host_look){ .part = look->part + 1 };
    }
    host_leave(p->worker);
    *over = look->part >= app->n_prototypes + app->n_outputs;
    return status;
}

/* ---- loading ------------------------------------------------------------------------------- */

static s4_status take(const char **at, const char *end, void *to, size_t size)
{
    if (size > (size_t)(end - *at))
        return S4_CORRUPT;
    if (size)
        memcpy(to, *at, size);
    *at += size;
    return S4_OK;
}

static s4_status take_buffer(const char **at, const char *end, struct buffer *to, uint64_t size)
{
    if (size > (size_t)(end - *at))
        return S4_CORRUPT;
    TRY(buffer_append(to, *at, size));
    *at += size;
    return S4_OK;
}

static s4_status load_mailbox(struct host_prototype *prototype, struct instances *table,
                              struct instance *instance, const char **at, const char *end)
{
    struct mailbox **box = host_mailbox(prototype, table, instance);
    if (!box)
        return S4_OK;
    uint32_t n;
    TRY(take(at, end, &n, sizeof n));
    struct mailbox_limits none = { .items_max = UINT32_MAX, .bytes_max = UINT64_MAX };
    for (uint32_t i = 0; i < n; i++) {
        struct mail mail;
        TRY(take(at, end, &mail, offsetof(struct mail, data)));
        if (mail.size > (size_t)(end - *at))
            return S4_CORRUPT;
        if (!*box && !(*box = mailbox_create()))
            return S4_NO_MEMORY;
        TRY(mailbox_push(*box, &none, mail.kind, mail.note, mail.number, *at, mail.size));
        *at += mail.size;
    }
    return S4_OK;
}

static void *message_alloc(void *user, size_t size)
{
    struct host_ctx *ctx = user;
    return host_services.alloc(&ctx->pub, size);
}

static void message_free(void *user, void *memory)
{
    struct host_ctx *ctx = user;
    host_services.free(&ctx->pub, memory);
}

static s4_status load_message(struct host_ctx *ctx, const s4_class *of, void *state, const char *at,
                              const char *end)
{
    uint64_t size;
    TRY(take(&at, end, &size, sizeof size));
    if (size != (size_t)(end - at))
        return S4_CORRUPT;
    ProtobufCAllocator allocator = { .alloc = message_alloc,
                                     .free = message_free,
                                     .allocator_data = ctx };
    ProtobufCMessage *message =
        protobuf_c_message_unpack(of->state_type, &allocator, size, (const uint8_t *)at);
    if (!message)
        return ctx->failed != S4_OK ? ctx->failed : S4_CORRUPT; /* no memory, or no message */
    memcpy(state, message, of->state_size);
    message_free(ctx, message);
    return S4_OK;
}

static s4_status load_by_kind(struct host_ctx *ctx, const s4_class *of, void *state, const char *at,
                              const char *end)
{
    if (of->state_kind == S4_FLAT)
        return take(&at, end, state, of->state_size);
    if (of->state_kind == S4_MESSAGE)
        return load_message(ctx, of, state, at, end);
    struct host_loader loader = { .at = at, .end = end };
    ctx->pub.host = &host_services_quiet;
    s4_status status = of->load(&ctx->pub, state, (s4_loader *)(void *)&loader);
    ctx->pub.host = &host_services;
    return status == S4_OK && loader.at != loader.end ? S4_CORRUPT : status;
}

static s4_status load_owned(struct host_ctx *ctx, const char **at, const char *end)
{
    struct instance *instance = instances_at(ctx->table, ctx->number);
    TRY(load_mailbox(ctx->prototype, ctx->table, instance, at, end));
    uint64_t size;
    TRY(take(at, end, &size, sizeof size));
    if (size > (size_t)(end - *at))
        return S4_CORRUPT;
    s4_status status = load_by_kind(ctx, ctx->prototype->of, instance_state(ctx->table, instance),
                                    *at, *at + size);
    ctx->failed = S4_OK;
    ctx->cause[0] = '\0';
    ctx->touched = 0;
    *at += size;
    return status;
}

/* What is saved of pointers in the entry means nothing here. */
static s4_status load_state(void *user, uint32_t number, const char **at, const char *end)
{
    struct state_user *u = user;
    struct host_prototype *prototype = u->prototype;
    struct instances *table = &u->partition->tables[prototype->number];
    struct instance *instance = instances_at(table, number);
    struct mailbox **box = host_mailbox(prototype, table, instance);
    if (box)
        *box = NULL;
    if (prototype->extra_heap != INSTANCE_NONE)
        memset((char *)instance_extra(table, instance) + prototype->extra_heap, 0, sizeof(void *));
    struct host_ctx *ctx = &u->partition->worker->ctx;
    ctx->prototype = prototype;
    ctx->table = table;
    ctx->number = number;
    ctx->kind = CALL_LOAD;
    s4_status status = load_owned(ctx, at, end);
    if (status != S4_OK) /* the table drops this one's entry */
        host_owned_clear(prototype, table, instance);
    return status;
}

static s4_status take_links_in(struct host_partition *p, const char **at, const char *end)
{
    size_t n = links_count(p->app->engine->map.slots);
    TRY(take(at, end, p->links_in.last, n * sizeof *p->links_in.last));
    TRY(take(at, end, p->links_in.genesis, n * sizeof *p->links_in.genesis));
    for (size_t i = 0; i < n; i++)
        if (p->links_in.last[i] > LINK_FRESH)
            return S4_CORRUPT;
    return S4_OK;
}

static s4_status load_rest(struct host_partition *p, const struct head *head, const char **at,
                           const char *end, struct diag *diag)
{
    struct host_app *app = p->app;
    TRY(take_buffer(at, end, &p->turns, head->turns));
    TRY(take_buffer(at, end, &p->producers, head->producers));
    TRY(take_links_in(p, at, end));
    TRY(take(at, end, p->links_out, app->engine->map.slots * sizeof *p->links_out));
    TRY(take(at, end, p->output_due_us, app->n_prototypes * sizeof *p->output_due_us));
    TRY(take(at, end, p->ttl_due_us, app->n_prototypes * sizeof *p->ttl_due_us));
    TRY(timers_load(p->timers, at, end));
    TRY(host_jobs_load(p, at, end, diag));
    for (uint32_t i = 0; i < app->n_outputs; i++)
        TRY(p->outputs[i].table ? table_load(p->outputs[i].table, at, end, diag)
                                : rowlog_load(p->outputs[i].log, at, end, diag));
    return rowlog_load(p->dead, at, end, diag);
}

static s4_status load_all(struct host_partition *p, const char **at, const char *end,
                          struct diag *diag)
{
    struct head head;
    TRY(take(at, end, &head, sizeof head));
    if (head.magic != PARTITION_MAGIC || head.slots != p->app->engine->map.slots ||
        head.graph != p->app->bundle->graph_hash)
        return S4_VERSION;
    p->now_us = head.now_us;
    p->last_id_ms = head.last_id_ms;
    p->lives = head.lives;
    if (head.last_probe > p->last_probe)
        p->last_probe = head.last_probe;
    p->turn = head.turn;
    p->astray = head.astray;
    for (uint32_t i = 0; i < p->app->n_outputs; i++)
        if (head.astray >> i & 1)
            atomic_store_explicit(&p->app->outputs[i].astray, true, memory_order_relaxed);
    p->next_id = head.next_id;
    p->resume_sub = head.resume_sub;
    p->resume_number = head.resume_number;
    p->resuming = head.resuming != 0;
    p->begun = true;
    p->rng = head.rng;
    for (uint32_t i = 0; i < p->app->n_prototypes; i++) {
        struct state_user user = { .partition = p,
                                   .prototype = &p->app->prototypes[i],
                                   .diag = diag };
        TRY(instances_load(&p->tables[i], at, end, load_state, &user));
    }
    TRY(load_rest(p, &head, at, end, diag));
    return *at == end ? S4_OK : S4_CORRUPT;
}

s4_status host_partition_load(struct host_partition *p, const char **at, const char *end,
                              struct diag *diag)
{
    struct diag why = { 0 };
    host_enter(p->worker, p, p->now_us);
    s4_status status = load_all(p, at, end, &why);
    host_partition_due(p);
    if (p->turns.size > 0)
        host_turn_later(p);
    host_leave(p->worker);
    return status == S4_OK ? S4_OK
                           : diag_set(diag, status, "app %s, partition %u: saved state: %.512s",
                                      p->app->graph->app, p->base.slot,
                                      why.text[0] ? why.text : s4_status_text(status));
}
