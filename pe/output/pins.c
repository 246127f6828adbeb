/* Pins and what is kept for them; see the header.
 *
 * Both lists are queues: pins are made with rising epochs, and things are retired with rising ones.
 * So the oldest living pin decides alone how much of the retired queue may go, and nothing is
 * searched. A thing is kept a little longer than needed when a newer pin came after its death and
 * an older one before its birth; that costs memory for as long as the older pin lives, and saves
 * the chains of versions from being cut in the middle while somebody walks them.
 */
#include "pe/output/pins.h"

#include "runtime/base/mem.h"

void pins_init(struct pins *pins)
{
    *pins = (struct pins){ .epoch = 1 };
    atomic_init(&pins->holds, 1);
}

void pins_add(struct pins *pins, struct pin *pin)
{
    pin->next = NULL;
    pin->pins = pins;
    pin->epoch = pins->epoch++;
    atomic_init(&pin->ended, false);
    if (pins->last)
        pins->last->next = pin;
    else
        pins->first = pin;
    pins->last = pin;
    pins->newest = pin->epoch;
    pins->n++;
    /* Relaxed: the owner has a hold, so it cannot be the last one that this races with. */
    atomic_fetch_add_explicit(&pins->holds, 1, memory_order_relaxed);
}

static void drop_ended(struct pins *pins)
{
    struct pin **at = &pins->first;
    pins->last = NULL;
    pins->newest = 0;
    while (*at) {
        struct pin *pin = *at;
        if (atomic_load_explicit(&pin->ended, memory_order_acquire)) {
            *at = pin->next;
            mem_free(pin);
            pins->n--;
        } else {
            pins->last = pin;
            pins->newest = pin->epoch;
            at = &pin->next;
        }
    }
}

/* Frees what died in `epoch` or before. */
static void free_retired(struct pins *pins, uint64_t epoch)
{
    while (pins->oldest && pins->oldest->died <= epoch) {
        struct retired *retired = pins->oldest;
        pins->oldest = retired->next;
        pins->retired_bytes -= retired->size;
        mem_free(retired);
    }
    if (!pins->oldest)
        pins->latest = NULL;
}

void pins_sweep(struct pins *pins)
{
    if (pins->n == 0)
        return;
    drop_ended(pins);
    free_retired(pins, pins->first ? pins->first->epoch : UINT64_MAX);
}

void pins_retire(struct pins *pins, struct retired *retired, size_t size)
{
    if (pins->n == 0) {
        mem_free(retired);
        return;
    }
    *retired = (struct retired){ .died = pins->epoch, .size = size };
    if (pins->latest)
        pins->latest->next = retired;
    else
        pins->oldest = retired;
    pins->latest = retired;
    pins->retired_bytes += size;
}

bool pins_release(struct pins *pins)
{
    return atomic_fetch_sub_explicit(&pins->holds, 1, memory_order_acq_rel) == 1;
}

bool pins_end(struct pin *pin)
{
    /* From the store on the owner may free the pin; the hold keeps what it pinned. */
    struct pins *pins = pin->pins;
    atomic_store_explicit(&pin->ended, true, memory_order_release);
    return pins_release(pins);
}

void pins_fini(struct pins *pins)
{
    while (pins->first) {
        struct pin *pin = pins->first;
        pins->first = pin->next;
        mem_free(pin);
    }
    free_retired(pins, UINT64_MAX);
}
