/* A thread that looks at pins; see the header. */
#include "tests/support/pin_reader.h"

#include <check.h>

static void *take(struct pin_reader *reader)
{
    void *pinned = NULL;
    pthread_mutex_lock(&reader->lock);
    while (reader->n == 0 && !reader->stop)
        pthread_cond_wait(&reader->changed, &reader->lock);
    if (reader->n > 0)
        pinned = reader->queue[--reader->n];
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    return pinned;
}

static void *run(void *user)
{
    struct pin_reader *reader = user;
    for (void *pinned; (pinned = take(reader)) != NULL;) {
        for (int i = 0; i < 2; i++)
            reader->wrong |= !reader->right(pinned);
        reader->done(pinned);
        reader->read++;
    }
    return NULL;
}

void pin_reader_start(struct pin_reader *reader, bool (*right)(const void *pinned),
                      void (*done)(void *pinned))
{
    *reader = (struct pin_reader){ .right = right, .done = done };
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    ck_assert_int_eq(pthread_create(&reader->thread, NULL, run, reader), 0);
}

void pin_reader_give(struct pin_reader *reader, void *pinned)
{
    pthread_mutex_lock(&reader->lock);
    while (reader->n == PIN_READER_MAX)
        pthread_cond_wait(&reader->changed, &reader->lock);
    reader->queue[reader->n++] = pinned;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
}

void pin_reader_stop(struct pin_reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    reader->stop = true;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    ck_assert(!reader->wrong);
    ck_assert_uint_gt(reader->read, 0);
}
