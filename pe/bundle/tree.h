/* A YAML document as a small tree that knows where everything stands.
 *
 * The part of YAML that a manifest needs: maps, lists, texts. No anchors, aliases, tags, duplicate
 * keys, second documents; bounded in bytes, depth and values. One thread.
 */
#ifndef PE_BUNDLE_TREE_H
#define PE_BUNDLE_TREE_H

#include "pe/graph/limits.h"
#include "runtime/base/diag.h"

enum tree_kind { TREE_TEXT, TREE_MAP, TREE_LIST };

struct tree_place {
    uint32_t line; /* both from 1 */
    uint32_t column;
};

/* Owned by its tree. */
struct tree_node {
    enum tree_kind kind;
    bool plain; /* a text without quotes */
    struct tree_place place;
    struct tree_place key_place;
    char *key;               /* inside a map */
    char *text;              /* TREE_TEXT; NUL-terminated, no NUL inside */
    struct tree_node *first; /* children, in order */
    struct tree_node *last;
    struct tree_node *next;
    struct tree_node *parent;
    struct tree_node *made_before;
};

struct tree {
    struct tree_node *root;
    struct tree_node *made_last; /* all nodes */
};

/* Messages begin with "name:line:column: ". The text is copied. */
s4_status tree_parse(const char *name, const char *text, size_t size, struct tree *tree,
                     struct diag *diag) MUST_USE;
void tree_fini(struct tree *tree);

#endif
