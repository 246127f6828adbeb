/* Keys: the value of the attributes that a subscription names, in one canonical form.
 *
 * A part is a text or bytes as they are, or a number (integers, bools, enums) as 8 bytes big-endian
 * with the sign bit flipped, so that bytes sort as numbers do and equal numbers of any width meet.
 * The only part of a key is those bytes; of several, each is preceded by its length as a
 * little-endian u16. No floats. A repeated part gives one key per distinct element; an absent part
 * gives none. The hash of a key is XXH3-64 with seed 0 over the form. All of this is wire contract:
 * the vectors in the tests hold it.
 *
 * A spec is immutable; any thread. The type must outlive it.
 */
#ifndef ROUTER_KEY_KEY_H
#define ROUTER_KEY_KEY_H

#include "runtime/base/base.h"
#include "runtime/base/buffer.h"
#include "runtime/base/diag.h"
#include "runtime/record/codec.h"
#include "runtime/record/schema.h"
#include "runtime/record/writer.h"

#define KEY_PARTS_MAX 8
#define KEY_DEPTH_MAX 8     /* components of a path "a.b.c" */
#define KEYS_MAX      65536 /* distinct keys of one event and spec */
#define KEYS_COMBINED_MAX \
    (1u << 20) /* combinations of repeated parts' elements that are looked at */
#define KEY_SIGN (UINT64_C(1) << 63) /* of a number's form: flipped */

struct key_part {
    const struct field *path[KEY_DEPTH_MAX]; /* messages, then the attribute */
    uint32_t depth;
    bool number; /* 8 bytes; else text or bytes */
    bool repeated;
};

struct key_spec {
    const struct type *type;
    uint32_t n_parts;
    struct key_part parts[KEY_PARTS_MAX];
    /* The commonest key by far, one text of the event itself: its image offset; else FIELD_NONE. */
    uint32_t text_offset;
    bool one; /* that, or the next one, and a required attribute: every event has just one key */
    const struct field *number; /* the next one, one number of the event itself; else NULL */
    bool repeated;              /* some part is */
};

/* Compiles "user,page.id" against a type. S4_NOT_FOUND, S4_TYPE, S4_TOO_LARGE, with what and where.
 */
s4_status key_spec_compile(const struct type *type, const char *text, struct key_spec *spec,
                           struct diag *diag) MUST_USE;

/* The distinct keys of one event, one after the other; reused from event to event, one thread. */
struct keys {
    struct buffer bytes; /* the forms, each followed by 16 readable bytes */
    struct buffer list;  /* struct key_at */
    struct buffer set;   /* of many: uint32_t, a power of two, 1 + place in the list or 0 */
};
struct key_at {
    uint32_t offset;
    uint32_t len;
    uint64_t hash;
};
void keys_init(struct keys *keys);
void keys_fini(struct keys *keys);
static inline size_t keys_count(const struct keys *keys)
{
    return keys->list.size / sizeof(struct key_at);
}
static inline const struct key_at *keys_at(const struct keys *keys, size_t i)
{
    return (const struct key_at *)(const void *)keys->list.data + i;
}
static inline const char *keys_bytes(const struct keys *keys, const struct key_at *at)
{
    return keys->bytes.data + at->offset;
}

/* Finds all keys of an event: of a protoc-c struct, or of a value. Their order is that of the
 * elements; none when a part is absent. S4_TOO_LARGE: a key over RECORD_KEY_MAX, or more than
 * KEYS_MAX. */
s4_status keys_of_message(struct keys *keys, const struct key_spec *spec,
                          const void *message) MUST_USE;
s4_status keys_of_value(struct keys *keys, const struct key_spec *spec,
                        const struct value *value) MUST_USE;

/* The form of a number that lies at `at` as in a message or an image. */
void key_number_form(ProtobufCType type, const char *at, char form[sizeof(uint64_t)]);

/* Part `part` of a key: text or bytes, borrowed from the key; or its number. False: no such part,
 * or of the other kind. */
bool key_text(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
              const char **text, size_t *text_len);
bool key_number(const struct key_spec *spec, const char *key, size_t len, uint32_t part,
                int64_t *number);

/* From parts as a person writes them, "alice,7" (a backslash takes the next character as it is;
 * enums by name or number). Appends the form to `out`. */
s4_status key_parse(const struct key_spec *spec, const char *text, struct buffer *out,
                    struct diag *diag) MUST_USE;
/* The reverse, for people. */
s4_status key_format(const struct key_spec *spec, const char *key, size_t len,
                     struct buffer *out) MUST_USE;

#endif
