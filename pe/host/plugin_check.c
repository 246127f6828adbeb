/* Both ends of a library's first load: the node, which starts a checking program and believes
 * nothing that it does not say, and that program.
 *
 * The child gets the library as descriptor 3 and writes to descriptor 4: a line "CODE TEXT" for
 * each problem, then "ok" when it has looked at everything and found none. It has a process group
 * of its own, so that what a constructor forks goes with it, and it dies with the node.
 *
 * What the child says comes from the very code that is under suspicion. It can only hurt itself: a
 * lying "ok" gets it loaded, as running well would have (README.md, rule 17).
 */
#include "pe/host/plugin_check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pe/graph/app.h"
#include "runtime/base/clock.h"
#include "runtime/base/utf8.h"

#define LIBRARY_FILE 3
#define ANSWER_FILE  4
#define ANSWER_MAX   (64 * KIB) /* bytes of all that a child says */
#define FILES_FROM   16         /* our ends of the child's files, clear of 3 and 4 */

/* ---- opening, in either process ------------------------------------------------------------ */

static s4_status open_failed(const char *path, struct problems *problems)
{
    const char *why = dlerror();
    size_t len = strlen(path);
    /* "/proc/self/fd/3: undefined symbol: x": the path says nothing to anybody. */
    if (why && strncmp(why, path, len) == 0 && why[len] == ':')
        why += len + 1 + (why[len + 1] == ' ');
    return problems_add(problems, S4_FAILED, "the library cannot be loaded: %s",
                        why ? why : "no reason is known");
}

s4_status plugin_open(int file, void **handle, const s4_app **app, struct problems *problems)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    void *made = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!made)
        return open_failed(path, problems);
    const s4_app *table = dlsym(made, S4_PLUGIN_SYMBOL);
    if (!table) {
        dlclose(made);
        return problems_add(problems, S4_NOT_FOUND,
                            "the library does not export %s; define the app with S4_APP",
                            S4_PLUGIN_SYMBOL);
    }
    *handle = made;
    *app = table;
    return S4_OK;
}

/* ---- the child ----------------------------------------------------------------------------- */

static void say(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(ANSWER_FILE, text, size);
        if (n <= 0 && errno != EINTR)
            return; /* nobody listens any more */
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
}

static void say_problem(const struct problem *problem)
{
    char line[DIAG_TEXT_MAX + 16];
    snprintf(line, sizeof line - 1, "%d %s", (int)problem->code, problem->text);
    size_t len = strlen(line);
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\n')
            line[i] = ' ';
    line[len++] = '\n';
    say(line, len);
}

int plugin_checker_main(int argc, char **argv)
{
    const struct rlimit no_core = { 0, 0 };
    struct problems problems;
    void *handle = NULL;
    const s4_app *app = NULL;
    problems_init(&problems);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (plugin_open(LIBRARY_FILE, &handle, &app, &problems) == S4_OK &&
        app_check(app, &problems) == S4_OK)
        say("ok\n", 3);
    for (size_t i = 0; i < problems.count; i++)
        say_problem(&problems.list[i]);
    _exit(0); /* without the library's destructors */
}

/* ---- the node: starting the child ---------------------------------------------------------- */

/* What a child starts with: signals as a fresh program has them, a group of its own. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (!error)
        error = posix_spawnattr_setflags(
            attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    return error;
}

/* Nothing on stdin; stdout goes where stderr goes, so that a plugin's words cannot end up among a
 * command's output; nothing else of the node's. */
static int set_files(posix_spawn_file_actions_t *actions, int library, int answer)
{
    int error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, 2, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, library, LIBRARY_FILE);
    if (!error)
        error = posix_spawn_file_actions_adddup2(actions, answer, ANSWER_FILE);
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, ANSWER_FILE + 1);
    return error;
}

