/* A mailbox: what waits for one actor, oldest first. It exists only while something waits; the run
 * in the worker's hands is the queue otherwise (README.md, rule 11).
 *
 * An item is bytes of a kind, copied in (so that a waiting record does not pin its block) or handed
 * over as a pointer. Bounded by items and bytes; what happens when it is full is the caller's
 * policy. One owner thread.
 */
#ifndef RUNTIME_ACTOR_MAILBOX_H
#define RUNTIME_ACTOR_MAILBOX_H

#include "runtime/base/base.h"

struct mailbox_limits {
    uint32_t items_max;
    uint64_t bytes_max;
};

struct mail {
    struct mail *next;
    uint32_t size;   /* of data */
    uint16_t kind;   /* the caller's */
    uint16_t note;   /* the caller's */
    uint64_t number; /* the caller's */
    char data[] __attribute__((aligned(16)));
};

struct mailbox {
    struct mail *oldest;
    struct mail *newest;
    uint32_t count;
    uint64_t bytes; /* of data */
};

struct mailbox *mailbox_create(void);          /* NULL: out of memory */
void mailbox_destroy(struct mailbox *mailbox); /* drops what waits; NULL is fine */

/* Would an item of this size fit? An empty mailbox takes any single item. */
static inline bool mailbox_fits(const struct mailbox *mailbox, const struct mailbox_limits *limits,
                                size_t size)
{
    return mailbox->count == 0 ||
           (mailbox->count < limits->items_max && mailbox->bytes + size <= limits->bytes_max);
}

/* Copies an item in, behind the others; 16 zero bytes follow its data. S4_FULL: it does not fit
 * (the mailbox is as before); S4_NO_MEMORY. */
s4_status mailbox_push(struct mailbox *mailbox, const struct mailbox_limits *limits, uint16_t kind,
                       uint16_t note, uint64_t number, const void *data, size_t size) MUST_USE;

/* The oldest item, now the caller's (mem_free); NULL: empty. */
struct mail *mailbox_pop(struct mailbox *mailbox);

#endif
