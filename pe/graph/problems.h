/* The mistakes that one check found: all of them where possible, so that a user mends a bundle in
 * one go. At most PROBLEMS_MAX are kept, the rest is counted. One thread. */
#ifndef PE_GRAPH_PROBLEMS_H
#define PE_GRAPH_PROBLEMS_H

#include "pe/graph/limits.h"
#include "runtime/base/diag.h"

struct problem {
    s4_status code;
    char *text;
    struct diag_place place; /* what of the text is a place */
};

struct problems {
    struct problem *list;
    size_t count;
    size_t capacity;
    size_t dropped;  /* more than were kept */
    s4_status first; /* S4_OK: none; S4_NO_MEMORY also where a problem could not be kept */
};

void problems_init(struct problems *problems);
void problems_fini(struct problems *problems);

/* Adds one and returns `code`. */
s4_status problems_add(struct problems *problems, s4_status code, const char *format, ...)
    PRINTF(3, 4);
/* The same at a place in a file; line 0: only the file is known. */
s4_status problems_add_at(struct problems *problems, s4_status code, const char *file,
                          uint32_t line, uint32_t column, const char *format, ...) PRINTF(6, 7);
/* Adds what a diag says. */
s4_status problems_add_diag(struct problems *problems, const struct diag *diag);

/* The first one and how many more there are, as one diag; returns problems->first. */
s4_status problems_tell(const struct problems *problems, struct diag *diag);

#endif
