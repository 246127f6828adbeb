/* What is behind the clock seam: the machine's, and one moved by hand. */
#include "runtime/base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t real_mono_us(const struct clock *clock)
{
    return read_us(CLOCK_MONOTONIC);
}

static uint64_t real_boot_us(const struct clock *clock)
{
    return read_us(CLOCK_BOOTTIME);
}

static uint64_t real_wall_us(const struct clock *clock)
{
    return read_us(CLOCK_REALTIME);
}

const struct clock clock_real = {
    .mono_us = real_mono_us,
    .boot_us = real_boot_us,
    .wall_us = real_wall_us,
};

static uint64_t sim_now_us(const struct clock *clock)
{
    return ((const struct clock_sim *)(const void *)clock)->now_us;
}

void clock_sim_init(struct clock_sim *sim, uint64_t start_us)
{
    *sim = (struct clock_sim){
        .clock = { .mono_us = sim_now_us, .boot_us = sim_now_us, .wall_us = sim_now_us },
        .now_us = start_us,
    };
}

void clock_sim_advance(struct clock_sim *sim, uint64_t by_us)
{
    sim->now_us += by_us;
}
