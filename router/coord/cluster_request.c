/* What people ask of the cluster, each an entry that the leader finds: a bundle to run, or no more;
 * a node to drain. One at a time, beside the passes. What is in doubt is looked at, by the number
 * that was drawn for it, and made again only where it is not there. */
#include "router/coord/cluster_inside.h"

static struct coord_call call_of(struct cluster *cluster,
                                 void (*answered)(void *user, const struct coord_answer *answer))
{
    return (struct coord_call){ .answered = answered, .user = cluster };
}

static void done(struct cluster *cluster, s4_status status, const char *what, const char *why)
{
    struct cluster_reply reply = cluster->requests[0].reply;
    struct diag diag = { 0 };
    if (status != S4_OK)
        diag_write(&diag, status, "%s: %s", what, why);
    memmove(&cluster->requests[0], &cluster->requests[1],
            --cluster->n_requests * sizeof cluster->requests[0]);
    cluster->request_busy = false;
    if (reply.answered)
        reply.answered(reply.user, status, &diag);
}

/* It is begun anew, at once or when the connection is back. */
static void later(struct cluster *cluster)
{
    cluster->request_busy = false;
}

static void other_answer(struct cluster *cluster, const struct coord_answer *answer)
{
    if (answer->status == S4_UNAVAILABLE || answer->status == S4_VERSION)
        later(cluster);
    else
        done(cluster, answer->status, answer->path, s4_status_text(answer->status));
}

static void asked(struct cluster *cluster, const char *path, s4_status status)
{
    cluster->request_busy = true;
    if (status != S4_OK)
        done(cluster, status, path, s4_status_text(status));
}

/* ---- deploy ---------------------------------------------------------------------------------- */

static void on_there(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct request *request = &cluster->requests[0];
    struct entry_wanted there;
    if (answer->status == S4_NOT_FOUND) {
        later(cluster);
    } else if (answer->status != S4_OK) {
        other_answer(cluster, answer);
    } else if (entry_wanted_unpack(answer->data, answer->size, &there, NULL) == S4_OK &&
               there.id == request->wanted.id) {
        done(cluster, S4_OK, "", "");
    } else {
        done(cluster, S4_EXISTS, request->wanted.app, "an app of this name is deployed already");
    }
}

static void on_deployed(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK:
        done(cluster, S4_OK, "", "");
        break;
    case S4_IN_DOUBT: /* the same again: one of both is there then */
        later(cluster);
        break;
    case S4_EXISTS:
        asked(cluster, answer->path,
              coord_get(cluster->coord, answer->path, COORD_FRESH, call_of(cluster, on_there)));
        break;
    default:
        other_answer(cluster, answer);
        break;
    }
}

static void deploy(struct cluster *cluster, struct request *request)
{
    struct cluster_path path = cluster_path(cluster, "apps", request->wanted.app);
    buffer_clear(&cluster->bytes);
    s4_status status = entry_wanted_pack(&request->wanted, &cluster->bytes);
    if (status == S4_OK)
        status = coord_create(cluster->coord, path.text, COORD_PERSISTENT, cluster->bytes.data,
                              cluster->bytes.size, call_of(cluster, on_deployed));
    asked(cluster, path.text, status);
}

/* ---- undeploy -------------------------------------------------------------------------------- */

static void on_undeployed(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    if (answer->status == S4_OK || answer->status == S4_NOT_FOUND) {
        done(cluster, S4_OK, "", "");
    } else if (answer->status == S4_IN_DOUBT) {
        cluster->requests[0].doubt = true;
        later(cluster);
    } else {
        other_answer(cluster, answer);
    }
}

static void on_undeploy(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct request *request = &cluster->requests[0];
    if (answer->status == S4_NOT_FOUND) {
        done(cluster, request->doubt ? S4_OK : S4_NOT_FOUND, request->wanted.app,
             "no app of this name is deployed");
        return;
    }
    if (answer->status != S4_OK) {
        other_answer(cluster, answer);
        return;
    }
    if (request->doubt && answer->stat.created != request->wanted.id) {
        done(cluster, S4_OK, "", ""); /* a later one of the same name */
        return;
    }
    request->wanted.id = answer->stat.created;
    asked(cluster, answer->path,
          coord_delete(cluster->coord, answer->path, answer->stat.version,
                       call_of(cluster, on_undeployed)));
}

/* ---- drain ----------------------------------------------------------------------------------- */

static void on_drain_cleared(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    if (answer->status == S4_OK || answer->status == S4_NOT_FOUND || answer->status == S4_IN_DOUBT)
        later(cluster);
    else
        other_answer(cluster, answer);
}

