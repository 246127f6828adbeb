/* Reads maps of settings by tables, each setting with the member of a protobuf-c message that it
 * sets. What a value may be lies here; which settings there are lies in the tables (manifest*.c).
 * Mistakes are added one after the other, in the order in which they stand, and reading goes on. */
#include "pe/bundle/settings.h"

#include "pe/bundle/quantity.h"
#include "pe/graph/names.h"
#include "runtime/base/mem.h"

/* ---- messages ------------------------------------------------------------------------------ */

struct setting_shown setting_show(const struct tree_node *node)
{
    struct setting_shown shown;
    if (node->kind != TREE_TEXT)
        snprintf(shown.text, sizeof shown.text, node->kind == TREE_MAP ? "a map" : "a list");
    else if (node->plain && node->text[0] == '\0')
        snprintf(shown.text, sizeof shown.text, "nothing");
    else
        snprintf(shown.text, sizeof shown.text, "\"%.80s\"", node->text);
    return shown;
}

/* `ttl of prototype "counters": found "5x"; wanted a duration: ...` */
void setting_wrong(struct setting_reader *reader, const struct tree_node *node, s4_status code,
                   const char *wanted)
{
    SETTING_BAD(reader, node->place, code, "%s%s%s: found %s; wanted %s",
                node->key ? node->key : "app.yaml", reader->what[0] ? " of " : "", reader->what,
                setting_show(node).text, wanted);
}

static void no_memory(struct setting_reader *reader)
{
    (void)problems_add_at(reader->problems, S4_NO_MEMORY, reader->place, 0, 0, "out of memory");
}

/* ---- maps ---------------------------------------------------------------------------------- */

bool setting_is_map(struct setting_reader *reader, const struct tree_node *node, const char *wanted)
{
    if (node->kind == TREE_MAP)
        return true;
    setting_wrong(reader, node, S4_TYPE, wanted);
    return false;
}

static void unknown_key(struct setting_reader *reader, const struct tree_node *node,
                        const struct setting *settings)
{
    struct name_nearest nearest;
    name_nearest_init(&nearest, node->key);
    for (; settings->key; settings++)
        name_nearest_try(&nearest, settings->key);
    SETTING_BAD(reader, node->key_place, S4_NOT_FOUND, "unknown key \"%.80s\"%s%s%s", node->key,
                reader->what[0] ? " in " : "", reader->what, name_hint(&nearest).text);
}

void setting_map(struct setting_reader *reader, const struct tree_node *map,
                 const struct setting *settings, void *target)
{
    for (const struct tree_node *node = map->first; node; node = node->next) {
        const struct setting *setting = settings;
        while (setting->key && strcmp(setting->key, node->key) != 0)
            setting++;
        if (setting->key)
            setting->read(reader, setting, node, target);
        else
            unknown_key(reader, node, settings);
    }
}

void setting_nested(struct setting_reader *reader, const struct setting *setting,
                    const struct tree_node *node, void *target)
{
    if (!setting_is_map(reader, node, "a map"))
        return;
    char outer[sizeof reader->what];
    memcpy(outer, reader->what, sizeof outer);
    snprintf(reader->what, sizeof reader->what, "%s%s%.*s", setting->key, outer[0] ? " of " : "",
             (int)(sizeof outer - GRAPH_NAME_MAX), outer);
    setting_map(reader, node, setting->nested, target);
    memcpy(reader->what, outer, sizeof outer);
}

/* ---- values -------------------------------------------------------------------------------- */

const char *setting_text(const struct tree_node *node)
{
    return node->kind == TREE_TEXT ? node->text : "";
}

static void set_number(struct setting_reader *reader, const struct setting *setting,
                       const struct tree_node *node, void *target, uint64_t value)
{
    if (value < setting->min || value > setting->max) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "from %llu to %llu", (unsigned long long)setting->min,
                 (unsigned long long)setting->max);
        setting_wrong(reader, node, S4_RANGE, wanted);
        return;
    }
    uint32_t narrow = (uint32_t)value;
    protobuf_c_boolean has = true;
    if (setting->wide)
        memcpy((char *)target + setting->value, &value, sizeof value);
    else
        memcpy((char *)target + setting->value, &narrow, sizeof narrow);
    memcpy((char *)target + setting->has, &has, sizeof has);
}

void setting_count(struct setting_reader *reader, const struct setting *setting,
                   const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_count(setting_text(node), &value);
    if (status != S4_OK)
        setting_wrong(reader, node, status, "a number such as 100 or 1_000_000");
    else
        set_number(reader, setting, node, target, value);
}

