/* A table by hand, past the macros, for plugins that break a rule which the macros keep. A file
 * defines what it does otherwise (RAW_...), then includes this. */
#ifndef TESTS_ABI_RAW_H
#define TESTS_ABI_RAW_H

#include <s4/s4.h>

#include "tests/abi/words.pb-c.h"

#ifndef RAW_MINOR
#define RAW_MINOR S4_ABI_MINOR
#endif
#ifndef RAW_LAYOUT
#define RAW_LAYOUT S4_LAYOUT_SIGNATURE
#endif
#ifndef RAW_SIZE
#define RAW_SIZE sizeof(s4_app)
#endif
#ifndef RAW_TYPE
#define RAW_TYPE &abi__word__descriptor
#endif
#ifndef RAW_SECOND
#define RAW_SECOND "others"
#endif
#ifndef RAW_HANDLER
#define RAW_HANDLER (s4_fn *)on_word
#endif
#ifndef RAW_HANDLER_TYPE
#define RAW_HANDLER_TYPE &abi__word__descriptor
#endif

#ifndef RAW_NO_NOTE
__attribute__((section(".note.s4"), used, aligned(4))) static const s4_note raw_note = {
    .name_size = 4,
    .description_size = sizeof(s4_note) - offsetof(s4_note, magic),
    .type = S4_NOTE_TYPE,
    .name = S4_NOTE_NAME,
    .magic = S4_NOTE_MAGIC,
    .major = S4_ABI_MAJOR,
    .minor = RAW_MINOR,
    .layout = RAW_LAYOUT,
};
#endif

#ifndef RAW_NO_TABLE
__attribute__((unused)) static s4_status on_word(s4_ctx *ctx, void *self, const Abi__Word *word)
{
    return S4_OK;
}

static uint16_t raw_numbers[2];
static const s4_stream raw_words = { .name = "words", .type = RAW_TYPE, .number = &raw_numbers[0] };
static const s4_stream raw_others = { .name = RAW_SECOND,
                                      .type = &abi__line__descriptor,
                                      .number = &raw_numbers[1] };
static const s4_class raw_class = {
    .size = sizeof(s4_class), .state_kind = S4_FLAT, .state_size = 8, .name = "counter"
};
static const s4_subscription raw_subscription = { .stream = &raw_words,
                                                  .kind = S4_KEYED,
                                                  .key = "text",
                                                  .handler = "on_word",
                                                  .on_event = RAW_HANDLER,
                                                  .type = RAW_HANDLER_TYPE };
static const s4_prototype raw_prototype = { .size = sizeof(s4_prototype),
                                            .name = "counters",
                                            .of = &raw_class,
                                            .subscriptions = &raw_subscription,
                                            .n_subscriptions = 1 };
__attribute__((visibility("default"))) extern const s4_app s4_plugin;
const s4_app s4_plugin = { .size = RAW_SIZE,
                           .name = "raw",
                           S4_STREAMS(&raw_words, &raw_others),
                           S4_PROTOTYPES(&raw_prototype) };
#endif

#endif
