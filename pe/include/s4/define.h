/* Macros that define streams, outputs, classes, prototypes and the app: const data at file scope.
 *
 * Types are checked by the compiler: a handler that takes another event or another state, or an
 * event emitted on a stream of another type, does not compile. `prefix` is protoc-c's lower-case
 * name of a message (Word -> word, Demo.Word -> demo__word).
 *
 *     S4_STREAM(words, Word, word);
 *     S4_TABLE(counts, Count, count, "word");
 *     S4_CLASS(counter, struct counter, S4_FLAT, .output = counter_output);
 *     S4_PROTOTYPE(counters, counter, S4_ON(counter, on_word, words, "text"));
 *     S4_APP(wordcount, S4_STREAMS(&words.base), S4_PROTOTYPES(&counters),
 *            S4_OUTPUTS(&counts.base));
 */
#ifndef S4_DEFINE_H
#define S4_DEFINE_H

#include <s4/abi.h>

/* A callback of another type than its class has is no warning. */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"

/* ---- streams and outputs ------------------------------------------------------------------- */

/* For a header that several files share; the definition follows in one of them. */
#define S4_STREAM_DECLARE(var, Type)                                            \
    struct var##_stream_ {                                                      \
        s4_stream base;                                                         \
        const Type *carries[0]; /* no bytes: lets the compiler know the type */ \
    };                                                                          \
    extern const struct var##_stream_ var

#define S4_STREAM_DEFINE(var, prefix, ...)                                      \
    static uint16_t var##_number_ = UINT16_MAX;                                 \
    const struct var##_stream_ var = { .base = { .name = #var,                  \
                                                 .type = &prefix##__descriptor, \
                                                 .number = &var##_number_,      \
                                                 __VA_ARGS__ } }

/* A stream named like its variable. Last, optionally: .internal = true. */
#define S4_STREAM(var, Type, prefix, ...) \
    S4_STREAM_DECLARE(var, Type);         \
    S4_STREAM_DEFINE(var, prefix, __VA_ARGS__)

#define S4_OUTPUT_DECLARE(var, Type) \
    struct var##_output_ {           \
        s4_output base;              \
        const Type *carries[0];      \
    };                               \
    extern const struct var##_output_ var

#define S4_OUTPUT_DEFINE_(var, prefix, kind_, key_)                             \
    static uint16_t var##_number_ = UINT16_MAX;                                 \
    const struct var##_output_ var = { .base = { .name = #var,                  \
                                                 .type = &prefix##__descriptor, \
                                                 .number = &var##_number_,      \
                                                 .kind = (kind_),               \
                                                 .key = (key_) } }

/* A table: the last row per key; `key` names its key attributes ("word" or "user,day"). */
#define S4_TABLE(var, Type, prefix, key) \
    S4_OUTPUT_DECLARE(var, Type);        \
    S4_OUTPUT_DEFINE_(var, prefix, S4_TABLE_KIND, key)

/* A log: rows appended. */
#define S4_LOG(var, Type, prefix) \
    S4_OUTPUT_DECLARE(var, Type); \
    S4_OUTPUT_DEFINE_(var, prefix, S4_LOG_KIND, NULL)

/* ---- requests ------------------------------------------------------------------------------ */

/* A function `run` that takes a question of type Q and answers with one of type A. */
#define S4_REQUEST(var, Q, q_prefix, A, a_prefix, run_)                     \
    struct var##_request_ {                                                 \
        s4_request base;                                                    \
        const Q *asks[0];                                                   \
        const A *answers[0];                                                \
    };                                                                      \
    static uint16_t var##_number_ = UINT16_MAX;                             \
    static const struct var##_request_ var = {                              \
        .base = { .name = #var,                                             \
                  .question = &q_prefix##__descriptor,                      \
                  .answer = &a_prefix##__descriptor,                        \
                  .number = &var##_number_,                                 \
                  .run = _Generic((run_), s4_status(*)(s4_job *, const Q *) \
                                  : (s4_fn *)(run_)) }                      \
    }

/* Where a class takes the answers to a request; in the list given to .answers. */
#define S4_ANSWER(State, handler_, request_)                                              \
    {                                                                                     \
        .request = &(request_).base, .handler = #handler_,                                \
        .on_answer = _Generic((handler_), s4_status(*)(s4_ctx *, State *, s4_status,      \
                                                       __typeof__((request_).answers[0])) \
                              : (s4_fn *)(handler_))                                      \
    }

/* ---- parameters ---------------------------------------------------------------------------- */

/* A member of the parameter struct: int64_t, double, bool or const char *, its default and a help
 * text. */
#define S4_PARAM(Struct, member, fallback, help_)                                                    \
    {                                                                                                \
        .name = #member,                                                                           \
        .kind = _Generic(((Struct *)0)->member,                                                    \
            int64_t: S4_INTEGER,                                                                   \
            double: S4_REAL,                                                                       \
            bool: S4_FLAG,                                                                         \
            const char *: S4_TEXT),                                                                \
        .offset = offsetof(Struct, member),                                                        \
        .integer = _Generic(((Struct *)0)->member,                                                 \
            int64_t: (fallback), bool: (fallback), default: 0),                                    \
        .real = _Generic(((Struct *)0)->member, double: (fallback), default: 0),                   \
        .text = _Generic(((Struct *)0)->member, const char *: (fallback), default: NULL),          \
        .help = (help_) \
    }

/* Names the array of S4_PARAM and its struct, in S4_CLASS or S4_APP. */
#define S4_PARAMS(array, Struct) \
    .params = (array), .n_params = sizeof(array) / sizeof((array)[0]), .params_size = sizeof(Struct)

