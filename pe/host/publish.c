/* What a call publishes: rows in the worker's scratch, into the partition's tables and logs, to be
 * committed or taken back at the end of the call (call.c).
 */
#include "pe/host/context.h"
#include "pe/output/row.h"

static s4_status output_failed(struct host_ctx *ctx, const struct host_output *output,
                               s4_status status, const char *what)
{
    char cause[HOST_CAUSE_MAX];
    if (status == S4_FULL)
        snprintf(cause, sizeof cause,
                 "output %s is full in partition %u (rows_max %llu, bytes_max %llu)", output->name,
                 ctx->partition->base.slot, (unsigned long long)output->limits.rows_max,
                 (unsigned long long)output->limits.bytes_max);
    else
        snprintf(cause, sizeof cause, "%s output %s: %s", what, output->name,
                 s4_status_text(status));
    return host_fail(ctx, status, cause);
}

static s4_status row_key(struct host_ctx *ctx, const struct host_output *output,
                         const ProtobufCMessage *row, const struct key_at **key)
{
    struct keys *keys = &ctx->worker->keys;
    TRY(keys_of_message(keys, &output->key, row));
    if (keys_count(keys) != 1)
        return S4_INVALID;
    *key = keys_at(keys, 0);
    return S4_OK;
}

/* Queries by key ask one partition as long as all rows are of their partition's slot (pin.c). */
static void note_place(struct host_ctx *ctx, uint32_t number, uint64_t hash)
{
    struct host_partition *p = ctx->partition;
    if (LIKELY(slot_of_hash(hash, ctx->app->engine->map.slots) == p->base.slot) ||
        (p->astray >> number & 1))
        return;
    p->astray |= UINT64_C(1) << number;
    atomic_store_explicit(&ctx->app->outputs[number].astray, true, memory_order_relaxed);
}

static s4_status publish_row(struct host_ctx *ctx, const struct host_output *output,
                             struct host_output_state *state, const ProtobufCMessage *row)
{
    struct value value;
    TRY(row_encode(output->codec, row, &ctx->worker->row, &value));
    if (!output->table) {
        TRY(rowlog_append(state->log, ctx->partition->now_us, &value));
        if (UNLIKELY(state->tails != NULL))
            host_tails_append(ctx->partition, state, &value);
        return S4_OK;
    }
    const struct key_at *key;
    TRY(row_key(ctx, output, row, &key));
    note_place(ctx, (uint32_t)(output - ctx->app->outputs), key->hash);
    const char *bytes = keys_bytes(&ctx->worker->keys, key);
    if (LIKELY(!state->tails))
        return table_publish(state->table, key->hash, bytes, key->len, &value);
    return host_tails_publish(ctx->partition, state, key, bytes, &value);
}

s4_status host_publish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row)
{
    struct host_ctx *ctx = host_of(pub);
    uint16_t number = *handle->number;
    const struct host_output *output = &ctx->app->outputs[number];
    if (!host_allowed(ctx, HOST_IN_EVENTS))
        return host_fail(ctx, S4_STATE, "s4_publish is not allowed in this callback");
    if (row->descriptor != output->type->descriptor)
        return output_failed(ctx, output, S4_TYPE, "publish to");
    ctx->outputs |= UINT64_C(1) << number;
    ctx->touched |= HOST_TOUCHED;
    s4_status status = publish_row(ctx, output, &ctx->partition->outputs[number], row);
    if (UNLIKELY(status != S4_OK))
        return output_failed(ctx, output, status, "publish to");
    ctx->published++;
    return S4_OK;
}

s4_status host_unpublish(s4_ctx *pub, const s4_output *handle, const ProtobufCMessage *row)
{
    struct host_ctx *ctx = host_of(pub);
    uint16_t number = *handle->number;
    const struct host_output *output = &ctx->app->outputs[number];
    if (!host_allowed(ctx, HOST_IN_EVENTS))
        return host_fail(ctx, S4_STATE, "s4_unpublish is not allowed in this callback");
    if (!output->table)
        return output_failed(ctx, output, S4_TYPE, "unpublish from a log,");
    ctx->outputs |= UINT64_C(1) << number;
    ctx->touched |= HOST_TOUCHED;
    const struct key_at *key;
    struct host_output_state *state = &ctx->partition->outputs[number];
    uint32_t changes = table_changes(state->table);
    s4_status status = row_key(ctx, output, row, &key);
    if (status == S4_OK)
        status =
            table_unpublish(state->table, key->hash, keys_bytes(&ctx->worker->keys, key), key->len);
    if (UNLIKELY(state->tails != NULL))
        host_tails_removed(ctx->partition, state, changes);
    return status == S4_OK ? S4_OK : output_failed(ctx, output, status, "unpublish from");
}
