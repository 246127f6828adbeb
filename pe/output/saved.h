/* Reads what a table or a log saved: bytes that nobody vouches for, taken piece by piece. */
#ifndef PE_OUTPUT_SAVED_H
#define PE_OUTPUT_SAVED_H

#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/writer.h"

struct saved {
    const char *at;
    const char *end;
    const struct type *type;
    const char *what; /* "table", "log", for messages */
    struct diag *diag;
    struct buffer row; /* one row in the shape of a record, aligned, for its check */
};

void saved_init(struct saved *saved, const char *at, const char *end, const struct type *type,
                const char *what, struct diag *diag);
void saved_fini(struct saved *saved);

s4_status saved_take(struct saved *saved, void *to, size_t size) MUST_USE;
/* A row of `size` bytes, checked; borrowed until the next. */
s4_status saved_take_row(struct saved *saved, uint32_t size, struct value *row) MUST_USE;
/* S4_CORRUPT and S4_TYPE where the head is another's. */
s4_status saved_check_head(const struct saved *saved, bool known, uint64_t type) MUST_USE;
/* The bounds of now are narrower than those that it was saved under. */
s4_status saved_beyond(const struct saved *saved);
s4_status saved_corrupt(const struct saved *saved, const char *why);

#endif
