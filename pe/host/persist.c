/* Partitions to and from the store of the engine: one snapshot each, under the name of app and
 * slot.
 *
 * The place of a partition among its worker's stays the same; only what it holds is dropped and
 * comes back.
 */
#include "pe/host/host_control.h"
#include "pe/host/host_run.h"
#include "pe/host/snapshot.h"

#define NAME_ROOM (GRAPH_NAME_MAX + 16)

_Static_assert(NAME_ROOM <= SNAPSHOT_NAME_MAX, "an app's name and a slot fit");

static s4_status find(struct engine *engine, const char *app_name, uint32_t slot,
                      struct host_partition **partition, char name[NAME_ROOM], struct diag *diag)
{
    struct host_app *app = host_app_find(engine, app_name);
    if (!engine->options.store)
        return diag_set(diag, S4_STATE, "the engine has no store");
    if (!app)
        return diag_set(diag, S4_NOT_FOUND, "no app \"%s\" is deployed", app_name);
    *partition = slot < engine->map.slots ? host_partition_at(app, slot) : NULL;
    if (!*partition)
        return diag_set(diag, S4_NOT_FOUND, "partition %u is not on this node", slot);
    snprintf(name, NAME_ROOM, "%s.%u.snapshot", app_name, slot);
    return S4_OK;
}

/* ---- saving -------------------------------------------------------------------------------- */

s4_status engine_save(struct engine *engine, const char *app_name, uint32_t slot, struct diag *diag)
{
    struct host_partition *p;
    char name[NAME_ROOM];
    struct buffer saved;
    TRY(find(engine, app_name, slot, &p, name, diag));
    buffer_init(&saved);
    s4_status status = host_partition_save(p, &saved, NULL);
    if (status == S4_OK)
        status = snapshot_write(engine->options.store, name, saved.data, saved.size, diag);
    else
        diag_set(diag, status, "app %s, partition %u cannot be saved: %s", app_name, slot,
                 s4_status_text(status));
    buffer_fini(&saved);
    return status;
}

/* ---- loading ------------------------------------------------------------------------------- */

s4_status engine_load(struct engine *engine, const char *app_name, uint32_t slot, struct diag *diag)
{
    struct host_partition *p;
    char name[NAME_ROOM];
    struct buffer saved;
    TRY(find(engine, app_name, slot, &p, name, diag));
    buffer_init(&saved);
    s4_status status = snapshot_read(engine->options.store, name, &saved, diag);
    if (status == S4_OK)
        status = host_partition_replace(p, saved.data, saved.size, diag);
    buffer_fini(&saved);
    return status;
}
