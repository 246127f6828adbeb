/* What is printed when a plugin's code (or ours) crashes the process. */
#ifndef APPS_S4_CRASH_H
#define APPS_S4_CRASH_H

/* From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT print what the thread was running and its
 * stack on stderr; then the process dies by the same signal. Before threads are started. */
void crash_install(void);

/* Prints what each thread of this process runs of a plugin's code. After crash_install. */
void crash_tell_running(void);

#endif