/* Names the array of S4_ANSWER, in S4_CLASS. */
#define S4_ANSWERS(array) .answers = (array), .n_answers = sizeof(array) / sizeof((array)[0])

/* ---- classes and prototypes ---------------------------------------------------------------- */

/* A class: the type of its state, its kind (S4_FLAT: fixed size, no pointers, saved as bytes;
 * S4_MESSAGE: a protoc-c struct, needs .state_type; S4_CUSTOM: .save and .load), its callbacks. */
#define S4_CLASS(var, State, kind, ...)                                   \
    struct var##_class_ {                                                 \
        S4_CLASS_FIELDS(State);                                           \
        State *state[0];                                                  \
    };                                                                    \
    static const struct var##_class_ var = { .size = sizeof(s4_class),    \
                                             .state_kind = (kind),        \
                                             .state_size = sizeof(State), \
                                             .name = #var,                \
                                             __VA_ARGS__ }

#define S4_ON_(class_, handler_, stream_, kind_, key_)                                         \
    {                                                                                          \
        .stream = &(stream_).base, .kind = (kind_), .key = (key_), .handler = #handler_,       \
        .on_event = _Generic((handler_), s4_status(*)(s4_ctx *, __typeof__((class_).state[0]), \
                                                      __typeof__((stream_).carries[0]))        \
                             : (s4_fn *)(handler_))                                            \
    }

/* Subscriptions, in S4_PROTOTYPE: by key, keyless, or to every living instance. */
#define S4_ON(class_, handler, stream, key)      S4_ON_(class_, handler, stream, S4_KEYED, key)
#define S4_ON_ANY(class_, handler, stream)       S4_ON_(class_, handler, stream, S4_KEYLESS, NULL)
#define S4_ON_BROADCAST(class_, handler, stream) S4_ON_(class_, handler, stream, S4_BROADCAST, NULL)

/* All but what may follow and the closing brace: what follows has commas that no macro's arguments
 * may see. */
#define S4_PROTOTYPE_(var, class_, ...)                                                 \
    static const s4_subscription var##_subscriptions_[] = { __VA_ARGS__ };              \
    static const s4_prototype var = { .size = sizeof(s4_prototype),                     \
                                      .name = #var,                                     \
                                      .of = (const s4_class *)(const void *)&(class_),  \
                                      .subscriptions = var##_subscriptions_,            \
                                      .n_subscriptions = sizeof(var##_subscriptions_) / \
                                                         sizeof(var##_subscriptions_[0])

/* A prototype of a class: its subscriptions. */
#define S4_PROTOTYPE(var, class_, ...)      \
    S4_PROTOTYPE_(var, class_, __VA_ARGS__) \
    }
/* The same with a policy: S4_PROTOTYPE_WITH(p, class, S4_POLICY(.ttl_us = ...), subscriptions). */
#define S4_PROTOTYPE_WITH(var, class_, more, ...) \
    S4_PROTOTYPE_(var, class_, __VA_ARGS__), more \
    }
/* One instance per app, made at the start, that hears all of its streams. */
#define S4_PROTOTYPE_SINGLETON(var, class_, ...)               \
    S4_PROTOTYPE_(var, class_, __VA_ARGS__), .singleton = true \
    }
#define S4_POLICY(...) .policy = { __VA_ARGS__ }

/* ---- the app ------------------------------------------------------------------------------- */

/* Lists for S4_APP: S4_PROTOTYPES(&a, &b), S4_OUTPUTS(&t.base), ... */
#define S4_PROTOTYPES(...)                                      \
    .prototypes = (const s4_prototype *const[]){ __VA_ARGS__ }, \
    .n_prototypes = sizeof((const s4_prototype *const[]){ __VA_ARGS__ }) / sizeof(void *)
#define S4_STREAMS(...)                                   \
    .streams = (const s4_stream *const[]){ __VA_ARGS__ }, \
    .n_streams = sizeof((const s4_stream *const[]){ __VA_ARGS__ }) / sizeof(void *)
#define S4_OUTPUTS(...)                                   \
    .outputs = (const s4_output *const[]){ __VA_ARGS__ }, \
    .n_outputs = sizeof((const s4_output *const[]){ __VA_ARGS__ }) / sizeof(void *)
#define S4_REQUESTS(...)                                    \
    .requests = (const s4_request *const[]){ __VA_ARGS__ }, \
    .n_requests = sizeof((const s4_request *const[]){ __VA_ARGS__ }) / sizeof(void *)

/* The app, once per plugin: exports the table and writes the note.
 *
 *     S4_APP(wordcount, S4_STREAMS(&lines.base, &words.base), S4_PROTOTYPES(&splitters, &counters),
 *            S4_OUTPUTS(&counts.base));
 */
#define S4_APP(name_, ...)                                                                   \
    __attribute__((section(".note.s4"), used, aligned(4))) static const s4_note s4_note_ = { \
        .name_size = 4,                                                                      \
        .description_size = sizeof(s4_note) - offsetof(s4_note, magic),                      \
        .type = S4_NOTE_TYPE,                                                                \
        .name = S4_NOTE_NAME,                                                                \
        .magic = S4_NOTE_MAGIC,                                                              \
        .major = S4_ABI_MAJOR,                                                               \
        .minor = S4_ABI_MINOR,                                                               \
        .layout = S4_LAYOUT_SIGNATURE,                                                       \
    };                                                                                       \
    __attribute__((visibility("default"))) extern const s4_app s4_plugin;                    \
    const s4_app s4_plugin = { .size = sizeof(s4_app), .name = #name_, __VA_ARGS__ }

#endif
