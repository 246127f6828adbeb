/* Entries and sessions as bytes, and back; see the header.
 *
 *     struct head | struct dir_session, n_sessions | struct entry, path, data, n_entries
 *
 * The head has the XXH3-64 of all that follows.
 */
#include "router/coord/dir_file.h"

#include "runtime/base/hash.h"
#include "runtime/base/mem.h"

#define DIR_MAGIC  0x4952444434533453ull
#define DIR_LAYOUT 1

struct head {
    uint64_t magic;
    uint64_t checksum; /* of what follows it */
    uint32_t layout;
    uint32_t n_sessions;
    uint64_t n_entries;
    uint64_t applied;
    uint64_t next_session;
};

struct entry {
    int64_t version;
    uint64_t created, changed, children_changed, session, next_seq;
    uint32_t size;
    uint32_t path;
};

s4_status dir_state_init(struct dir_state *state)
{
    *state = (struct dir_state){ .next_session = 1 };
    return coord_tree_init(&state->tree);
}

void dir_state_fini(struct dir_state *state)
{
    coord_tree_fini(&state->tree);
}

s4_status dir_state_pack(const struct dir_state *state, struct buffer *out)
{
    struct head head = { .magic = DIR_MAGIC,
                         .layout = DIR_LAYOUT,
                         .n_sessions = state->n_sessions,
                         .n_entries = state->tree.n,
                         .applied = state->tree.applied,
                         .next_session = state->next_session };
    size_t from = out->size;
    TRY(buffer_append(out, &head, sizeof head));
    TRY(buffer_append(out, state->sessions, state->n_sessions * sizeof state->sessions[0]));
    for (size_t i = 0; i < state->tree.n; i++) {
        const struct coord_entry *e = state->tree.entries[i];
        struct entry entry = {
            e->version, e->created,  e->changed,        e->children_changed,
            e->session, e->next_seq, (uint32_t)e->size, (uint32_t)strlen(e->path)
        };
        TRY(buffer_append(out, &entry, sizeof entry));
        TRY(buffer_append(out, e->path, entry.path));
        if (e->size)
            TRY(buffer_append(out, e->data, e->size));
    }
    size_t skip = from + offsetof(struct head, layout);
    head.checksum = hash_bytes(out->data + skip, out->size - skip);
    memcpy(out->data + from, &head, sizeof head);
    return S4_OK;
}

static s4_status take(const char **at, const char *end, void *to, size_t size)
{
    if (size > (size_t)(end - *at))
        return S4_CORRUPT;
    memcpy(to, *at, size);
    *at += size;
    return S4_OK;
}

/* The root has the path ""; all come in order. */
static bool can_follow(const struct coord_tree *tree, const char *path)
{
    if (tree->n == 0)
        return path[0] == '\0';
    return coord_path_valid(path) && path[1] != '\0' &&
           strcmp(tree->entries[tree->n - 1]->path, path) < 0;
}

static s4_status take_entry(struct coord_tree *tree, const char **at, const char *end)
{
    struct entry entry;
    TRY(take(at, end, &entry, sizeof entry));
    if (entry.path > COORD_PATH_MAX || entry.size > COORD_DATA_MAX || entry.version < 0)
        return S4_CORRUPT;
    struct coord_entry *made = mem_zalloc(sizeof *made + entry.path + 1);
    char *data = mem_alloc(entry.size + 1);
    void *entries = tree->entries;
    bool room = mem_grow(&entries, &tree->capacity, tree->n + 1, sizeof(struct coord_entry *));
    if (room)
        tree->entries = entries;
    s4_status status = made && data && room ? S4_OK : S4_NO_MEMORY;
    if (status == S4_OK)
        status = take(at, end, made->path, entry.path);
    if (status == S4_OK)
        status = take(at, end, data, entry.size);
    if (status == S4_OK && !can_follow(tree, made->path))
        status = S4_CORRUPT;
    if (status != S4_OK) {
        mem_free(made);
        mem_free(data);
        return status;
    }
    made->version = entry.version;
    made->created = entry.created;
    made->changed = entry.changed;
    made->children_changed = entry.children_changed;
    made->session = entry.session;
    made->next_seq = entry.next_seq;
    made->size = entry.size;
    made->data = data;
    tree->entries[tree->n++] = made;
    return S4_OK;
}

static s4_status take_all(struct dir_state *state, const struct head *head, const char *at,
                          const char *end)
{
    if (head->n_sessions > DIR_SESSIONS_MAX || head->n_entries == 0)
        return S4_CORRUPT;
    TRY(take(&at, end, state->sessions, head->n_sessions * sizeof state->sessions[0]));
    state->n_sessions = head->n_sessions;
    state->next_session = head->next_session;
    state->tree.applied = head->applied;
    for (uint64_t i = 0; i < head->n_entries; i++)
        TRY(take_entry(&state->tree, &at, end));
    return at == end ? S4_OK : S4_CORRUPT;
}

s4_status dir_state_unpack(struct dir_state *state, const char *bytes, size_t size,
                           struct diag *diag)
{
    struct head head;
    struct dir_state made = { 0 };
    const char *at = bytes;
    if (take(&at, bytes + size, &head, sizeof head) != S4_OK || head.magic != DIR_MAGIC)
        return diag_set(diag, S4_CORRUPT, "it is no file of entries");
    size_t skip = offsetof(struct head, layout);
    if (head.checksum != hash_bytes(bytes + skip, size - skip))
        return diag_set(diag, S4_CORRUPT, "its checksum is wrong");
    if (head.layout != DIR_LAYOUT)
        return diag_set(diag, S4_VERSION, "its layout is %u, wanted %u", head.layout, DIR_LAYOUT);
    s4_status status = take_all(&made, &head, at, bytes + size);
    if (status != S4_OK) {
        dir_state_fini(&made);
        return diag_set(diag, status, "%s", s4_status_text(status));
    }
    dir_state_fini(state);
    *state = made;
    return S4_OK;
}

struct dir_session *dir_state_find(struct dir_state *state, uint64_t number)
{
    for (uint32_t i = 0; i < state->n_sessions; i++)
        if (state->sessions[i].number == number)
            return &state->sessions[i];
    return NULL;
}

void dir_state_end(struct dir_state *state, uint64_t number)
{
    struct dir_session *session = dir_state_find(state, number);
    if (!session)
        return;
    *session = state->sessions[--state->n_sessions];
    coord_tree_end_session(&state->tree, state->tree.applied + 1, number);
}
