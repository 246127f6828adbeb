/* What every coordination service has in common: paths and limits, checked before it is asked. */
#include "router/coord/coord.h"

static bool name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* Bytes of the name that begins here, or 0. */
static size_t name_size(const char *at)
{
    size_t size = 0;
    bool only_dots = true;
    for (; name_letter(at[size]); size++)
        only_dots = only_dots && at[size] == '.';
    return size <= COORD_NAME_MAX && !only_dots ? size : 0;
}

bool coord_path_valid(const char *path)
{
    if (strcmp(path, "/") == 0)
        return true;
    const char *at = path;
    for (size_t depth = 0; *at; depth++) {
        if (*at != '/' || depth == COORD_DEPTH_MAX)
            return false;
        size_t size = name_size(at + 1);
        if (size == 0)
            return false;
        at += 1 + size;
    }
    return at > path && (size_t)(at - path) <= COORD_PATH_MAX;
}

const char *coord_path_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

size_t coord_path_parent(const char *path)
{
    return (size_t)(coord_path_name(path) - 1 - path);
}

const char *coord_state_name(enum coord_state state)
{
    static const char *const names[] = { "connecting", "connected", "suspended", "expired",
                                         "refused" };
    return names[state];
}

s4_status coord_attach(struct coord *coord, const struct coord_upcalls *upcalls, void *user,
                       struct waker *waker)
{
    coord->upcalls = upcalls;
    coord->user = user;
    coord->waker = waker;
    return coord->ops->attach ? coord->ops->attach(coord) : S4_OK;
}

/* ---- reads ----------------------------------------------------------------------------------- */

static s4_status check_call(const struct coord *coord, const char *path)
{
    CHECK(coord->upcalls); /* attached */
    if (!coord_path_valid(path))
        return S4_INVALID;
    return coord->calls < COORD_CALLS_MAX ? S4_OK : S4_FULL;
}

/* Accepted calls are counted here, and delivered ones in coord_queue.c. */
static s4_status count_call(struct coord *coord, s4_status status)
{
    coord->calls += status == S4_OK;
    return status;
}

s4_status coord_get(struct coord *coord, const char *path, unsigned flags, struct coord_call call)
{
    TRY(check_call(coord, path));
    return count_call(coord, coord->ops->get(coord, path, flags, call));
}

s4_status coord_children(struct coord *coord, const char *path, unsigned flags,
                         struct coord_call call)
{
    TRY(check_call(coord, path));
    return count_call(coord, coord->ops->children(coord, path, flags, call));
}

/* ---- writes ---------------------------------------------------------------------------------- */

static s4_status check_create(const struct coord_op *op, size_t n)
{
    if (op->kind != COORD_EPHEMERAL_SEQUENTIAL)
        return S4_OK;
    if (n != 1)
        return S4_INVALID;
    size_t size = strlen(op->path);
    size_t name = size - coord_path_parent(op->path) - 1;
    bool fits =
        name + COORD_SEQ_DIGITS <= COORD_NAME_MAX && size + COORD_SEQ_DIGITS <= COORD_PATH_MAX;
    return fits ? S4_OK : S4_TOO_LARGE;
}

static s4_status check_op(const struct coord_op *op, size_t n)
{
    if (!coord_path_valid(op->path) || (op->path[1] == '\0' && op->op != COORD_CHECK))
        return S4_INVALID;
    if (op->op == COORD_CREATE)
        return check_create(op, n);
    return op->version >= COORD_ANY ? S4_OK : S4_INVALID;
}

s4_status coord_multi(struct coord *coord, const struct coord_op *ops, size_t n,
                      struct coord_call call)
{
    size_t bytes = 0;
    if (n == 0)
        return S4_INVALID;
    if (n > COORD_OPS_MAX)
        return S4_TOO_LARGE;
    for (size_t i = 0; i < n; i++) {
        TRY(check_call(coord, ops[i].path));
        TRY(check_op(&ops[i], n));
        if (ops[i].size > COORD_DATA_MAX - bytes)
            return S4_TOO_LARGE;
        bytes += ops[i].size;
    }
    return count_call(coord, coord->ops->write(coord, ops, n, call));
}

s4_status coord_create(struct coord *coord, const char *path, enum coord_kind kind,
                       const void *data, size_t size, struct coord_call call)
{
    struct coord_op op = {
        .op = COORD_CREATE, .kind = kind, .path = path, .data = data, .size = size
    };
    return coord_multi(coord, &op, 1, call);
}

s4_status coord_set(struct coord *coord, const char *path, const void *data, size_t size,
                    int64_t version, struct coord_call call)
{
    struct coord_op op = {
        .op = COORD_SET, .path = path, .data = data, .size = size, .version = version
    };
    return coord_multi(coord, &op, 1, call);
}

s4_status coord_delete(struct coord *coord, const char *path, int64_t version,
                       struct coord_call call)
{
    struct coord_op op = { .op = COORD_DELETE, .path = path, .version = version };
    return coord_multi(coord, &op, 1, call);
}
