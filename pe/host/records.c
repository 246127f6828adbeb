/* Records of the engine's own. Most go the way of all records, so that they keep the links' order
 * (router/link/README.md, rule 6): batches and their probes (inject.c), answers that follow who
 * asked to another node (requests.c). Control is for one partition of this node, from the node
 * itself, and is on no link: its place is behind what waits for the partition when it is sent. So
 * are the events of other apps' partitions of the slot (exports.c).
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"

#include "runtime/base/hash.h"

struct control {
    uint32_t kind;
    uint32_t source;
    uint64_t version;
};

struct block *host_control_block(struct host_app *app, uint32_t slot, enum host_control_kind kind,
                                 uint32_t source, uint64_t version)
{
    const struct control control = { kind, source, version };
    const size_t head = sizeof(struct record) + record_key_room(0);
    struct block *block = block_take(app->engine->pool, 0);
    if (!block)
        return NULL;
    struct record *record = (struct record *)(void *)block->data;
    memset(record, 0, head);
    record->len = (uint32_t)(head + sizeof control);
    record->stream = STREAM_CONTROL;
    record->key_hash = hash_bytes("", 0);
    record->src = HOST_CONTROL;
    record->dst = (uint16_t)slot;
    memcpy(block->data + head, &control, sizeof control);
    block->app = app->number;
    block->worker = slot_worker(&app->engine->map, slot);
    block->used = record->len;
    block->count = 1;
    return block;
}

static struct control control_of(const struct record *record)
{
    struct control control;
    memcpy(&control, record_attributes(record), sizeof control);
    return control;
}

static s4_status control_check(const struct host_app *app, const struct record *record,
                               struct diag *diag)
{
    if (record->len != sizeof *record + record_key_room(0) + sizeof(struct control))
        return diag_set(diag, S4_CORRUPT, "a control record of %u bytes", record->len);
    struct control control = control_of(record);
    if (control.kind != CONTROL_FORGET || control.source >= links_count(app->engine->map.slots))
        return diag_set(diag, S4_CORRUPT, "an unknown control record: %u, %u", control.kind,
                        control.source);
    return S4_OK;
}

s4_status host_engine_record_check(const struct host_app *app, const struct record *record,
                                   bool moved, struct diag *diag)
{
    bool own = record->stream == STREAM_CONTROL || record->stream == STREAM_IMPORT;
    if ((record->src == HOST_CONTROL) != own)
        return diag_set(diag, S4_CORRUPT, "stream %u from source %u", record->stream, record->src);
    switch (record->stream) {
    case STREAM_PROBE:
    case STREAM_PROBED:
        return host_probe_check(app, record, diag);
    case STREAM_NOTHING:
        return S4_OK;
    case STREAM_CONTROL:
        if (moved)
            return control_check(app, record, diag);
        break;
    case STREAM_IMPORT:
        if (moved)
            return host_import_check(app, record, diag);
        break;
    default:
        break;
    }
    return diag_set(diag, S4_CORRUPT, "stream %u is not for other nodes", record->stream);
}

/* What asks whether batches are applied may have been with the slot that began anew, or its answer:
 * it is asked again with the batch, which is known by its number. */
static void forget(struct host_partition *p, const struct record *record)
{
    struct control control = control_of(record);
    link_forget(&p->links_in, control.source, control.version);
    if (control.source < p->app->engine->map.slots)
        host_probes_drop(p);
}

void host_engine_record(struct host_ctx *ctx, const struct record *record)
{
    switch (record->stream) {
    case STREAM_INJECT:
        host_batch_came(ctx, record);
        break;
    case STREAM_PROBE:
        host_probe_came(ctx, record);
        break;
    case STREAM_PROBED:
        host_probe_answered(ctx, record);
        break;
    case STREAM_NOTHING:
        break;
    case STREAM_CONTROL:
        forget(ctx->partition, record);
        break;
    case STREAM_IMPORT:
        host_import_came(ctx, record);
        break;
    default:
        engine_fault(ctx->app->engine, "a record with the unknown engine stream %u",
                     record->stream);
        break;
    }
}

uint64_t host_partition_clear(struct host_worker *worker, struct host_partition *p)
{
    uint64_t more = 0; /* events than records */
    for (const struct run *run = p->base.oldest; run; run = run->next) {
        for (uint32_t i = run->done; i < run->count; i++) {
            const struct record *record = run_record(run, i);
            if (record->stream == STREAM_INJECT)
                host_batch_drop(record);
            if (record->stream == STREAM_IMPORT)
                more += host_import_count(record) - 1;
        }
    }
    return partition_clear(worker->actor, &p->base) + more;
}
