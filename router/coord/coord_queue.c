/* A first-in-first-out list of items; see the header. */
#include "router/coord/coord_queue.h"

#include "runtime/base/mem.h"

void coord_queue_init(struct coord_queue *queue)
{
    *queue = (struct coord_queue){ 0 };
    queue->tail = &queue->head;
    for (size_t i = 0; i < ARRAY_LEN(queue->states); i++) {
        queue->states[i].kind = COORD_ITEM_STATE;
        queue->states[i].state = (enum coord_state)i;
    }
}

void coord_queue_fini(struct coord_queue *queue)
{
    for (struct coord_item *item; (item = coord_queue_pop(queue));)
        coord_item_destroy(item);
}

void coord_queue_push(struct coord_queue *queue, struct coord_item *item)
{
    item->next = NULL;
    *queue->tail = item;
    queue->tail = &item->next;
}

static void unlink_item(struct coord_queue *queue, struct coord_item *item)
{
    struct coord_item **at = &queue->head;
    while (*at != item)
        at = &(*at)->next;
    *at = item->next;
    if (queue->tail == &item->next)
        queue->tail = at;
    item->queued = false;
}

void coord_queue_push_state(struct coord_queue *queue, enum coord_state state)
{
    struct coord_item *item = &queue->states[state];
    struct coord_item *returned = &queue->states[COORD_CONNECTED];
    if (state != COORD_CONNECTED && returned->queued)
        unlink_item(queue, returned);
    if (item->queued)
        return;
    item->queued = true;
    coord_queue_push(queue, item);
}

struct coord_item *coord_queue_pop(struct coord_queue *queue)
{
    struct coord_item *item = queue->head;
    if (!item)
        return NULL;
    queue->head = item->next;
    if (!queue->head)
        queue->tail = &queue->head;
    item->queued = false;
    return item;
}

struct coord_item *coord_item_create(enum coord_item_kind kind, const char *path)
{
    struct coord_item *item = mem_zalloc(sizeof *item);
    if (!item)
        return NULL;
    item->kind = kind;
    item->lost = S4_UNAVAILABLE;
    item->answer.failed_op = COORD_OPS_MAX;
    coord_item_set_path(item, path);
    return item;
}

void coord_item_destroy(struct coord_item *item)
{
    if (!item || item->kind == COORD_ITEM_STATE)
        return;
    mem_free(item->data);
    mem_free(item->names);
    mem_free(item);
}

void coord_item_set_path(struct coord_item *item, const char *path)
{
    size_t size = strlen(path);
    CHECK(size < sizeof item->path);
    memmove(item->path, path, size + 1);
    item->answer.path = item->path;
}

void coord_item_set_data(struct coord_item *item, const void *data, size_t size)
{
    item->data = mem_dup(size > 0 ? data : "", size > 0 ? size : 1);
    if (!item->data) {
        item->answer.status = S4_NO_MEMORY;
        return;
    }
    item->answer.data = item->data;
    item->answer.size = size;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void coord_item_set_names(struct coord_item *item, const char *const *names, size_t n)
{
    if (n > COORD_CHILDREN_MAX) {
        item->answer.status = S4_TOO_LARGE;
        return;
    }
    size_t bytes = (n + 1) * sizeof *names;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(names[i]) + 1;
    item->names = mem_alloc(bytes);
    if (!item->names) {
        item->answer.status = S4_NO_MEMORY;
        return;
    }
    char *at = (char *)(item->names + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(names[i]) + 1;
        memcpy(at, names[i], size);
        item->names[i] = at;
        at += size;
    }
    qsort(item->names, n, sizeof *item->names, compare_names);
    item->answer.names = (const char *const *)item->names;
    item->answer.n_names = n;
}

void coord_item_lose(struct coord_item *item)
{
    item->answer = (struct coord_answer){ .status = item->lost,
                                          .path = item->path,
                                          .failed_op = COORD_OPS_MAX };
}

void coord_tell(struct coord *coord, struct coord_item *item)
{
    switch (item->kind) {
    case COORD_ITEM_ANSWER:
        coord->calls--;
        item->call.answered(item->call.user, &item->answer);
        break;
    case COORD_ITEM_CHANGED:
        coord->upcalls->changed(coord->user, item->path, item->change);
        break;
    case COORD_ITEM_STATE:
        coord->state = item->state;
        coord->upcalls->session(coord->user, item->state);
        break;
    }
    coord_item_destroy(item);
}
