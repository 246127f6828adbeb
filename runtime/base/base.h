/* What every file of the engine may use: status, checks, sizes. No state. Any thread. */
#ifndef RUNTIME_BASE_BASE_H
#define RUNTIME_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* before the bans below */
#include <stdlib.h>
#include <string.h>

#include <s4/status.h>

#define MUST_USE     __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define LIKELY(x)    __builtin_expect(!!(x), 1)
#define UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define COLD         __attribute__((cold, noinline)) /* errors: out of the way of what is hot */
#define CACHE_LINE   64
/* A function on every event's way: no canary, for it has no array and is called millions of times a
 * second. */
#if defined(__GNUC__) && !defined(__clang__)
#define HOT __attribute__((hot, no_stack_protector))
#else
#define HOT __attribute__((hot))
#endif
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* A programmer's mistake stops the process, in release too. */
#define CHECK(cond) (LIKELY(cond) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #cond))

_Noreturn void check_failed(const char *file, int line, const char *func, const char *what);

/* Hands an error on. */
#define TRY(expr)                           \
    do {                                    \
        s4_status try_status_ = (expr);     \
        if (UNLIKELY(try_status_ != S4_OK)) \
            return try_status_;             \
    } while (0)

/* Fetches a cache line for reading or writing. Not the builtin: gcc 12 takes an inline function in
 * which nothing but a prefetch is for one without effects, and leaves the call out. */
#if defined(__x86_64__)
#define PREFETCH(address) \
    __asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)(const void *)(address)))
#define PREFETCH_WRITE(address) \
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(const void *)(address)))
#define CPU_RELAX() __builtin_ia32_pause()
#else
#define PREFETCH(address)       __builtin_prefetch(address)
#define PREFETCH_WRITE(address) __builtin_prefetch(address, 1)
#define CPU_RELAX()             ((void)0)
#endif

static inline size_t align_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Unsafe libc is a compile error: the name that the linker or the compiler misses says why. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#define strcpy(...)   banned_strcpy_use_memcpy
#define strcat(...)   banned_strcat_use_buffer
#define sprintf(...)  banned_sprintf_use_snprintf
#define vsprintf(...) banned_vsprintf_use_vsnprintf
#define strtok(...)   banned_strtok
#define gets(...)     banned_gets
#define atoi(...)     banned_atoi_use_strtol
#define atol(...)     banned_atol_use_strtol
#define atof(...)     banned_atof_use_strtod

/* A number that may lie anywhere. */
static inline uint32_t load_u32(const void *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline uint64_t load_u64(const void *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static inline void store_u32(void *at, uint32_t x)
{
    memcpy(at, &x, sizeof x);
}

static inline void store_u64(void *at, uint64_t x)
{
    memcpy(at, &x, sizeof x);
}

#endif
