/* The engine's alarms, from its threads to the thread that speaks: the latest are kept, older ones
 * give way and are counted. */
#ifndef APPS_S4_ALARMS_H
#define APPS_S4_ALARMS_H

#include <pthread.h>

#include "runtime/base/base.h"

#define ALARMS_KEPT    32
#define ALARM_TEXT_MAX 320

struct alarms {
    pthread_mutex_t lock;
    char text[ALARMS_KEPT][ALARM_TEXT_MAX]; /* number n lies at n % ALARMS_KEPT */
    uint64_t raised;
    uint64_t taken;
    bool fault; /* one of them was an error after which the engine must not go on */
    int wake;   /* an eventfd, borrowed: rung at each */
};

void alarms_init(struct alarms *alarms, int wake);
void alarms_fini(struct alarms *alarms);

/* The engine's upcall (engine_options.alarm): user is the struct. Any thread. */
void alarms_raise(void *user, const char *app, const char *text);

/* engine_options.fault, with the same user. Any thread. */
void alarms_fault(void *user, const char *text);
bool alarms_has_fault(struct alarms *alarms);

/* Takes the next one that was not taken, or tells how many gave way before it. One thread. */
bool alarms_take(struct alarms *alarms, char text[ALARM_TEXT_MAX]);

/* Copies the latest, oldest first; answers how many. Any thread. */
size_t alarms_latest(struct alarms *alarms, char (*text)[ALARM_TEXT_MAX], size_t most);

#endif
