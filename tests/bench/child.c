/* The other process; see the header. */
#include "tests/bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void child_start(struct child *child, const char *const *args)
{
    static char self[4096];
    const char *argv[CHILD_ARGS_MAX + 2] = { self };
    int to[2], from[2];
    for (size_t i = 0; args[i]; i++) {
        CHECK(i < CHILD_ARGS_MAX);
        argv[i + 1] = args[i];
    }
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0 || pipe2(to, O_CLOEXEC) != 0 ||
        pipe2(from, O_CLOEXEC) != 0)
        die("a child");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    errno = posix_spawn(&child->pid, self, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    if (errno != 0)
        die("a child");
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    child->in = fdopen(to[1], "w");
    child->out = fdopen(from[0], "r");
    CHECK(child->in && child->out);
}

__attribute__((format(printf, 2, 0))) static void say(FILE *file, const char *format, va_list args)
{
    vfprintf(file, format, args);
    if (fputc('\n', file) == EOF || fflush(file) != 0)
        die("the other process hears nothing");
}

static bool hear(FILE *file, char line[CHILD_LINE_MAX])
{
    if (!fgets(line, CHILD_LINE_MAX, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

void child_tell(struct child *child, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(child->in, format, args);
    va_end(args);
}

void child_read(struct child *child, char line[CHILD_LINE_MAX])
{
    if (!hear(child->out, line))
        die("the other process says nothing");
}

void child_end(struct child *child)
{
    int status;
    fclose(child->in);
    if (waitpid(child->pid, &status, 0) != child->pid || status != 0)
        die("the other process failed");
    fclose(child->out);
}

void child_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(stdout, format, args);
    va_end(args);
}

bool child_hear(char line[CHILD_LINE_MAX])
{
    return hear(stdin, line);
}
