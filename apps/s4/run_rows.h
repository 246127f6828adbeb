/* What a run prints and writes when it is over: the rows of its outputs, and its counters. */
#ifndef APPS_S4_RUN_ROWS_H
#define APPS_S4_RUN_ROWS_H

#include "apps/s4/session.h"

struct run_output {
    const char *name;
    const char *path; /* "-": standard output */
};

/* All outputs on stdout: as tables, or with `json` as lines { "output": NAME, "row": ROW }. */
s4_status run_rows_print(struct session *session, bool json, struct diag *diag) MUST_USE;
/* One output to a file: messages (.pb), a table (.txt), else JSON lines. */
s4_status run_rows_write(struct session *session, const struct run_output *output,
                         struct diag *diag) MUST_USE;
/* The app's counters and the rate. Also tells on stderr what should not be overlooked. */
void run_stats(struct session *session, bool print, bool json);

#endif
