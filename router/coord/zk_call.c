/* Calls and watches, as the library makes and answers them; see zk_link.h.
 *
 * All callbacks of one handle come from one thread of the library, in the order in which the
 * service said what they tell. So the last of a call's several calls makes the event, and a watch
 * never fires before it was set.
 */
#include "router/coord/zk_link.h"
#include "runtime/base/mem.h"

s4_status zk_status(int rc)
{
    switch (rc) {
    case ZOK:
        return S4_OK;
    case ZNONODE:
        return S4_NOT_FOUND;
    case ZNODEEXISTS:
        return S4_EXISTS;
    case ZBADVERSION:
        return S4_VERSION;
    case ZNOTEMPTY:
        return S4_BUSY;
    case ZNOCHILDRENFOREPHEMERALS:
        return S4_TYPE;
    case ZNOAUTH:
    case ZINVALIDACL:
        return S4_PERMISSION;
    case ZBADARGUMENTS:
    case ZUNIMPLEMENTED:
        return S4_PROTOCOL;
    case ZTHROTTLEDOP:
    case ZNOTREADONLY:
        return S4_UNAVAILABLE;
    default:
        return S4_IN_DOUBT;
    }
}

/* ---- what the library says, on its threads --------------------------------------------------- */

/* A watch hears of the session's changes too; they are on_session's. */
static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *user)
{
    struct zk_watch *watch = user;
    struct zk_link *link = watch->link;
    if (type == ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&link->lock);
    zk_link_push(link, &watch->event);
    pthread_mutex_unlock(&link->lock);
}

/* One of a call's has come. */
static void came(struct zk_call *call, int rc)
{
    struct zk_link *link = call->link;
    pthread_mutex_lock(&link->lock);
    if (call->rc == ZOK)
        call->rc = rc;
    if (++call->came == call->issued)
        zk_link_push(link, &call->event);
    pthread_mutex_unlock(&link->lock);
}

static struct zk_call *call_of(const void *user)
{
    return *(struct zk_call *const *)(const void *)&user; /* the library only hands it through */
}

static void on_synced(int rc, const char *path, const void *user)
{
    came(call_of(user), rc);
}

/* That there is no entry to be watched yet goes well. */
static void on_watching(int rc, const struct Stat *stat, const void *user)
{
    struct zk_call *call = call_of(user);
    call->watch_rc = rc == ZNONODE ? ZOK : rc;
    came(call, call->watch_rc);
}

static void on_entry(int rc, const char *data, int size, const struct Stat *stat, const void *user)
{
    struct zk_call *call = call_of(user);
    if (rc == ZOK && call->comes) {
        int64_t owner = stat->ephemeralOwner;
        call->comes->answer.stat = (struct coord_stat){ .version = stat->version,
                                                        .created = (uint64_t)stat->czxid,
                                                        .ephemeral = owner != 0,
                                                        .mine = owner == call->link->client_id };
        coord_item_set_data(call->comes, data, size > 0 ? (size_t)size : 0);
    }
    came(call, rc);
}

static void on_children(int rc, const struct String_vector *names, const void *user)
{
    struct zk_call *call = call_of(user);
    if (call->sets_watch)
        call->watch_rc = rc;
    if (rc == ZOK)
        coord_item_set_names(call->comes, (const char *const *)names->data, (size_t)names->count);
    came(call, rc);
}

static void on_written(int rc, const void *user)
{
    came(call_of(user), rc);
}

/* ---- what it is asked ------------------------------------------------------------------------ */

