/* A sorted array of entries. A write of several ops does one after the other and keeps what undoes
 * them, last first, for the op that fails.
 *
 * Entries below "/a" are one stretch of the array, those with the prefix "/a/"; "/a" itself need
 * not stand just before it, since '-' and '.' sort before '/'.
 */
#include "router/coord/coord_tree.h"

#include "runtime/base/mem.h"

struct undo {
    enum coord_op_kind op;
    struct coord_entry *entry;  /* created or set: in the tree; deleted: owned here */
    struct coord_entry *parent; /* created, deleted */
    char *data;                 /* set: what was there; owned */
    size_t size;
    uint64_t number; /* changed, or the parent's children_changed, before */
};

/* The place of the first path that is not below `path`, `size`. */
static size_t lower_bound(const struct coord_tree *tree, const char *path, size_t size)
{
    size_t low = 0, high = tree->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *there = tree->entries[middle]->path;
        int order = strncmp(there, path, size);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct coord_entry *find(const struct coord_tree *tree, const char *path, size_t size)
{
    size_t at = lower_bound(tree, path, size); /* a path sorts before all that begin with it */
    if (at == tree->n || strncmp(tree->entries[at]->path, path, size) != 0)
        return NULL;
    return tree->entries[at]->path[size] == '\0' ? tree->entries[at] : NULL;
}

const struct coord_entry *coord_tree_find(const struct coord_tree *tree, const char *path)
{
    return find(tree, path, path[1] == '\0' ? 0 : strlen(path));
}

size_t coord_tree_children(const struct coord_tree *tree, const char *path, const char **names,
                           size_t max)
{
    char prefix[COORD_PATH_MAX + 2];
    size_t size = path[0] == '\0' || path[1] == '\0' ? 0 : strlen(path);
    memcpy(prefix, path, size);
    prefix[size++] = '/';
    size_t count = 0;
    for (size_t at = lower_bound(tree, prefix, size); at < tree->n; at++) {
        const char *there = tree->entries[at]->path;
        if (strncmp(there, prefix, size) != 0)
            break;
        if (strchr(there + size, '/'))
            continue;
        if (count < max)
            names[count] = there + size;
        count++;
    }
    return count;
}

static struct coord_entry *parent_of(const struct coord_tree *tree, const char *path)
{
    return find(tree, path, coord_path_parent(path));
}

static struct coord_entry *make_entry(const char *path, const void *data, size_t size)
{
    size_t path_size = strlen(path) + 1;
    struct coord_entry *entry = mem_zalloc(sizeof *entry + path_size);
    if (!entry)
        return NULL;
    memcpy(entry->path, path, path_size);
    entry->data = mem_dup(size > 0 ? data : "", size > 0 ? size : 1);
    entry->size = size;
    if (!entry->data) {
        mem_free(entry);
        return NULL;
    }
    return entry;
}

static void free_entry(struct coord_entry *entry)
{
    if (entry)
        mem_free(entry->data);
    mem_free(entry);
}

static bool insert(struct coord_tree *tree, struct coord_entry *entry)
{
    void *entries = tree->entries;
    if (!mem_grow(&entries, &tree->capacity, tree->n + 1, sizeof(struct coord_entry *)))
        return false;
    tree->entries = entries;
    size_t at = lower_bound(tree, entry->path, strlen(entry->path) + 1);
    memmove(&tree->entries[at + 1], &tree->entries[at], (tree->n - at) * sizeof *tree->entries);
    tree->entries[at] = entry;
    tree->n++;
    return true;
}

static void take_out(struct coord_tree *tree, const struct coord_entry *entry)
{
    size_t at = lower_bound(tree, entry->path, strlen(entry->path) + 1);
    CHECK(tree->entries[at] == entry);
    tree->n--;
    memmove(&tree->entries[at], &tree->entries[at + 1], (tree->n - at) * sizeof *tree->entries);
}

s4_status coord_tree_init(struct coord_tree *tree)
{
    *tree = (struct coord_tree){ 0 };
    struct coord_entry *root = make_entry("", NULL, 0);
    if (root && insert(tree, root))
        return S4_OK;
    free_entry(root);
    return S4_NO_MEMORY;
}

void coord_tree_fini(struct coord_tree *tree)
{
    for (size_t i = 0; i < tree->n; i++)
        free_entry(tree->entries[i]);
    mem_free(tree->entries);
    *tree = (struct coord_tree){ 0 };
}

/* ---- ops ------------------------------------------------------------------------------------- */

static s4_status create_entry(struct coord_tree *tree, uint64_t number, uint64_t session,
                              const struct coord_op *op, char *made, struct undo *undo)
{
    struct coord_entry *parent = parent_of(tree, op->path);
    if (!parent)
        return S4_NOT_FOUND;
    if (parent->session != 0)
        return S4_TYPE;
    bool sequential = op->kind == COORD_EPHEMERAL_SEQUENTIAL;
    snprintf(made, COORD_PATH_MAX + 1, "%s", op->path);
    if (sequential)
        snprintf(made, COORD_PATH_MAX + 1, "%s%0*llu", op->path, COORD_SEQ_DIGITS,
                 (unsigned long long)parent->next_seq);
    if (coord_tree_find(tree, made))
        return S4_EXISTS;
    struct coord_entry *entry = make_entry(made, op->data, op->size);
    if (!entry || !insert(tree, entry)) {
        free_entry(entry);
        return S4_NO_MEMORY;
    }
    entry->created = entry->changed = entry->children_changed = number;
    entry->session = op->kind == COORD_PERSISTENT ? 0 : session;
    *undo = (struct undo){ .entry = entry, .parent = parent, .number = parent->children_changed };
    parent->children_changed = number;
    parent->next_seq += sequential; /* never undone: such an op is alone */
    return S4_OK;
}

static s4_status set_entry(struct coord_entry *entry, uint64_t number, const struct coord_op *op,
                           struct undo *undo)
{
    char *data = mem_dup(op->size > 0 ? op->data : "", op->size > 0 ? op->size : 1);
    if (!data)
        return S4_NO_MEMORY;
    *undo = (struct undo){
        .entry = entry, .data = entry->data, .size = entry->size, .number = entry->changed
    };
    entry->data = data;
    entry->size = op->size;
    entry->changed = number;
    entry->version++;
    return S4_OK;
}

static s4_status delete_entry(struct coord_tree *tree, struct coord_entry *entry, uint64_t number,
                              struct undo *undo)
{
    if (coord_tree_children(tree, entry->path, NULL, 0) > 0)
        return S4_BUSY;
    struct coord_entry *parent = parent_of(tree, entry->path);
    *undo = (struct undo){ .entry = entry, .parent = parent, .number = parent->children_changed };
    take_out(tree, entry);
    parent->children_changed = number;
    return S4_OK;
}

static s4_status apply(struct coord_tree *tree, uint64_t number, uint64_t session,
                       const struct coord_op *op, char *made, struct undo *undo)
{
    if (op->op == COORD_CREATE)
        return create_entry(tree, number, session, op, made, undo);
    struct coord_entry *entry = find(tree, op->path, op->path[1] == '\0' ? 0 : strlen(op->path));
    if (!entry)
        return S4_NOT_FOUND;
    if (op->version != COORD_ANY && op->version != entry->version)
        return S4_VERSION;
    if (op->op == COORD_SET)
        return set_entry(entry, number, op, undo);
    return op->op == COORD_DELETE ? delete_entry(tree, entry, number, undo) : S4_OK;
}

static void take_back(struct coord_tree *tree, struct undo *undo)
{
    switch (undo->op) {
    case COORD_CREATE:
        take_out(tree, undo->entry);
        free_entry(undo->entry);
        undo->parent->children_changed = undo->number;
        break;
    case COORD_SET:
        mem_free(undo->entry->data);
        undo->entry->data = undo->data;
        undo->entry->size = undo->size;
        undo->entry->changed = undo->number;
        undo->entry->version--;
        break;
    case COORD_DELETE:
        CHECK(insert(tree, undo->entry)); /* there was room before */
        undo->parent->children_changed = undo->number;
        break;
    case COORD_CHECK:
        break;
    }
}

static void keep(struct undo *undo)
{
    if (undo->op == COORD_SET)
        mem_free(undo->data);
    else if (undo->op == COORD_DELETE)
        free_entry(undo->entry);
}

s4_status coord_tree_write(struct coord_tree *tree, uint64_t number, uint64_t session,
                           const struct coord_op *ops, size_t n, size_t *failed_op, char *made)
{
    struct undo undo[COORD_OPS_MAX];
    s4_status status = S4_OK;
    size_t done = 0;
    for (; done < n; done++) {
        status = apply(tree, number, session, &ops[done], made, &undo[done]);
        if (status != S4_OK)
            break;
        undo[done].op = ops[done].op;
    }
    if (status != S4_OK) {
        *failed_op = done;
        while (done-- > 0)
            take_back(tree, &undo[done]);
        return status;
    }
    for (size_t i = 0; i < n; i++)
        keep(&undo[i]);
    tree->applied = number;
    return S4_OK;
}

void coord_tree_end_session(struct coord_tree *tree, uint64_t number, uint64_t session)
{
    for (size_t i = tree->n; i-- > 0;) {
        struct coord_entry *entry = tree->entries[i];
        if (entry->session != session)
            continue;
        parent_of(tree, entry->path)->children_changed = number;
        take_out(tree, entry);
        free_entry(entry);
    }
    tree->applied = number;
}
