/* Making a cluster; see the header. One write makes everything, so that nobody ever finds half a
 * cluster. In doubt it is made again: if the first one was done after all, the second finds the
 * number that was drawn for it. */
#include "router/coord/found.h"

#include "router/coord/cluster.h"

static struct coord_call call_of(struct found *found,
                                 void (*answered)(void *user, const struct coord_answer *answer))
{
    return (struct coord_call){ .answered = answered, .user = found };
}

static void done(struct found *found, s4_status status, const char *why)
{
    struct diag diag = { 0 };
    if (status != S4_OK)
        diag_write(&diag, status, "cluster %s: %s", found->name, why);
    found->done(found->user, status, &diag);
}

static void go_on(struct found *found, s4_status status)
{
    if (status != S4_OK)
        done(found, status, s4_status_text(status));
}

static void on_there(void *user, const struct coord_answer *answer)
{
    struct found *found = user;
    struct entry_spec spec;
    if (answer->status == S4_OK &&
        entry_spec_unpack(answer->data, answer->size, &spec, NULL) == S4_OK &&
        spec.cluster == found->spec.cluster)
        done(found, S4_OK, "");
    else if (answer->status == S4_OK || answer->status == S4_NOT_FOUND)
        done(found, S4_EXISTS, "there is a cluster of this name already");
    else
        done(found, answer->status, s4_status_text(answer->status));
}

static s4_status make(struct found *found);

static void on_made(void *user, const struct coord_answer *answer)
{
    struct found *found = user;
    char path[COORD_PATH_MAX];
    snprintf(path, sizeof path, CLUSTER_ROOT "/%s/spec", found->name);
    switch (answer->status) {
    case S4_OK:
        done(found, S4_OK, "");
        break;
    case S4_IN_DOUBT:
        go_on(found, make(found));
        break;
    case S4_EXISTS:
        go_on(found, coord_get(found->coord, path, COORD_FRESH, call_of(found, on_there)));
        break;
    default:
        done(found, answer->status, s4_status_text(answer->status));
        break;
    }
}

static s4_status pack(const struct found *found, struct buffer *spec, struct buffer *map)
{
    struct map *empty;
    TRY(map_create(found->spec.cluster, found->spec.slots, &empty));
    s4_status status = entry_spec_pack(&found->spec, spec);
    if (status == S4_OK)
        status = map_pack(empty, map);
    map_destroy(empty);
    return status;
}

static s4_status make(struct found *found)
{
    static const char *const names[] = { "",       "/spec", "/map",   "/leader_epoch",
                                         "/nodes", "/apps", "/drains" };
    char paths[ARRAY_LEN(names)][COORD_PATH_MAX];
    struct coord_op ops[ARRAY_LEN(names)];
    struct buffer spec, map;
    buffer_init(&spec);
    buffer_init(&map);
    s4_status status = pack(found, &spec, &map);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(paths[i], sizeof paths[i], CLUSTER_ROOT "/%s%s", found->name, names[i]);
        ops[i] = (struct coord_op){ .op = COORD_CREATE, .path = paths[i], .data = "" };
    }
    ops[1].data = spec.data;
    ops[1].size = spec.size;
    ops[2].data = map.data;
    ops[2].size = map.size;
    if (status == S4_OK)
        status = coord_multi(found->coord, ops, ARRAY_LEN(ops), call_of(found, on_made));
    buffer_fini(&spec);
    buffer_fini(&map);
    return status;
}

static void on_root(void *user, const struct coord_answer *answer)
{
    struct found *found = user;
    if (answer->status == S4_OK || answer->status == S4_EXISTS)
        go_on(found, make(found));
    else if (answer->status == S4_IN_DOUBT)
        go_on(found, coord_create(found->coord, CLUSTER_ROOT, COORD_PERSISTENT, "", 0,
                                  call_of(found, on_root)));
    else
        done(found, answer->status, s4_status_text(answer->status));
}

s4_status found_start(struct found *found, struct diag *diag)
{
    if (!map_name_valid(found->name))
        return diag_set(diag, S4_INVALID,
                        "the name of a cluster that is none: wanted 1 to %d letters, digits, '.', "
                        "'_' or '-', the first no '.'",
                        MAP_NAME_MAX);
    if (found->spec.slots == 0 || found->spec.slots > MAP_SLOTS_MAX)
        return diag_set(diag, S4_INVALID, "%u slots, wanted 1 to %d", found->spec.slots,
                        MAP_SLOTS_MAX);
    s4_status status =
        coord_create(found->coord, CLUSTER_ROOT, COORD_PERSISTENT, "", 0, call_of(found, on_root));
    return status == S4_OK
               ? S4_OK
               : diag_set(diag, status, "cluster %s: %s", found->name, s4_status_text(status));
}
