/* Copying a slot ahead of its move: its worker looks at its partitions bit by bit, between two
 * runs, and gives what it has not given before as it is now. When the slot is held in the end, its
 * state refers to what was given and is still so (pieces.h). What changed meanwhile was given in
 * vain.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"
#include "pe/host/pieces.h"
#include "pe/host/slots.h"

struct slot_copy {
    struct message message;
    struct host_coming of;
    struct pieces *pieces;
    size_t looked, size;   /* bytes of this look so far, of the last whole one */
    uint32_t place;        /* of the app that is looked at */
    struct host_look look; /* at its partition */
    struct buffer seen;    /* scratch: what one step has looked at */
    struct cuts cuts;      /* in it */
    size_t bytes;          /* that this step may look at */
    slot_copied *done;
    void *user;
};

s4_status slot_copy_create(uint64_t seed, struct slot_copy **copy)
{
    struct slot_copy *made = mem_zalloc(sizeof *made);
    if (!made)
        return S4_NO_MEMORY;
    s4_status status = pieces_create(seed, &made->pieces);
    if (status != S4_OK) {
        mem_free(made);
        return status;
    }
    buffer_init(&made->seen);
    *copy = made;
    return S4_OK;
}

void slot_copy_destroy(struct slot_copy *copy)
{
    if (!copy)
        return;
    pieces_destroy(copy->pieces);
    buffer_fini(&copy->seen);
    cuts_fini(&copy->cuts);
    mem_free(copy);
}

size_t host_copy_size(const struct slot_copy *copy)
{
    return copy->size;
}

const struct pieces *host_copy_pieces(const struct slot_copy *copy)
{
    return copy->pieces;
}

/* Apps may come and go between two steps: what is looked at in vain, or twice, does no harm. */
static s4_status look(struct slot_copy *copy)
{
    const struct engine *engine = copy->of.engine;
    buffer_clear(&copy->seen);
    copy->cuts.n = 0;
    while (copy->place < host_places(engine) && copy->seen.size < copy->bytes) {
        const struct host_app *app = host_app_at(engine, copy->place);
        struct host_partition *p = app ? host_partition_at(app, copy->of.slot) : NULL;
        bool over = true;
        if (p)
            TRY(host_partition_save_some(p, &copy->look, copy->bytes - copy->seen.size, &copy->seen,
                                         &copy->cuts, &over));
        if (over) {
            copy->look = (struct host_look){ 0 };
            copy->place++;
        }
    }
    return S4_OK;
}

static s4_status offer(struct slot_copy *copy, struct buffer *out)
{
    size_t at = 0;
    for (size_t i = 0; i < copy->cuts.n; i++) {
        TRY(pieces_offer(copy->pieces, copy->seen.data + at, copy->cuts.at[i] - at, out));
        at = copy->cuts.at[i];
    }
    return S4_OK;
}

static void copy_step(void *owner, struct message *message)
{
    struct slot_copy *copy = CONTAINER_OF(message, struct slot_copy, message);
    struct buffer out;
    buffer_init(&out);
    s4_status status = host_coming_is_over(&copy->of) ? S4_UNAVAILABLE : look(copy);
    if (status == S4_OK)
        status = offer(copy, &out);
    bool over = copy->place >= host_places(copy->of.engine);
    copy->looked += copy->seen.size;
    if (over) {
        copy->size = copy->looked;
        copy->looked = 0;
        copy->place = 0;
    }
    copy->done(copy->user, status, &out, over);
}

void engine_slot_copy(struct engine *engine, uint32_t slot, struct slot_copy *copy, size_t bytes,
                      slot_copied *done, void *user)
{
    CHECK(engine->slots[slot].state != SLOT_ELSEWHERE);
    copy->message.run = copy_step;
    copy->of = host_coming_of(engine, slot);
    copy->bytes = bytes;
    copy->done = done;
    copy->user = user;
    worker_post(engine->workers[engine->slots[slot].worker].actor, &copy->message);
}
