/* A thread that looks at pins while their owner goes on: pins of tables and logs, with whatever the
 * test compares them with. A bounded queue; who gives waits for room. */
#ifndef TESTS_SUPPORT_PIN_READER_H
#define TESTS_SUPPORT_PIN_READER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define PIN_READER_MAX 8

struct pin_reader {
    bool (*right)(const void *pinned); /* compares; called twice */
    void (*done)(void *pinned);        /* unpins and frees */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void *queue[PIN_READER_MAX];
    uint32_t n;
    bool stop;
    bool wrong;
    uint64_t read;
};

void pin_reader_start(struct pin_reader *reader, bool (*right)(const void *pinned),
                      void (*done)(void *pinned));
void pin_reader_give(struct pin_reader *reader, void *pinned);
/* Looks at what was given; fails the test if anything was wrong, or nothing was read. */
void pin_reader_stop(struct pin_reader *reader);

#endif
