/* Unpacking a FileDescriptorSet that came from outside.
 *
 * protobuf-c unpacks by recursion without a bound, and a few bytes may become a large struct. So
 * the nesting is measured first, on the bytes, and the memory comes from a budget.
 */
#include "runtime/base/mem.h"
#include "runtime/record/schema_set.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static bool read_varint(struct cursor *cursor, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
        uint8_t byte = *cursor->at++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

/* The number of the field that nests deeper: file, message_type, nested_type. */
static uint64_t nesting_field(int level)
{
    return level == 0 ? 1 : level == 1 ? 4 : 3;
}

/* Whether the messages nest at most SET_NESTING_MAX deep; `*fits` says whether it is not that. */
static bool scan(struct cursor cursor, int level, bool *fits)
{
    while (cursor.at < cursor.end) {
        uint64_t tag, size;
        if (!read_varint(&cursor, &tag))
            return false;
        switch (tag & 7) {
        case 0:
            if (!read_varint(&cursor, &size))
                return false;
            continue;
        case 1:
            size = 8;
            break;
        case 2:
            if (!read_varint(&cursor, &size))
                return false;
            break;
        case 5:
            size = 4;
            break;
        default:
            return false;
        }
        if (size > (uint64_t)(cursor.end - cursor.at))
            return false;
        if ((tag & 7) == 2 && tag >> 3 == nesting_field(level)) {
            if (level == SET_NESTING_MAX + 1) {
                *fits = false;
                return false;
            }
            if (!scan((struct cursor){ cursor.at, cursor.at + size }, level + 1, fits))
                return false;
        }
        cursor.at += size;
    }
    return true;
}

struct budget {
    size_t left;
    bool spent;
    bool no_memory;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left) {
        budget->spent = true;
        return NULL;
    }
    budget->left -= size;
    void *p = mem_alloc(size);
    budget->no_memory |= !p;
    return p;
}

static void budget_free(void *data, void *p)
{
    mem_free(p);
}

static struct ProtobufCAllocator allocator_of(struct budget *budget)
{
    return (struct ProtobufCAllocator){ budget_alloc, budget_free, budget };
}

s4_status set_unpack(const void *bytes, size_t size, set_files **set, struct diag *diag)
{
    const uint8_t *from = bytes;
    bool fits = true;
    if (size > SCHEMA_SET_MAX)
        return diag_set(diag, S4_TOO_LARGE, "descriptor set: %zu bytes, the most are %zu", size,
                        SCHEMA_SET_MAX);
    if (!scan((struct cursor){ from, from + size }, 0, &fits))
        return fits
                   ? diag_set(diag, S4_MALFORMED, "descriptor set: it is none, or cut off")
                   : diag_set(diag, S4_TOO_LARGE,
                              "descriptor set: messages are declared in messages more than %d deep",
                              SET_NESTING_MAX);
    struct budget budget = { .left = SET_MEMORY_MAX };
    struct ProtobufCAllocator allocator = allocator_of(&budget);
    *set = google__protobuf__file_descriptor_set__unpack(&allocator, size, from);
    if (*set)
        return S4_OK;
    if (budget.no_memory)
        return diag_set(diag, S4_NO_MEMORY, "no memory for the descriptor set");
    if (budget.spent)
        return diag_set(diag, S4_TOO_LARGE, "descriptor set: more than %zu bytes when unpacked",
                        SET_MEMORY_MAX);
    return diag_set(diag, S4_MALFORMED, "descriptor set: it is none, or cut off");
}

void set_free(set_files *set)
{
    struct budget budget = { 0 };
    struct ProtobufCAllocator allocator = allocator_of(&budget);
    if (set)
        google__protobuf__file_descriptor_set__free_unpacked(set, &allocator);
}
