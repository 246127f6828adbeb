/* Any bytes as a block: it is refused, or walking it and reading headers and keys stays inside.
 *
 * The first two bytes are the announced count of records. */
#include "runtime/base/diag.h"
#include "runtime/base/hash.h"
#include "runtime/base/mem.h"
#include "runtime/record/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOTS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t count;
    if (size < sizeof count || size > RECORD_MAX)
        return 0;
    memcpy(&count, data, sizeof count);
    size_t used = size - sizeof count;
    struct block block = { .capacity = (uint32_t)used, .used = (uint32_t)used, .count = count };
    block.data = mem_dup(data + sizeof count, used); /* of exactly its size */
    CHECK(block.data);
    struct diag diag = { 0 };
    if (block_check(&block, SLOTS, &diag) == S4_OK) {
        uint32_t n = 0;
        uint64_t sum = 0;
        for (const struct record *at = block_first(&block); at < block_end(&block); n++) {
            CHECK(at->dst < SLOTS && record_key(at)[record_key_len(at)] == '\0');
            CHECK(record_attributes(at) <= (const char *)record_next(at));
            sum ^= hash_bytes(record_key(at), record_key_len(at));
            sum ^= hash_bytes(record_attributes(at),
                              (size_t)((const char *)record_next(at) - record_attributes(at)));
            at = record_next(at);
        }
        CHECK(n == count);
        __asm__ volatile("" : : "r"(sum)); /* the reads must happen */
    } else {
        CHECK(diag.text[0]);
    }
    mem_free(block.data);
    return 0;
}
