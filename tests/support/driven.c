/* Programs behind two pipes; see the header. */
#include "tests/support/driven.h"

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(const char *const *argv, int in, int out)
{
    char *copy[8] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(copy) - 1 && argv[i]; i++)
        copy[i] = strdup(argv[i]);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
        execv(copy[0], copy);
    _exit(127);
}

void driven_start(struct driven *driven, const char *const *argv)
{
    int in[2], out[2];
    *driven = (struct driven){ 0 };
    ck_assert_ptr_nonnull(argv[0]);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    driven->pid = fork();
    ck_assert_int_ge(driven->pid, 0);
    if (driven->pid == 0)
        run(argv, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    driven->to = fdopen(in[1], "w");
    driven->from = fdopen(out[0], "r");
    ck_assert(driven->to && driven->from);
}

void driven_stop(struct driven *driven)
{
    fclose(driven->to);
    fclose(driven->from);
    ck_assert_int_eq(waitpid(driven->pid, NULL, 0), driven->pid);
}

bool driven_says(struct driven *driven, const char *last)
{
    ck_assert_msg(fgets(driven->line, sizeof driven->line, driven->from) != NULL,
                  "the program has ended");
    driven->line[strcspn(driven->line, "\n")] = '\0';
    ck_assert_msg(strncmp(driven->line, "error", 5) != 0, "%s", driven->line);
    return strcmp(driven->line, last) != 0;
}

void driven_tell(struct driven *driven, const char *format, ...)
{
    char said[sizeof driven->line];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it does not see va_start. */
    int size = vsnprintf(said, sizeof said, format, args);
    va_end(args);
    ck_assert_int_lt(size, (int)sizeof said);
    fprintf(driven->to, "%s\n", said);
    fflush(driven->to);
    said[0] = '\0';
    while (driven_says(driven, "ok"))
        memcpy(said, driven->line, sizeof said);
    memcpy(driven->line, said, sizeof said);
}