static int issue_write(struct zk_call *call, const struct zk_request *request)
{
    zoo_op_t ops[COORD_OPS_MAX];
    size_t n = request->n_ops;
    call->n_ops = n;
    for (size_t i = 0; i < n; i++) {
        const struct coord_op *op = &request->ops[i];
        int version = op->version > INT32_MAX ? INT32_MAX : (int)op->version;
        const char *data = op->data ? op->data : "";
        switch (op->op) {
        case COORD_CREATE:
            zoo_create_op_init(&ops[i], op->path, data, (int)op->size, &ZOO_OPEN_ACL_UNSAFE,
                               op->kind == COORD_PERSISTENT  ? ZOO_PERSISTENT
                               : op->kind == COORD_EPHEMERAL ? ZOO_EPHEMERAL
                                                             : ZOO_EPHEMERAL_SEQUENTIAL,
                               n == 1 ? call->made : NULL, n == 1 ? sizeof call->made : 0);
            break;
        case COORD_SET:
            zoo_set_op_init(&ops[i], op->path, data, (int)op->size, version, NULL);
            break;
        case COORD_DELETE:
            zoo_delete_op_init(&ops[i], op->path, version);
            break;
        case COORD_CHECK:
            zoo_check_op_init(&ops[i], op->path, version);
            break;
        }
    }
    return zoo_amulti(call->link->handle, (int)n, ops, call->results, on_written, call);
}

static int issue_read(struct zk_call *call, const char *path, const struct zk_request *request)
{
    zhandle_t *handle = call->link->handle;
    if (!request->children)
        return zoo_awget(handle, path, NULL, NULL, on_entry, call);
    return zoo_awget_children(handle, path, call->sets_watch ? on_watch : NULL, call->watch,
                              on_children, call);
}

/* A watch on an entry is set by another call: so it is there for one that is yet to be made. */
bool zk_call_issue(struct zk_call *call, const char *path, const struct zk_request *request)
{
    struct zk_link *link = call->link;
    zhandle_t *handle = link->handle;
    unsigned issued = 0;
    int rc = ZOK;
    if (request->fresh) {
        rc = zoo_async(handle, path, on_synced, call);
        issued += rc == ZOK;
    }
    if (rc == ZOK && request->reads && !request->children && call->sets_watch) {
        rc = zoo_awexists(handle, path, on_watch, call->watch, on_watching, call);
        issued += rc == ZOK;
    }
    if (rc == ZOK && request->reads) {
        rc = issue_read(call, path, request);
        issued += rc == ZOK;
    }
    if (rc == ZOK && request->n_ops > 0) {
        rc = issue_write(call, request);
        issued += rc == ZOK;
    }
    pthread_mutex_lock(&link->lock);
    if (call->rc == ZOK)
        call->rc = rc;
    call->issued = issued;
    if (issued > 0 && call->came == issued)
        zk_link_push(link, &call->event);
    pthread_mutex_unlock(&link->lock);
    return issued > 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct zk_call *zk_call_create(struct zk_link *link, enum zk_purpose purpose, const char *path)
{
    struct zk_call *call = mem_zalloc(sizeof *call);
    if (!call)
        return NULL;
    call->event.kind = ZK_CALLED;
    call->link = link;
    call->purpose = purpose;
    call->watch_rc = ZCONNECTIONLOSS; /* until it is set */
    if (purpose == ZK_FOR_USER) {
        call->item = coord_item_create(COORD_ITEM_ANSWER, path);
        call->comes = coord_item_create(COORD_ITEM_ANSWER, path);
        if (!call->item || !call->comes) {
            zk_call_destroy(call);
            return NULL;
        }
    }
    return call;
}

void zk_call_destroy(struct zk_call *call)
{
    coord_item_destroy(call->item);
    coord_item_destroy(call->comes);
    mem_free(call);
}

struct zk_watch *zk_watch_create(struct zk_link *link, const char *path, enum coord_change change)
{
    struct zk_watch *watch = mem_zalloc(sizeof *watch);
    if (!watch)
        return NULL;
    watch->item = coord_item_create(COORD_ITEM_CHANGED, path);
    if (!watch->item) {
        mem_free(watch);
        return NULL;
    }
    watch->event.kind = ZK_FIRED;
    watch->item->change = change;
    watch->link = link;
    watch->next = link->watches;
    link->watches = watch;
    return watch;
}

void zk_watch_destroy(struct zk_watch *watch)
{
    struct zk_watch **at = &watch->link->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    coord_item_destroy(watch->item);
    mem_free(watch);
}
