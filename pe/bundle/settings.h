/* Settings: maps of app.yaml, read by tables into protobuf-c messages.
 *
 * A table names the keys that a map may have; each has a function that reads its value and the
 * member that it sets. Mistakes are added to the reader's problems, with their place. One thread.
 */
#ifndef PE_BUNDLE_SETTINGS_H
#define PE_BUNDLE_SETTINGS_H

#include "pe/bundle/tree.h"
#include "pe/graph/problems.h"
#include "proto/graph.pb-c.h"
#include "runtime/record/schema.h"

struct setting_reader {
    const char *place; /* "app.yaml" */
    const struct schema *schema;
    S4__Graph__Graph *graph;
    struct problems *problems;
    char what[3 * GRAPH_NAME_MAX]; /* whose settings are read: `prototype "counters"`, or "" */
    const struct tree_node *clock; /* read last: it looks at the streams' settings */
};

struct setting;
typedef void setting_read(struct setting_reader *reader, const struct setting *setting,
                          const struct tree_node *node, void *target);

struct word {
    const char *name; /* NULL ends a list */
    int value;
};

/* A key that a map may have, and where its value goes in the target message. */
struct setting {
    const char *key; /* NULL ends a table */
    setting_read *read;
    size_t value;
    size_t has;
    bool wide; /* 64 bits */
    uint64_t min;
    uint64_t max;
    const struct word *words;     /* setting_word */
    const struct setting *nested; /* setting_nested */
};

#define SETTING_PLACE(Message, field)                                         \
    .value = offsetof(Message, field), .has = offsetof(Message, has_##field), \
    .wide = sizeof(((Message *)0)->field) == 8
#define SETTING_NUMBER(key_, read_, Message, field, min_, max_)                       \
    {                                                                                 \
        .key = (key_), .read = (read_), SETTING_PLACE(Message, field), .min = (min_), \
        .max = (max_)                                                                 \
    }
#define SETTING_WORD(key_, Message, field, list)                                            \
    {                                                                                       \
        .key = (key_), .read = setting_word, SETTING_PLACE(Message, field), .words = (list) \
    }
#define SETTING_NESTED(key_, list)                              \
    {                                                           \
        .key = (key_), .read = setting_nested, .nested = (list) \
    }

/* Values, for tables. */
setting_read setting_count, setting_duration, setting_size, setting_bool, setting_word,
    setting_nested;

/* Reads a map's settings into a message. */
void setting_map(struct setting_reader *reader, const struct tree_node *map,
                 const struct setting *settings, void *target);
/* Reads a map of names, each a map of settings of its own, into the messages of a list (pointers to
 * messages of the graph whose first field is `name`). `sort` is what they are: "stream". */
void setting_named(struct setting_reader *reader, const struct tree_node *map, const char *sort,
                   void *const *list, size_t n, const struct setting *settings);

/* For functions that read values of their own. */
const char *setting_text(const struct tree_node *node); /* "" where it is no text */
bool setting_bool_of(const struct tree_node *node, bool *value);
bool setting_is_map(struct setting_reader *reader, const struct tree_node *node,
                    const char *wanted);
/* Puts a copy of the text in the place of the one before. */
void setting_set_text(struct setting_reader *reader, char **to, const char *text);

/* A mistake, with its place. */
#define SETTING_BAD(reader, place_, code, format, ...)                              \
    (void)problems_add_at((reader)->problems, code, (reader)->place, (place_).line, \
                          (place_).column, format, __VA_ARGS__)
/* `ttl of prototype "counters": found "5x"; wanted ...` */
void setting_wrong(struct setting_reader *reader, const struct tree_node *node, s4_status code,
                   const char *wanted);
/* What was found, for messages: a text in quotes, "a map", "a list", "nothing". */
struct setting_shown {
    char text[96];
};
struct setting_shown setting_show(const struct tree_node *node);

#endif
