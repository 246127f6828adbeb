/* The memory of an instance: what s4_alloc hands out, in a list that goes with the instance,
 * counted against its prototype's bound.
 */
#include "pe/host/context.h"

struct heap_block {
    struct heap_block *next;
    struct heap_block *before;
    size_t size;
    char data[] __attribute__((aligned(16)));
};

static struct heap_block **heap_head(const struct host_prototype *prototype,
                                     struct instances *table, struct instance *instance)
{
    return (struct heap_block **)(void *)((char *)instance_extra(table, instance) +
                                          prototype->extra_heap);
}

static void heap_link(struct heap_block **head, struct heap_block *block)
{
    block->before = NULL;
    block->next = *head;
    if (*head)
        (*head)->before = block;
    *head = block;
}

static void heap_unlink(struct heap_block **head, struct heap_block *block)
{
    if (block->before)
        block->before->next = block->next;
    else
        *head = block->next;
    if (block->next)
        block->next->before = block->before;
}

static bool heap_allowed(struct host_ctx *ctx, size_t more)
{
    if (!ctx->partition || !ctx->prototype || ctx->prototype->extra_heap == INSTANCE_NONE) {
        host_fail(ctx, S4_STATE, "s4_alloc: flat state has no memory of its own");
        return false;
    }
    uint64_t used =
        ctx->partition->heap_bytes[ctx->prototype->number] + instances_bytes(ctx->table);
    if (more > ctx->prototype->bytes_max || used > ctx->prototype->bytes_max - more) {
        host_fail(ctx, S4_FULL, "s4_alloc: the prototype's bound on bytes is reached");
        return false;
    }
    return true;
}

static void heap_count(struct host_ctx *ctx, size_t plus, size_t minus)
{
    ctx->partition->heap_bytes[ctx->prototype->number] += plus - minus;
    counter *bytes = &host_counters(ctx->worker, ctx->app)->state_bytes;
    count_add(bytes, plus - minus);
}

void *host_heap_alloc(s4_ctx *pub, size_t size)
{
    struct host_ctx *ctx = host_of(pub);
    if (!heap_allowed(ctx, size))
        return NULL;
    struct heap_block *block = mem_zalloc(sizeof *block + size);
    if (!block) {
        host_fail(ctx, S4_NO_MEMORY, "s4_alloc: out of memory");
        return NULL;
    }
    block->size = size;
    heap_link(heap_head(ctx->prototype, ctx->table, host_instance_of(ctx)), block);
    heap_count(ctx, size, 0);
    return block->data;
}

void *host_heap_realloc(s4_ctx *pub, void *memory, size_t size)
{
    if (!memory)
        return host_heap_alloc(pub, size);
    struct host_ctx *ctx = host_of(pub);
    struct heap_block *block = CONTAINER_OF(memory, struct heap_block, data);
    size_t old = block->size;
    if (size > old && !heap_allowed(ctx, size - old))
        return NULL;
    struct heap_block **head = heap_head(ctx->prototype, ctx->table, host_instance_of(ctx));
    heap_unlink(head, block);
    struct heap_block *grown = mem_realloc(block, sizeof *block + size);
    heap_link(head, grown ? grown : block);
    if (!grown) {
        host_fail(ctx, S4_NO_MEMORY, "s4_realloc: out of memory");
        return NULL;
    }
    if (size > old)
        memset(grown->data + old, 0, size - old);
    grown->size = size;
    heap_count(ctx, size, old);
    return grown->data;
}

void host_heap_free(s4_ctx *pub, void *memory)
{
    if (!memory)
        return;
    struct host_ctx *ctx = host_of(pub);
    struct heap_block *block = CONTAINER_OF(memory, struct heap_block, data);
    heap_unlink(heap_head(ctx->prototype, ctx->table, host_instance_of(ctx)), block);
    heap_count(ctx, 0, block->size);
    mem_free(block);
}

uint64_t host_heap_clear(const struct host_prototype *prototype, struct instances *table,
                         struct instance *instance)
{
    if (prototype->extra_heap == INSTANCE_NONE)
        return 0;
    struct heap_block **head = heap_head(prototype, table, instance);
    uint64_t bytes = 0;
    for (struct heap_block *block = *head; block;) {
        struct heap_block *next = block->next;
        bytes += block->size;
        mem_free(block);
        block = next;
    }
    *head = NULL;
    return bytes;
}
