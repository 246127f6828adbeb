/* What is printed when a plugin's code crashes: what the thread was running (the engine knows), and
 * its stack. Everything here is async-signal-safe: no locks, no heap, no stdio. backtrace() loads a
 * library at its first call, so that one is made beforehand. */
#include "apps/s4/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

#include "pe/host/engine.h"

#define FRAMES_MAX  64
#define STACK_BYTES (64 * KIB)

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
