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
    char said[sizeof driven->line] = "";
    va_list args;
    va_start(args, format);
    vfprintf(driven->to, format, args);
    va_end(args);
    fputc('\n', driven->to);
    fflush(driven->to);
    while (driven_says(driven, "ok"))
        memcpy(said, driven->line, sizeof said);
    memcpy(driven->line, said, sizeof said);
}

/* ---- ZooKeeper ------------------------------------------------------------------------------- */

void zoo_open(struct zoo *zoo, size_t servers)
{
    char n[8];
    *zoo = (struct zoo){ .n = servers };
    ck_assert_uint_le(servers, DRIVEN_SERVERS_MAX);
    snprintf(zoo->dir, sizeof zoo->dir, "/tmp/s4-zookeeper-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(zoo->dir));
    ck_assert_int_eq(rmdir(zoo->dir), 0); /* the program makes it, and removes it */
    snprintf(n, sizeof n, "%zu", servers);
    const char *argv[] = { getenv("S4_ZOOKEEPER"), zoo->dir, "--servers", n, NULL };
    driven_start(&zoo->driven, argv);
    size_t at = 0;
    while (driven_says(&zoo->driven, "ready")) {
        char word[8];
        unsigned i, port;
        ck_assert_int_eq(sscanf(zoo->driven.line, "%7s %u %u", word, &i, &port), 3);
        ck_assert_uint_lt(i, servers);
        zoo->ports[i] = port;
        at += (size_t)snprintf(zoo->hosts + at, sizeof zoo->hosts - at, "%s127.0.0.1:%u",
                               at > 0 ? "," : "", port);
    }
}

void zoo_close(struct zoo *zoo)
{
    driven_stop(&zoo->driven);
}

size_t zoo_leader(struct zoo *zoo)
{
    for (size_t i = 0;; i = (i + 1) % zoo->n) {
        driven_tell(&zoo->driven, "mode %zu", i);
        if (strstr(zoo->driven.line, "leader"))
            return i;
    }
}

/* ---- the proxy ------------------------------------------------------------------------------- */

void proxy_open(struct proxy *proxy, unsigned port)
{
    char number[8];
    *proxy = (struct proxy){ 0 };
    snprintf(number, sizeof number, "%u", port);
    const char *argv[] = { getenv("S4_FAULT_PROXY"), number, NULL };
    driven_start(&proxy->driven, argv);
    while (driven_says(&proxy->driven, "ready")) {
        unsigned its;
        ck_assert_int_eq(sscanf(proxy->driven.line, "listen 0 %u", &its), 1);
        snprintf(proxy->host, sizeof proxy->host, "127.0.0.1:%u", its);
    }
}

void proxy_close(struct proxy *proxy)
{
    driven_stop(&proxy->driven);
}
