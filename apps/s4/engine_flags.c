/* The options of the engine that `s4 run` and `s4 node` share. */
#include "apps/s4/engine_flags.h"

#include "runtime/record/block.h"

#define MEMORY_LEAST (256 * KIB)
#define MEMORY_MOST  (1024 * (size_t)1024 * MIB)

error_t engine_flags_parse(int key, const char *arg, const struct argp_state *state,
                           struct engine_options *options)
{
    switch (key) {
    case ENGINE_FLAG_WORKERS:
        options->workers = (uint32_t)command_number(state, "workers", arg, 1, ENGINE_WORKERS_MAX);
        return 0;
    case ENGINE_FLAG_SLOTS:
        options->slots = (uint32_t)command_number(state, "slots", arg, 1, ENGINE_SLOTS_MAX);
        return 0;
    case ENGINE_FLAG_BLOCK_SIZE:
        options->block_size =
            command_bytes(state, "block-size", arg, BLOCK_SIZE_MIN, BLOCK_SIZE_DEFAULT);
        return 0;
    case ENGINE_FLAG_MEMORY_SOFT:
        options->memory_soft = command_bytes(state, "memory-soft", arg, MEMORY_LEAST, MEMORY_MOST);
        return 0;
    case ENGINE_FLAG_MEMORY_HARD:
        options->memory_hard = command_bytes(state, "memory-hard", arg, MEMORY_LEAST, MEMORY_MOST);
        return 0;
    case ENGINE_FLAG_FEED_THREAD:
        options->feed_thread = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void engine_flags_check(const struct argp_state *state, const struct engine_options *options)
{
    size_t soft = options->memory_soft ? options->memory_soft : ENGINE_MEMORY_SOFT_DEFAULT;
    size_t hard = options->memory_hard ? options->memory_hard : ENGINE_MEMORY_HARD_DEFAULT;
    if (soft > hard)
        command_usage(state, "--memory-soft (%zu bytes) is above --memory-hard (%zu bytes)", soft,
                      hard);
}
