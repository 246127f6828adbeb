/* AddressSanitizer: whether it watches this build, and telling it what nobody may touch. Nothing in
 * other builds. Any thread. */
#ifndef RUNTIME_BASE_ASAN_H
#define RUNTIME_BASE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifndef ASAN
#define ASAN 0
#endif

/* Whether any sanitizer watches memory accesses: then nothing may read past the end of an object,
 * not even where no page ends. */
#if ASAN || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if ASAN
#include <sanitizer/asan_interface.h>
#define asan_poison(at, size)   ASAN_POISON_MEMORY_REGION(at, size)
#define asan_unpoison(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define asan_poison(at, size)   ((void)(at), (void)(size))
#define asan_unpoison(at, size) ((void)(at), (void)(size))
#endif

#endif
