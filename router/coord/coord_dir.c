/* A coordination service in a directory; see the header and README.md.
 *
 *     DIR/lock          whoever changes anything holds its flock
 *     DIR/entries       all entries and sessions (dir_file.h), replaced whole by a rename
 *     DIR/session-N     of session N: its process holds the flock of it, and writes into it when it
 * was last alive, by the boot-time clock, while it holds the lock
 *
 * A call does what it has to do at once; its answer is told by the next step. A change is on the
 * disk before its answer is there. Who is dead is found out by whoever has the lock: nobody holds
 * the session's flock, or it has not been alive for the session's timeout.
 */
#include "router/coord/coord_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "router/coord/coord_queue.h"
#include "router/coord/dir_file.h"
#include "runtime/base/mem.h"

#define LOCK_TRY_US 500u
#define NAME_ROOM   40

struct watch {
    struct watch *next;
    struct coord_item *item; /* owned, until it is told */
    uint64_t number;         /* of the last change that was there when it was set */
    bool existed;
};

/* Which file of entries was read: another one is newer. */
struct seen {
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct coord_dir {
    struct coord coord; /* first */
    struct coord_queue queue;
    const struct clock *clock;
    char *path; /* owned */
    int dir_fd, lock_fd, session_fd;
    uint64_t session; /* 0: none yet */
    struct dir_state state;
    struct seen seen;
    struct watch *watches;
    size_t n_watches;
    uint64_t poll_us, look_us, beat_us; /* when each is due */
    bool over;
};

static struct coord_dir *dir_of(struct coord *coord)
{
    return (struct coord_dir *)(void *)coord;
}

static uint64_t now_us(const struct coord_dir *dir)
{
    return dir->clock->boot_us(dir->clock);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void become(struct coord_dir *dir, enum coord_state state)
{
    if (dir->over)
        return;
    dir->over = state == COORD_EXPIRED || state == COORD_REFUSED;
    coord_queue_push_state(&dir->queue, state);
}

static void refuse(struct coord_dir *dir, const char *what, s4_status status, const char *why)
{
    diag_set(&dir->coord.why, status, "%s/%s: %s", dir->path, what, why);
    become(dir, COORD_REFUSED);
}

static bool is_connected(const struct coord_dir *dir)
{
    return dir->session != 0 && !dir->over;
}

/* ---- the lock -------------------------------------------------------------------------------- */

/* Whoever holds it is done in a moment, or stopped: then the service is away. */
static bool lock(struct coord_dir *dir)
{
    for (uint64_t waited_us = 0; waited_us < COORD_DIR_LOCK_US; waited_us += LOCK_TRY_US) {
        if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            break;
        struct timespec pause = { .tv_nsec = LOCK_TRY_US * 1000 };
        nanosleep(&pause, NULL);
    }
    diag_set(&dir->coord.why, S4_UNAVAILABLE, "%s/lock: somebody holds it for long", dir->path);
    return false;
}

static void unlock(struct coord_dir *dir)
{
    flock(dir->lock_fd, LOCK_UN);
}

/* ---- the entries ----------------------------------------------------------------------------- */

static bool is_stale(const struct coord_tree *tree, const struct watch *watch)
{
    const struct coord_entry *entry = coord_tree_find(tree, watch->item->path);
    if (!entry)
        return watch->existed;
    if (watch->item->change == COORD_CHANGED_CHILDREN)
        return entry->children_changed > watch->number;
    return !watch->existed || entry->changed > watch->number;
}

static void fire_watches(struct coord_dir *dir)
{
    for (struct watch **at = &dir->watches; *at;) {
        struct watch *watch = *at;
        if (!is_stale(&dir->state.tree, watch)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        dir->n_watches--;
        coord_queue_push(&dir->queue, watch->item);
        mem_free(watch);
    }
}

static s4_status read_all(int fd, size_t size, struct buffer *out)
{
    char *room = buffer_room(out, size);
    if (!room)
        return S4_NO_MEMORY;
    for (size_t at = 0; at < size;) {
        ssize_t n = pread(fd, room + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return S4_IO;
        at += (size_t)n;
    }
    return S4_OK;
}

static s4_status load_from(struct coord_dir *dir, int fd, const struct stat *stat)
{
    struct buffer bytes;
    if ((uint64_t)stat->st_size > COORD_DIR_MAX)
        return diag_set(&dir->coord.why, S4_TOO_LARGE, "%s/entries: %lld bytes", dir->path,
                        (long long)stat->st_size);
    buffer_init(&bytes);
    s4_status status = read_all(fd, (size_t)stat->st_size, &bytes);
    if (status == S4_OK) {
        struct diag why = { 0 };
        status = dir_state_unpack(&dir->state, bytes.data, bytes.size, &why);
        if (status != S4_OK)
            diag_set(&dir->coord.why, status, "%s/entries: %s", dir->path, why.text);
    } else {
        diag_set(&dir->coord.why, status, "%s/entries: %s", dir->path, s4_status_text(status));
    }
    buffer_fini(&bytes);
    return status;
}

/* What is there now, if it is not what was read last. A directory without the file has no entries.
 */
static s4_status load(struct coord_dir *dir)
{
    struct stat stat;
    int fd = openat(dir->dir_fd, "entries", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && dir->seen.inode == 0)
        return S4_OK;
    if (fd < 0 || fstat(fd, &stat) != 0) {
        diag_set(&dir->coord.why, S4_IO, "%s/entries: %s", dir->path, strerrordesc_np(errno));
        if (fd >= 0)
            close(fd);
        return S4_IO;
    }
    struct seen seen = { stat.st_ino, stat.st_size, stat.st_mtim };
    bool same = seen.inode == dir->seen.inode && seen.size == dir->seen.size &&
                seen.changed.tv_sec == dir->seen.changed.tv_sec &&
                seen.changed.tv_nsec == dir->seen.changed.tv_nsec;
    s4_status status = same ? S4_OK : load_from(dir, fd, &stat);
    close(fd);
    if (!same && status == S4_OK) {
        dir->seen = seen;
        fire_watches(dir);
    }
    return status;
}

static s4_status write_all(int fd, const char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, data + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return S4_IO;
        at += (size_t)n;
    }
    return fsync(fd) == 0 ? S4_OK : S4_IO;
}

static s4_status publish(struct coord_dir *dir, const struct buffer *bytes)
{
    struct stat stat;
    int fd = openat(dir->dir_fd, "entries.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return S4_IO;
    s4_status status = write_all(fd, bytes->data, bytes->size);
    if (status == S4_OK && fstat(fd, &stat) != 0)
        status = S4_IO;
    if (close(fd) != 0)
        status = S4_IO;
    if (status == S4_OK && renameat(dir->dir_fd, "entries.new", dir->dir_fd, "entries") != 0)
        status = S4_IO;
    if (status != S4_OK)
        return status;
    fsync(dir->dir_fd); /* it is there for everybody; without this, not after a power failure */
    dir->seen = (struct seen){ stat.st_ino, stat.st_size, stat.st_mtim };
    return S4_OK;
}

/* The lock is held. When it fails, what is in memory is what is on the disk again. */
static s4_status save(struct coord_dir *dir)
{
    struct buffer bytes;
    buffer_init(&bytes);
    s4_status status = dir_state_pack(&dir->state, &bytes);
    if (status == S4_OK && bytes.size > COORD_DIR_MAX)
        status = S4_TOO_LARGE;
    if (status == S4_OK)
        status = publish(dir, &bytes);
    buffer_fini(&bytes);
    if (status == S4_OK) {
        fire_watches(dir);
        return S4_OK;
    }
    diag_set(&dir->coord.why, status, "%s/entries: %s", dir->path, strerrordesc_np(errno));
    if (dir->seen.inode == 0) {
        dir_state_fini(&dir->state);
        return dir_state_init(&dir->state) == S4_OK ? status : S4_NO_MEMORY;
    }
    dir->seen.size = -1;
    s4_status loaded = load(dir);
    return loaded == S4_OK ? status : loaded;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void session_name(uint64_t number, char name[NAME_ROOM])
{
    snprintf(name, NAME_ROOM, "session-%llu", (unsigned long long)number);
}

/* The lock is held. Nobody holds its flock, or it has been silent for too long. */
static bool is_dead(const struct coord_dir *dir, const struct dir_session *session)
{
    char name[NAME_ROOM];
    uint64_t beat_us = 0;
    session_name(session->number, name);
    int fd = openat(dir->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    bool dead = flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (!dead && pread(fd, &beat_us, sizeof beat_us, 0) == sizeof beat_us)
        dead = now_us(dir) > beat_us + session->timeout_us;
    close(fd);
    return dead;
}

/* The lock is held, and what is on the disk is loaded. True: somebody has gone. */
static bool bury_dead(struct coord_dir *dir)
{
    bool any = false;
    for (uint32_t i = dir->state.n_sessions; i-- > 0;) {
        struct dir_session session = dir->state.sessions[i];
        char name[NAME_ROOM];
        if (session.number == dir->session || !is_dead(dir, &session))
            continue;
        dir_state_end(&dir->state, session.number);
        session_name(session.number, name);
        unlinkat(dir->dir_fd, name, 0);
        any = true;
    }
    return any;
}

/* The lock is held: so nobody ends this session by an older beat. */
static s4_status beat(struct coord_dir *dir)
{
    uint64_t now = now_us(dir);
    if (pwrite(dir->session_fd, &now, sizeof now, 0) != sizeof now)
        return S4_IO;
    dir->beat_us = now + dir->coord.session_us / 4;
    dir->coord.sure_until_us = now + dir->coord.session_us;
    return S4_OK;
}

/* The lock is held. */
static s4_status begin_session(struct coord_dir *dir)
{
    char name[NAME_ROOM];
    struct dir_state *state = &dir->state;
    if (state->n_sessions == DIR_SESSIONS_MAX)
        return S4_FULL;
    uint64_t number = state->next_session++;
    session_name(number, name);
    int fd = openat(dir->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (fd >= 0)
            close(fd);
        return S4_IO;
    }
    dir->session_fd = fd;
    dir->session = number;
    state->sessions[state->n_sessions++] = (struct dir_session){ number, dir->coord.session_us };
    s4_status status = beat(dir);
    if (status == S4_OK)
        status = save(dir);
    if (status == S4_OK)
        return S4_OK;
    close(fd);
    unlinkat(dir->dir_fd, name, 0);
    dir->session_fd = -1;
    dir->session = 0;
    return status;
}

/* What lies there is nobody's: who comes is told so. Who was there waits until it can be read
 * again, as for a service that is away. */
static void meet_garbage(struct coord_dir *dir, s4_status status)
{
    bool garbage = status == S4_CORRUPT || status == S4_VERSION || status == S4_TOO_LARGE;
    if (garbage && dir->session == 0)
        become(dir, COORD_REFUSED);
    else if (garbage && dir->coord.state == COORD_CONNECTED)
        become(dir, COORD_SUSPENDED);
}

/* Loads under the lock; false: no lock, or it cannot be read, or this session has been ended. */
static bool enter(struct coord_dir *dir)
{
    if (!lock(dir))
        return false;
    s4_status status = load(dir);
    bool alive = dir->session == 0 || dir_state_find(&dir->state, dir->session);
    if (status == S4_OK && alive)
        return true;
    unlock(dir);
    if (status == S4_OK) {
        dir->coord.sure_until_us = 0;
        diag_set(&dir->coord.why, S4_UNAVAILABLE, "%s: the session was silent for too long",
                 dir->path);
        become(dir, COORD_EXPIRED);
    } else {
        meet_garbage(dir, status);
    }
    return false;
}

static void connect_now(struct coord_dir *dir)
{
    if (!enter(dir))
        return;
    bury_dead(dir);
    s4_status status = begin_session(dir);
    unlock(dir);
    if (status == S4_OK)
        become(dir, COORD_CONNECTED);
    else
        refuse(dir, "entries", status, s4_status_text(status));
}

/* Looks for what others changed, for who is dead, and says that it lives itself. */
static void look(struct coord_dir *dir)
{
    uint64_t now = now_us(dir);
    if (now >= dir->poll_us) {
        dir->poll_us = now + COORD_DIR_POLL_US;
        meet_garbage(dir, load(dir));
    }
    if (now < dir->look_us && now < dir->beat_us)
        return;
    dir->look_us = now + COORD_DIR_LOOK_US;
    bool entered = enter(dir);
    if (!entered) {
        if (is_connected(dir) && dir->coord.state == COORD_CONNECTED)
            become(dir, COORD_SUSPENDED);
        return;
    }
    s4_status status = beat(dir);
    if (bury_dead(dir) && status == S4_OK)
        status = save(dir);
    unlock(dir);
    if (status == S4_OK && dir->coord.state == COORD_SUSPENDED)
        become(dir, COORD_CONNECTED);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static s4_status answer(struct coord_dir *dir, struct coord_item *item)
{
    coord_queue_push(&dir->queue, item);
    if (dir->coord.waker)
        waker_call(dir->coord.waker);
    return S4_OK;
}

static bool is_watched(const struct coord_dir *dir, const char *path, enum coord_change change)
{
    for (const struct watch *w = dir->watches; w; w = w->next)
        if (w->item->change == change && strcmp(w->item->path, path) == 0)
            return true;
    return false;
}

static struct watch *watch_new(const char *path, enum coord_change change)
{
    struct watch *watch = mem_zalloc(sizeof *watch);
    if (!watch)
        return NULL;
    watch->item = coord_item_create(COORD_ITEM_CHANGED, path);
    if (!watch->item) {
        mem_free(watch);
        return NULL;
    }
    watch->item->change = change;
    return watch;
}

static void fill(struct coord_dir *dir, struct coord_item *item, bool children)
{
    const struct coord_entry *entry = coord_tree_find(&dir->state.tree, item->path);
    item->answer.status = entry ? S4_OK : S4_NOT_FOUND;
    if (!entry)
        return;
    if (children) {
        const char *names[COORD_CHILDREN_MAX + 1];
        coord_item_set_names(
            item, names,
            coord_tree_children(&dir->state.tree, item->path, names, ARRAY_LEN(names)));
        return;
    }
    item->answer.stat = (struct coord_stat){ .version = entry->version,
                                             .created = entry->created,
                                             .ephemeral = entry->session != 0,
                                             .mine = entry->session == dir->session };
    coord_item_set_data(item, entry->data, entry->size);
}

/* Reads what is on the disk now, so every read is fresh. */
static s4_status dir_read(struct coord *coord, const char *path, unsigned flags, bool children,
                          struct coord_call call)
{
    struct coord_dir *dir = dir_of(coord);
    enum coord_change change = children ? COORD_CHANGED_CHILDREN : COORD_CHANGED_ENTRY;
    bool watches = (flags & COORD_WATCH) && !is_watched(dir, path, change);
    if ((flags & COORD_WATCH) && dir->n_watches >= COORD_WATCHES_MAX)
        return S4_FULL;
    struct coord_item *item = coord_item_create(COORD_ITEM_ANSWER, path);
    struct watch *watch = item && watches ? watch_new(path, change) : NULL;
    if (!item || (watches && !watch)) {
        coord_item_destroy(item);
        return S4_NO_MEMORY;
    }
    item->call = call;
    if (!is_connected(dir) || load(dir) != S4_OK) {
        coord_item_lose(item);
        watches = false;
    } else {
        fill(dir, item, children);
        watches = watches && !(children && item->answer.status == S4_NOT_FOUND);
    }
    if (watches) {
        watch->number = dir->state.tree.applied;
        watch->existed = item->answer.status != S4_NOT_FOUND;
        watch->next = dir->watches;
        dir->watches = watch;
        dir->n_watches++;
    } else if (watch) {
        coord_item_destroy(watch->item);
        mem_free(watch);
    }
    return answer(dir, item);
}

static s4_status dir_get(struct coord *coord, const char *path, unsigned flags,
                         struct coord_call call)
{
    return dir_read(coord, path, flags, false, call);
}

static s4_status dir_children(struct coord *coord, const char *path, unsigned flags,
                              struct coord_call call)
{
    return dir_read(coord, path, flags, true, call);
}

static s4_status dir_write(struct coord *coord, const struct coord_op *ops, size_t n,
                           struct coord_call call)
{
    struct coord_dir *dir = dir_of(coord);
    struct coord_item *item = coord_item_create(COORD_ITEM_ANSWER, ops[0].path);
    if (!item)
        return S4_NO_MEMORY;
    item->call = call;
    if (!is_connected(dir) || !enter(dir)) {
        coord_item_lose(item);
        return answer(dir, item);
    }
    char made[COORD_PATH_MAX + 1];
    size_t failed_op = COORD_OPS_MAX;
    s4_status status = coord_tree_write(&dir->state.tree, dir->state.tree.applied + 1, dir->session,
                                        ops, n, &failed_op, made);
    bool changes = false;
    for (size_t i = 0; i < n; i++)
        changes |= ops[i].op != COORD_CHECK;
    if (status == S4_OK && changes)
        status = save(dir);
    unlock(dir);
    item->answer.status = status;
    if (status != S4_OK)
        item->answer.failed_op = failed_op;
    else if (n == 1)
        coord_item_set_path(item, made);
    return answer(dir, item);
}

/* ---- stepping -------------------------------------------------------------------------------- */

static size_t dir_step(struct coord *coord, size_t max)
{
    struct coord_dir *dir = dir_of(coord);
    size_t done = 0;
    if (!dir->over && dir->session == 0)
        connect_now(dir);
    else if (!dir->over)
        look(dir);
    for (struct coord_item *item; done < max && (item = coord_queue_pop(&dir->queue)); done++)
        coord_tell(coord, item);
    return done;
}

static uint64_t dir_timeout_us(struct coord *coord)
{
    const struct coord_dir *dir = dir_of(coord);
    if (dir->queue.head)
        return 0;
    return dir->over ? WAKER_FOREVER : COORD_DIR_POLL_US;
}

static void end_session(struct coord_dir *dir)
{
    char name[NAME_ROOM];
    session_name(dir->session, name);
    if (enter(dir)) {
        dir_state_end(&dir->state, dir->session);
        if (save(dir) == S4_OK)
            unlinkat(dir->dir_fd, name, 0);
        unlock(dir);
    }
}

static void dir_destroy(struct coord *coord)
{
    struct coord_dir *dir = dir_of(coord);
    if (is_connected(dir))
        end_session(dir);
    while (dir->watches) {
        struct watch *watch = dir->watches;
        dir->watches = watch->next;
        coord_item_destroy(watch->item);
        mem_free(watch);
    }
    coord_queue_fini(&dir->queue);
    dir_state_fini(&dir->state);
    int fds[] = { dir->session_fd, dir->lock_fd, dir->dir_fd };
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    mem_free(dir->path);
    mem_free(dir);
}

static const struct coord_ops dir_ops = {
    .get = dir_get,
    .children = dir_children,
    .write = dir_write,
    .step = dir_step,
    .timeout_us = dir_timeout_us,
    .destroy = dir_destroy,
};

/* ---- creation -------------------------------------------------------------------------------- */

static s4_status fail_with(const char *path, const char *what, struct diag *diag)
{
    s4_status status = errno == EACCES || errno == EPERM ? S4_PERMISSION : S4_IO;
    return diag_set(diag, status, "%s%s: %s", path, what, strerrordesc_np(errno));
}

/* Others who could write in it could be any node. */
static s4_status open_directory(struct coord_dir *dir, struct diag *diag)
{
    struct stat stat;
    if (mkdir(dir->path, 0700) != 0 && errno != EEXIST)
        return fail_with(dir->path, "", diag);
    dir->dir_fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir->dir_fd < 0 || fstat(dir->dir_fd, &stat) != 0)
        return fail_with(dir->path, "", diag);
    if (stat.st_uid != geteuid() || (stat.st_mode & 077) != 0)
        return diag_set(diag, S4_PERMISSION,
                        "%s: it has the mode %03o and owner %u, wanted 0700 and its user's",
                        dir->path, (unsigned)stat.st_mode & 0777, (unsigned)stat.st_uid);
    dir->lock_fd = openat(dir->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return dir->lock_fd >= 0 ? S4_OK : fail_with(dir->path, "/lock", diag);
}

s4_status coord_dir_create(const struct coord_dir_options *options, struct coord **coord,
                           struct diag *diag)
{
    uint32_t session_ms = options->session_ms ? options->session_ms : COORD_SESSION_MS_DEFAULT;
    if (session_ms < COORD_SESSION_MS_MIN || session_ms > COORD_SESSION_MS_MAX)
        return diag_set(diag, S4_RANGE, "a session of %u ms, wanted %d to %d", session_ms,
                        COORD_SESSION_MS_MIN, COORD_SESSION_MS_MAX);
    struct coord_dir *dir = mem_zalloc(sizeof *dir);
    if (!dir)
        return diag_set(diag, S4_NO_MEMORY, "out of memory");
    dir->coord.ops = &dir_ops;
    dir->coord.state = COORD_CONNECTING;
    dir->coord.session_us = (uint64_t)session_ms * 1000;
    dir->clock = options->clock;
    dir->dir_fd = dir->lock_fd = dir->session_fd = -1;
    coord_queue_init(&dir->queue);
    dir->path = mem_strdup(options->path);
    s4_status status = dir->path ? dir_state_init(&dir->state) : S4_NO_MEMORY;
    status = status == S4_OK ? open_directory(dir, diag) : diag_set(diag, status, "out of memory");
    if (status != S4_OK) {
        dir_destroy(&dir->coord);
        return status;
    }
    *coord = &dir->coord;
    return S4_OK;
}
