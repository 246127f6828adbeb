/* Reading saved tables and logs; see the header. A row is laid out behind an empty record head,
 * where its references count from, so that what checks untrusted records checks it too. */
#include "pe/output/saved.h"

#include "pe/output/limits.h"
#include "runtime/record/codec.h"

_Static_assert(sizeof(struct record) + 8 == OUTPUT_ROW_BASE, "a record with an empty key");

void saved_init(struct saved *saved, const char *at, const char *end, const struct type *type,
                const char *what, struct diag *diag)
{
    *saved = (struct saved){ .at = at, .end = end, .type = type, .what = what, .diag = diag };
    buffer_init(&saved->row);
}

void saved_fini(struct saved *saved)
{
    buffer_fini(&saved->row);
}

s4_status saved_corrupt(const struct saved *saved, const char *why)
{
    return diag_set(saved->diag, S4_CORRUPT, "saved %s of %s: %s", saved->what, saved->type->name,
                    why);
}

s4_status saved_beyond(const struct saved *saved)
{
    return diag_set(saved->diag, S4_RANGE, "saved %s of %s: more than rows_max and bytes_max allow",
                    saved->what, saved->type->name);
}

s4_status saved_check_head(const struct saved *saved, bool known, uint64_t type)
{
    if (!known)
        return saved_corrupt(saved, "it was saved by something else or under another policy");
    if (type != saved->type->hash)
        return diag_set(saved->diag, S4_TYPE, "saved %s of %s: the type was another then",
                        saved->what, saved->type->name);
    return S4_OK;
}

s4_status saved_take(struct saved *saved, void *to, size_t size)
{
    if ((size_t)(saved->end - saved->at) < size)
        return saved_corrupt(saved, "it is cut short");
    memcpy(to, saved->at, size);
    saved->at += size;
    return S4_OK;
}

s4_status saved_take_row(struct saved *saved, uint32_t size, struct value *row)
{
    if (size > RECORD_MAX || size % 8 != 0)
        return saved_corrupt(saved, "a row has an impossible size");
    buffer_clear(&saved->row);
    char *at = buffer_room(&saved->row, OUTPUT_ROW_BASE + size);
    if (!at)
        return S4_NO_MEMORY;
    struct record *record = (struct record *)(void *)at;
    memset(at, 0, OUTPUT_ROW_BASE);
    record->len = OUTPUT_ROW_BASE + size;
    TRY(saved_take(saved, at + OUTPUT_ROW_BASE, size));
    TRY(codec_check(saved->type, record, saved->diag));
    *row = value_of_record(saved->type, record);
    /* In a record text may lie in the key, which a row does not have. */
    return value_size_whole(row) == size ? S4_OK
                                         : saved_corrupt(saved, "a row refers to what is not its");
}