/* A drain of the same name: it is asked for already, or of an incarnation that is no more. */
static void on_drain_there(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    struct entry_drain there;
    if (answer->status == S4_NOT_FOUND)
        later(cluster);
    else if (answer->status != S4_OK)
        other_answer(cluster, answer);
    else if (entry_drain_unpack(answer->data, answer->size, &there, NULL) == S4_OK &&
             there.incarnation == cluster->requests[0].drain.incarnation)
        done(cluster, S4_OK, "", "");
    else
        asked(cluster, answer->path,
              coord_delete(cluster->coord, answer->path, answer->stat.version,
                           call_of(cluster, on_drain_cleared)));
}

static void on_drained(void *user, const struct coord_answer *answer)
{
    struct cluster *cluster = user;
    switch (answer->status) {
    case S4_OK:
        done(cluster, S4_OK, "", "");
        break;
    case S4_IN_DOUBT:
        later(cluster);
        break;
    case S4_EXISTS:
        asked(
            cluster, answer->path,
            coord_get(cluster->coord, answer->path, COORD_FRESH, call_of(cluster, on_drain_there)));
        break;
    default:
        other_answer(cluster, answer);
        break;
    }
}

static void drain(struct cluster *cluster, struct request *request)
{
    struct cluster_path path = cluster_path(cluster, "drains", request->drain.node);
    uint32_t index = cluster->map ? map_find_member(cluster->map, request->drain.node) : MAP_NOBODY;
    if (index == MAP_NOBODY) {
        done(cluster, S4_NOT_FOUND, request->drain.node, "no member of the cluster has this name");
        return;
    }
    request->drain.incarnation = cluster->map->members[index].incarnation;
    buffer_clear(&cluster->bytes);
    s4_status status = entry_drain_pack(&request->drain, &cluster->bytes);
    if (status == S4_OK)
        status = coord_create(cluster->coord, path.text, COORD_PERSISTENT, cluster->bytes.data,
                              cluster->bytes.size, call_of(cluster, on_drained));
    asked(cluster, path.text, status);
}

/* ---- the queue ------------------------------------------------------------------------------- */

void cluster_request_step(struct cluster *cluster)
{
    struct request *request = &cluster->requests[0];
    if (cluster->n_requests == 0 || cluster->request_busy || !cluster->registered)
        return;
    struct cluster_path path = cluster_path(cluster, "apps", request->wanted.app);
    switch (request->kind) {
    case REQUEST_DEPLOY:
        deploy(cluster, request);
        break;
    case REQUEST_UNDEPLOY:
        asked(cluster, path.text,
              coord_get(cluster->coord, path.text, COORD_FRESH, call_of(cluster, on_undeploy)));
        break;
    case REQUEST_DRAIN:
        drain(cluster, request);
        break;
    }
}

void cluster_request_refuse(struct cluster *cluster)
{
    for (size_t n = cluster->n_requests; n > 0; n--) /* what an answer asks for stays unasked */
        done(cluster, S4_UNAVAILABLE, "the cluster", "this node is no part of it any more");
}

static s4_status put(struct cluster *cluster, enum request_kind kind, const char *name,
                     struct cluster_reply reply, struct request **request)
{
    if (!map_name_valid(name))
        return S4_INVALID;
    if (cluster->state == CLUSTER_ENDED)
        return S4_STATE;
    if (cluster->n_requests == CLUSTER_REQUESTS_MAX)
        return S4_FULL;
    *request = &cluster->requests[cluster->n_requests++];
    **request = (struct request){ .kind = kind, .reply = reply };
    return S4_OK;
}

s4_status cluster_deploy(struct cluster *cluster, const struct entry_wanted *wanted,
                         struct cluster_reply reply)
{
    struct request *request;
    if (wanted->id == 0 || wanted->hash[0] == 0)
        return S4_INVALID;
    TRY(put(cluster, REQUEST_DEPLOY, wanted->app, reply, &request));
    request->wanted = *wanted;
    return S4_OK;
}

s4_status cluster_undeploy(struct cluster *cluster, const char *app, struct cluster_reply reply)
{
    struct request *request;
    TRY(put(cluster, REQUEST_UNDEPLOY, app, reply, &request));
    memcpy(request->wanted.app, app, strlen(app) + 1);
    return S4_OK;
}

s4_status cluster_drain(struct cluster *cluster, const char *node, struct cluster_reply reply)
{
    struct request *request;
    TRY(put(cluster, REQUEST_DRAIN, node, reply, &request));
    memcpy(request->drain.node, node, strlen(node) + 1);
    return S4_OK;
}
