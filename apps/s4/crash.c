/* What is printed when a plugin's code crashes: what the thread was running (the engine knows), and
 * its stack. Everything here is async-signal-safe: no locks, no heap, no stdio. backtrace() loads a
 * library at its first call, so that one is made beforehand. */
#include "apps/s4/crash.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pe/host/engine.h"

#define FRAMES_MAX   64
#define STACK_BYTES  (64 * KIB)
#define TELL_SECONDS 1 /* that a thread has to say what it runs */

static void put(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody to tell */
}

static const char *name_of(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

static void crashed(int number)
{
    signal(number, SIG_DFL);
    put("\ns4: crashed by ");
    put(name_of(number));
    put("\n");
    engine_crash_note(STDERR_FILENO);
    put("stack:\n");
    void *frames[FRAMES_MAX];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    raise(number);
}

/* ---- what runs, of a process that lives ---------------------------------------------------- */

static sem_t told;

static void tell(int number)
{
    (void)number;
    int before = errno;
    engine_crash_note(STDERR_FILENO);
    sem_post(&told);
    errno = before;
}

/* One thread after the other, so that their lines do not mix. */
static void ask_thread(pid_t thread)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TELL_SECONDS;
    if (tgkill(getpid(), thread, SIGUSR1) != 0)
        return;
    while (sem_timedwait(&told, &until) != 0 && errno == EINTR) {
    }
}

void crash_tell_running(void)
{
    DIR *threads = opendir("/proc/self/task");
    if (!threads || sem_init(&told, 0, 0) != 0)
        return;
    struct sigaction action = { .sa_handler = tell, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    for (struct dirent *entry; (entry = readdir(threads));) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != gettid())
            ask_thread(thread);
    }
    closedir(threads);
}

/* ---- crashes ------------------------------------------------------------------------------- */

void crash_install(void)
{
    static char stack[STACK_BYTES]; /* of this thread; others use their own */
    const stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&alternative, NULL);
    void *frames[1];
    backtrace(frames, 1);
    struct sigaction action = { .sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER };
    sigemptyset(&action.sa_mask);
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaction(numbers[i], &action, NULL);
}
