/* What tests of records share: a schema of the test protos, places for records, arenas. */
#ifndef TESTS_SUPPORT_RECORD_BENCH_H
#define TESTS_SUPPORT_RECORD_BENCH_H

#include <check.h>

#include "runtime/base/rng.h"
#include "runtime/record/codec.h"
#include "runtime/record/writer.h"
#include "tests/support/protos/nested.pb-c.h"

#define RECORD_ROOM   (256 * KIB)
#define RECORD_SLACK  64
#define RECORD_KEY    "the key"
#define RECORD_KEY_AT (sizeof(struct record) + 2)

/* Like ck_assert, which writes to a pipe each time and so cannot be called a hundred million times.
 */
#define WANT(cond)                     \
    do {                               \
        if (!(cond))                   \
            ck_abort_msg("%s", #cond); \
    } while (0)

struct bench {
    struct schema *schema;
    struct arena messages;
    struct arena decoded;
    struct rng rng;
    char *room[2]; /* two places for a record, with guards behind the slack */
};

/* They reach every type of the test protos but the shapes. */
extern const ProtobufCMessageDescriptor *const record_roots[];
extern const size_t record_n_roots;

void bench_open(struct bench *bench, const ProtobufCMessageDescriptor *const *types, size_t n);
/* The same with a given seed, for tests that open many. */
void bench_open_seed(struct bench *bench, const ProtobufCMessageDescriptor *const *types, size_t n,
                     uint64_t seed);
void bench_close(struct bench *bench);
struct codec *codec_of(const struct type *type);

/* A header and a key at the start of a room; answers where the attributes go. */
char *start_record(char *room, const char *key);

/* A whole record with RECORD_KEY in room 0, which has to be large enough. */
struct record *put_message(struct bench *bench, const struct codec *codec,
                           const ProtobufCMessage *message, const struct codec_alias *alias);

/* The message of a record, with its memory in `decoded`. */
ProtobufCMessage *get_message(struct bench *bench, const struct codec *codec,
                              const struct record *record);

/* Whether they pack to the same bytes; it is a failure if they do not. */
void same_packed(struct bench *bench, const ProtobufCMessage *a, const ProtobufCMessage *b);

#endif
