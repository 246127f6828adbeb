/* The engine's alarms; see the header. */
#include "apps/s4/alarms.h"

#include <sys/eventfd.h>

void alarms_init(struct alarms *alarms, int wake)
{
    *alarms = (struct alarms){ .wake = wake };
    CHECK(pthread_mutex_init(&alarms->lock, NULL) == 0);
}

void alarms_fini(struct alarms *alarms)
{
    pthread_mutex_destroy(&alarms->lock);
}

static void keep(struct alarms *alarms, const char *before, const char *text, bool fault)
{
    pthread_mutex_lock(&alarms->lock);
    snprintf(alarms->text[alarms->raised++ % ALARMS_KEPT], ALARM_TEXT_MAX, "%s: %s", before, text);
    alarms->fault |= fault;
    pthread_mutex_unlock(&alarms->lock);
    eventfd_write(alarms->wake, 1);
}

void alarms_raise(void *user, const char *app, const char *text)
{
    keep(user, app, text, false);
}

void alarms_fault(void *user, const char *text)
{
    keep(user, "fault", text, true);
}

bool alarms_has_fault(struct alarms *alarms)
{
    pthread_mutex_lock(&alarms->lock);
    bool fault = alarms->fault;
    pthread_mutex_unlock(&alarms->lock);
    return fault;
}

bool alarms_take(struct alarms *alarms, char text[ALARM_TEXT_MAX])
{
    pthread_mutex_lock(&alarms->lock);
    uint64_t waiting = alarms->raised - alarms->taken;
    if (waiting > ALARMS_KEPT) {
        uint64_t lost = waiting - ALARMS_KEPT;
        snprintf(text, ALARM_TEXT_MAX, "%llu alarms were too many to show",
                 (unsigned long long)lost);
        alarms->taken += lost;
    } else if (waiting) {
        memcpy(text, alarms->text[alarms->taken++ % ALARMS_KEPT], ALARM_TEXT_MAX);
    }
    pthread_mutex_unlock(&alarms->lock);
    return waiting != 0;
}

size_t alarms_latest(struct alarms *alarms, char (*text)[ALARM_TEXT_MAX], size_t most)
{
    pthread_mutex_lock(&alarms->lock);
    size_t n = size_min(size_min(alarms->raised, ALARMS_KEPT), most);
    for (size_t i = 0; i < n; i++)
        memcpy(text[i], alarms->text[(alarms->raised - n + i) % ALARMS_KEPT], ALARM_TEXT_MAX);
    pthread_mutex_unlock(&alarms->lock);
    return n;
}
