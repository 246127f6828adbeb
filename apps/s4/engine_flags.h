/* The options of the engine that `s4 run` and `s4 node` share. */
#ifndef APPS_S4_ENGINE_FLAGS_H
#define APPS_S4_ENGINE_FLAGS_H

#include "apps/s4/command.h"
#include "pe/host/engine.h"

#define ENGINE_FLAG_WORKERS     0x2000
#define ENGINE_FLAG_SLOTS       0x2001
#define ENGINE_FLAG_BLOCK_SIZE  0x2002
#define ENGINE_FLAG_MEMORY_SOFT 0x2003
#define ENGINE_FLAG_MEMORY_HARD 0x2004
#define ENGINE_FLAG_FEED_THREAD 0x2005

#define ENGINE_FLAGS                                                                            \
    { "workers", ENGINE_FLAG_WORKERS, "N", 0, "Threads that run partitions (default: 1)", 50 }, \
        { "slots", ENGINE_FLAG_SLOTS, "N", 0, "Slots that keys hash to (default: 64)", 50 },    \
        { "block-size",                                                                         \
          ENGINE_FLAG_BLOCK_SIZE,                                                               \
          "BYTES",                                                                              \
          0,                                                                                    \
          "Of a block of records (default: 64k)",                                               \
          50 },                                                                                 \
        { "memory-soft",                                                                        \
          ENGINE_FLAG_MEMORY_SOFT,                                                              \
          "BYTES",                                                                              \
          0,                                                                                    \
          "What waits above it gives sources no credit (default: 256M)",                        \
          50 },                                                                                 \
        { "memory-hard",                                                                        \
          ENGINE_FLAG_MEMORY_HARD,                                                              \
          "BYTES",                                                                              \
          0,                                                                                    \
          "What waits above it pauses the app (default: 2G)",                                   \
          50 },                                                                                 \
    {                                                                                           \
        "feed-thread", ENGINE_FLAG_FEED_THREAD, 0, 0, "Give sources a thread of their own", 50  \
    }

/* ARGP_ERR_UNKNOWN: none of these. */
error_t engine_flags_parse(int key, const char *arg, const struct argp_state *state,
                           struct engine_options *options);
/* At the end of the arguments: do they fit together? */
void engine_flags_check(const struct argp_state *state, const struct engine_options *options);

#endif
