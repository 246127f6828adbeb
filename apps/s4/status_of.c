/* The engine's counters by name. */
#include "apps/s4/status_of.h"

size_t status_of_app(const struct engine_app_status *app, struct counter_entry *entries)
{
    const struct engine_counters *c = &app->counters;
    const struct counter_entry all[] = {
        { "injected", c->injected },
        { "applied", c->applied },
        { "emitted", c->emitted },
        { "published", c->published },
        { "dead_letters", c->dead_letters },
        { "absent_keys", c->absent_keys },
        { "unheard", c->unheard },
        { "shed", c->shed },
        { "duplicates", c->duplicates },
        { "instances", c->instances },
        { "created", c->created },
        { "removed", c->removed },
        { "waiting", c->waiting },
        { "mailbox", c->mailbox },
        { "mailbox_dropped", c->mailbox_dropped },
        { "parked", c->parked },
        { "rows_dropped", c->rows_dropped },
        { "rows_refused", c->rows_refused },
        { "requests", c->requests },
        { "answers_dropped", c->answers_dropped },
        { "timers", c->timers },
        { "state_bytes", c->state_bytes },
        { "exported", c->exported },
        { "imported", c->imported },
        { "imports_lost", c->imports_lost },
        { "queued_bytes", app->queued_bytes },
        { "copied_bytes", app->copied_bytes },
    };
    _Static_assert(ARRAY_LEN(all) <= STATUS_APP_COUNTERS, "room");
    memcpy(entries, all, sizeof all);
    return ARRAY_LEN(all);
}

size_t status_of_prototype(const struct engine_prototype_status *prototype,
                           struct counter_entry *entries)
{
    const struct counter_entry all[] = {
        { "events", prototype->events },       { "failures", prototype->failures },
        { "instances", prototype->instances }, { "created", prototype->created },
        { "removed", prototype->removed },     { "sampled_ns", prototype->sampled_ns },
    };
    _Static_assert(ARRAY_LEN(all) <= STATUS_PROTOTYPE_COUNTERS, "room");
    memcpy(entries, all, sizeof all);
    return ARRAY_LEN(all);
}

size_t status_of_node(const struct engine_status *status, struct counter_entry *entries)
{
    const struct counter_entry all[] = {
        { "uptime_us", status->uptime_us },
        { "workers", status->workers },
        { "slots", status->slots },
        { "memory", status->memory },
        { "memory_soft", status->memory_soft },
        { "memory_hard", status->memory_hard },
        { "astray", status->astray },
    };
    _Static_assert(ARRAY_LEN(all) <= STATUS_NODE_COUNTERS, "room");
    memcpy(entries, all, sizeof all);
    return ARRAY_LEN(all);
}