static int spawn(const char *program, int library, int answer, pid_t *child)
{
    char flag[] = PLUGIN_CHECKER_FLAG;
    char name[] = "s4";
    char *argv[] = { name, flag, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = set_attributes(&attributes);
        if (!error)
            error = set_files(&actions, library, answer);
        if (!error)
            error = posix_spawn(child, program, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The child's files out of the way of 3 and 4, whatever numbers they have here. */
static int start(const char *program, int library, pid_t *child, int *answer)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    int theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, FILES_FROM);
    int code = fcntl(library, F_DUPFD_CLOEXEC, FILES_FROM);
    int error = theirs < 0 || code < 0 ? errno : spawn(program, code, theirs, child);
    close(ends[1]);
    if (theirs >= 0)
        close(theirs);
    if (code >= 0)
        close(code);
    if (error)
        close(ends[0]);
    else
        *answer = ends[0];
    return error;
}

/* ---- the node: what the child says --------------------------------------------------------- */

struct answer {
    char text[ANSWER_MAX + 1];
    size_t size;
    bool late; /* it did not end in time */
};

/* Reads to the end, which is the child's, or to the deadline. */
static void listen(int file, uint64_t deadline_us, struct answer *answer)
{
    while (answer->size < ANSWER_MAX) {
        uint64_t now_us = clock_real.mono_us(&clock_real);
        struct pollfd waits = { .fd = file, .events = POLLIN };
        uint64_t left_ms = deadline_us > now_us ? (deadline_us - now_us) / 1000 + 1 : 0;
        int n = left_ms ? poll(&waits, 1, (int)left_ms) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            answer->late = n == 0;
            return;
        }
        ssize_t got = read(file, answer->text + answer->size, ANSWER_MAX - answer->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        answer->size += (size_t)got;
    }
}

/* One line of the child's; true for "ok". */
static bool take_line(char *line, struct problems *problems)
{
    char *text;
    if (strcmp(line, "ok") == 0)
        return true;
    long code = strtol(line, &text, 10);
    size_t len = strlen(text);
    bool good = code < 0 && code > -1000 && *text == ' ' && utf8_valid(text, len) == len;
    (void)problems_add(problems, good ? (s4_status)code : S4_FAILED, "%s",
                       good ? text + 1 : "the library's first load answered with nonsense");
    return false;
}

static bool take_lines(struct answer *answer, struct problems *problems)
{
    bool ok = false;
    char *at = answer->text;
    answer->text[answer->size] = '\0';
    for (char *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        ok = take_line(at, problems);
    }
    return ok;
}

#define FIRST_LOAD "the library's first load, in a process of its own, "

/* How the child ended, where that alone is a problem. */
static void judge_end(int end, bool known, const struct answer *answer, int timeout_ms, bool said,
                      struct problems *problems)
{
    if (answer->late)
        (void)problems_add(problems, S4_TIMEOUT, FIRST_LOAD "did not end within %d ms", timeout_ms);
    else if (known && WIFSIGNALED(end))
        (void)problems_add(problems, S4_FAILED, FIRST_LOAD "ended with signal %d (%s)",
                           WTERMSIG(end),
                           sigdescr_np(WTERMSIG(end)) ? sigdescr_np(WTERMSIG(end)) : "unknown");
    else if (!said && known)
        (void)problems_add(problems, S4_FAILED, FIRST_LOAD "ended with exit code %d",
                           WEXITSTATUS(end));
    else if (!said)
        (void)problems_add(problems, S4_FAILED, FIRST_LOAD "said nothing");
}

s4_status plugin_check(int file, const struct plugin_options *options, struct problems *problems)
{
    const char *program = options->checker ? options->checker : "/proc/self/exe";
    int timeout_ms = options->timeout_ms ? options->timeout_ms : PLUGIN_CHECK_TIMEOUT_MS;
    size_t before = problems->count + problems->dropped;
    struct answer answer = { .size = 0 };
    pid_t child = -1;
    int from = -1, end = 0;
    int error = start(program, file, &child, &from);
    if (error)
        return problems_add(problems, S4_UNAVAILABLE,
                            "%s cannot be started to check the library: %s", program,
                            strerror(error));
    listen(from, clock_real.mono_us(&clock_real) + (uint64_t)timeout_ms * 1000, &answer);
    close(from);
    /* Whoever still holds the other end is late, or has closed it to hide; the exit code of one
     * that has ended is settled before its files close, so this does not change it. */
    (void)kill(-child, SIGKILL);
    pid_t waited;
    while ((waited = waitpid(child, &end, 0)) < 0 && errno == EINTR)
        continue;
    bool ok = take_lines(&answer, problems);
    bool said = ok || problems->count + problems->dropped > before;
    judge_end(end, waited == child, &answer, timeout_ms, said, problems);
    return problems->count + problems->dropped == before ? S4_OK : problems->first;
}