void setting_duration(struct setting_reader *reader, const struct setting *setting,
                      const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_duration(setting_text(node), &value);
    char wanted[64] = "a duration such as 100us, 5ms, 10s, 3m, 2h or 1d";
    if (status == S4_OK && value > setting->max)
        status = S4_RANGE;
    if (status == S4_RANGE) {
        size_t at = (size_t)snprintf(wanted, sizeof wanted, "at most ");
        quantity_write_duration(setting->max, wanted + at, sizeof wanted - at);
    }
    if (status != S4_OK)
        setting_wrong(reader, node, status, wanted);
    else
        set_number(reader, setting, node, target, value);
}

void setting_size(struct setting_reader *reader, const struct setting *setting,
                  const struct tree_node *node, void *target)
{
    uint64_t value;
    s4_status status = quantity_size(setting_text(node), &value);
    if (status != S4_OK)
        setting_wrong(reader, node, status, "a size in bytes, or such as 64k, 10M or 1G");
    else
        set_number(reader, setting, node, target, value);
}

bool setting_bool_of(const struct tree_node *node, bool *value)
{
    if (node->kind != TREE_TEXT || !node->plain)
        return false;
    *value = strcmp(node->text, "true") == 0;
    return *value || strcmp(node->text, "false") == 0;
}

void setting_bool(struct setting_reader *reader, const struct setting *setting,
                  const struct tree_node *node, void *target)
{
    bool value;
    if (!setting_bool_of(node, &value)) {
        setting_wrong(reader, node, S4_TYPE, "true or false");
        return;
    }
    protobuf_c_boolean set = value, has = true;
    memcpy((char *)target + setting->value, &set, sizeof set);
    memcpy((char *)target + setting->has, &has, sizeof has);
}

void setting_word(struct setting_reader *reader, const struct setting *setting,
                  const struct tree_node *node, void *target)
{
    char wanted[128] = "";
    size_t at = 0;
    struct name_nearest nearest;
    name_nearest_init(&nearest, setting_text(node));
    for (const struct word *word = setting->words; word->name; word++) {
        if (node->kind == TREE_TEXT && strcmp(node->text, word->name) == 0) {
            uint64_t wide = (uint64_t)word->value;
            protobuf_c_boolean has = true;
            if (setting->wide)
                memcpy((char *)target + setting->value, &wide, sizeof wide);
            else
                memcpy((char *)target + setting->value, &word->value, sizeof word->value);
            memcpy((char *)target + setting->has, &has, sizeof has);
            return;
        }
        name_nearest_try(&nearest, word->name);
        const char *comma = word == setting->words ? "" : word[1].name ? ", " : " or ";
        int n = snprintf(wanted + at, sizeof wanted - at, "%s%s", comma, word->name);
        at += (size_t)n;
    }
    snprintf(wanted + at, sizeof wanted - at, "%s", name_hint(&nearest).text);
    setting_wrong(reader, node, S4_INVALID, wanted);
}

void setting_set_text(struct setting_reader *reader, char **to, const char *text)
{
    char *copy = mem_strdup(text);
    if (!copy) {
        no_memory(reader);
        return;
    }
    mem_free(*to);
    *to = copy;
}

/* ---- maps by name -------------------------------------------------------------------------- */

/* A map of names of one sort, each with settings of its own. The lists of the graph are arrays of
 * pointers to messages that begin with their base and their name. */
struct named {
    ProtobufCMessage base;
    const char *name;
};
_Static_assert(offsetof(S4__Graph__Stream, name) == offsetof(struct named, name), "name is first");
_Static_assert(offsetof(S4__Graph__Output, name) == offsetof(struct named, name), "name is first");
_Static_assert(offsetof(S4__Graph__Prototype, name) == offsetof(struct named, name),
               "name is first");

void setting_named(struct setting_reader *reader, const struct tree_node *map, const char *sort,
                   void *const *list, size_t n, const struct setting *settings)
{
    if (!setting_is_map(reader, map, "a map of names and settings"))
        return;
    for (const struct tree_node *node = map->first; node; node = node->next) {
        struct name_nearest nearest;
        name_nearest_init(&nearest, node->key);
        size_t i = 0;
        for (; i < n && strcmp(((const struct named *)list[i])->name, node->key) != 0; i++)
            name_nearest_try(&nearest, ((const struct named *)list[i])->name);
        if (i == n) {
            SETTING_BAD(reader, node->key_place, S4_NOT_FOUND, "the code has no %s \"%.80s\"%s",
                        sort, node->key, name_hint(&nearest).text);
            continue;
        }
        if (setting_is_map(reader, node, "a map of settings")) {
            snprintf(reader->what, sizeof reader->what, "%s \"%s\"", sort, node->key);
            setting_map(reader, node, settings, list[i]);
            reader->what[0] = '\0';
        }
    }
}
