/* What the files of the graph's rules share. */
#ifndef PE_GRAPH_CHECK_PARTS_H
#define PE_GRAPH_CHECK_PARTS_H

#include "pe/graph/names.h"
#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "router/key/key.h"
#include "runtime/record/schema.h"

#define KEY_PATH_MAX 512 /* letters of one part, "a.b.c" */

struct graph_rules {
    const S4__Graph__Graph *graph;
    const struct schema *schema;
    struct problems *problems;
};

#define BAD(rules, code, ...) (void)problems_add((rules)->problems, code, __VA_ARGS__)

/* check.c */
bool check_name(const struct graph_rules *rules, const char *what, const char *name);
const struct type *check_type(const struct graph_rules *rules, const char *what, const char *owner,
                              const char *name);
bool check_count(const struct graph_rules *rules, const char *what, size_t n, size_t max);

/* check_keys.c */
/* The attribute of a type that somebody probably meant. */
struct name_hint attribute_hint(const struct type *type, const char *name);
/* A key's parts against the type of its stream or table; `where` begins the message. */
bool check_key(const struct graph_rules *rules, const char *where, const struct type *type,
               char *const *key, size_t n_key, struct key_spec *spec);
/* False: an index is out of range, so that prototypes cannot be looked at. */
bool check_pairs(const struct graph_rules *rules);
/* Do all subscriptions of the prototype give one instance the same kind of key? */
void check_keys_agree(const struct graph_rules *rules, const S4__Graph__Prototype *prototype);

/* check_prototypes.c */
void check_parameters(const struct graph_rules *rules, const char *what, const char *owner,
                      S4__Graph__Parameter *const *list, size_t n);
void check_prototypes(const struct graph_rules *rules);

#endif
