/* Finding all declarations of a FileDescriptorSet, and refusing what is not served as a whole:
 * other syntaxes than proto2, extensions.
 */
#include "runtime/record/schema_set.h"

struct finder {
    struct set_names *names;
    bool own; /* the file is protobuf's own, which declares ranges for extensions */
    struct diag *diag;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_identifier(const char *name)
{
    if (!name || !is_letter(name[0]))
        return false;
    for (const char *at = name; *at; at++)
        if (!is_letter(*at) && !(*at >= '0' && *at <= '9'))
            return false;
    return true;
}

static bool is_package(const char *name)
{
    bool start = true;
    for (const char *at = name; *at; at++) {
        if (*at == '.' ? start : !is_letter(*at) && (start || !(*at >= '0' && *at <= '9')))
            return false;
        start = *at == '.';
    }
    return !start || name[0] == '\0';
}

/* "outer.name" in the names' memory. */
static s4_status join(struct finder *finder, const char *outer, const char *name,
                      const char **joined)
{
    if (!is_identifier(name))
        return diag_set(finder->diag, S4_MALFORMED,
                        "descriptor set: in %s something is declared without a proper name", outer);
    size_t outer_len = strlen(outer);
    size_t size = outer_len + strlen(name) + 2;
    if (size > SCHEMA_NAME_MAX + 1)
        return diag_set(finder->diag, S4_TOO_LARGE,
                        "descriptor set: a name has more than %d characters", SCHEMA_NAME_MAX);
    char *text = arena_take(&finder->names->memory, size);
    if (!text)
        return S4_NO_MEMORY;
    snprintf(text, size, "%s%s%s", outer, outer_len ? "." : "", name);
    *joined = text;
    return S4_OK;
}

static s4_status check_extensions(struct finder *finder, const char *where, size_t n,
                                  set_field *const *extensions)
{
    static const char own[] = ".google.protobuf.";
    for (size_t i = 0; i < n; i++) {
        const char *extended = extensions[i]->extendee;
        if (!extended || strncmp(extended, own, strlen(own)) != 0)
            return diag_set(finder->diag, S4_UNSUPPORTED,
                            "%s: extends %s; extensions are not "
                            "supported",
                            where, extended ? extended : "nothing");
    }
    return S4_OK;
}

static s4_status add_enums(struct finder *finder, const char *outer, size_t n,
                           set_enum *const *enums)
{
    struct set_names *names = finder->names;
    for (size_t i = 0; i < n; i++) {
        const char *name = NULL;
        TRY(join(finder, outer, enums[i]->name, &name));
        if (names->n_enums == SCHEMA_ENUMS_MAX)
            return diag_set(finder->diag, S4_TOO_LARGE, "enum %s: more than %d enums", name,
                            SCHEMA_ENUMS_MAX);
        if (enums[i]->n_value > SCHEMA_VALUES_MAX)
            return diag_set(finder->diag, S4_TOO_LARGE, "enum %s: %zu values, the most are %d",
                            name, enums[i]->n_value, SCHEMA_VALUES_MAX);
        if (enums[i]->n_value == 0)
            return diag_set(finder->diag, S4_MALFORMED, "enum %s: no values", name);
        for (size_t k = 0; k < enums[i]->n_value; k++)
            if (!is_identifier(enums[i]->value[k]->name) || !enums[i]->value[k]->has_number)
                return diag_set(finder->diag, S4_MALFORMED,
                                "enum %s: value %zu has no proper name or no number", name, k);
        names->enums[names->n_enums++] = (struct set_name){ .name = name, .values = enums[i] };
    }
    return S4_OK;
}

static s4_status check_message(struct finder *finder, const char *name, const set_message *message)
{
    if (message->n_field > SCHEMA_FIELDS_MAX || message->n_oneof_decl > SCHEMA_FIELDS_MAX)
        return diag_set(finder->diag, S4_TOO_LARGE, "type %s: %zu fields, the most are %d", name,
                        message->n_field, SCHEMA_FIELDS_MAX);
    for (size_t i = 0; i < message->n_field; i++)
        if (!is_identifier(message->field[i]->name))
            return diag_set(finder->diag, S4_MALFORMED, "type %s: field %zu has no proper name",
                            name, i);
    for (size_t i = 0; i < message->n_oneof_decl; i++)
        if (!is_identifier(message->oneof_decl[i]->name))
            return diag_set(finder->diag, S4_MALFORMED, "type %s: oneof %zu has no proper name",
                            name, i);
    if (message->n_extension_range && !finder->own)
        return diag_set(finder->diag, S4_UNSUPPORTED,
                        "type %s: may be extended; extensions are not supported", name);
    if (message->options && message->options->message_set_wire_format)
        return diag_set(finder->diag, S4_UNSUPPORTED,
                        "type %s: option message_set_wire_format is not supported", name);
    return check_extensions(finder, name, message->n_extension, message->extension);
}

/* Recursion is at most SET_NESTING_MAX deep: set_unpack saw to it. */
static s4_status add_messages(struct finder *finder, const char *outer, size_t n,
                              set_message *const *messages)
{
    struct set_names *names = finder->names;
    for (size_t i = 0; i < n; i++) {
        const set_message *message = messages[i];
        const char *name = NULL;
        TRY(join(finder, outer, message->name, &name));
        TRY(check_message(finder, name, message));
        if (names->n_messages == SCHEMA_TYPES_MAX)
            return diag_set(finder->diag, S4_TOO_LARGE, "type %s: more than %d types", name,
                            SCHEMA_TYPES_MAX);
        names->messages[names->n_messages++] =
            (struct set_name){ .name = name, .message = message };
        TRY(add_enums(finder, name, message->n_enum_type, message->enum_type));
        TRY(add_messages(finder, name, message->n_nested_type, message->nested_type));
    }
    return S4_OK;
}

static s4_status add_file(struct finder *finder, const set_file *file)
{
    const char *name = file->name ? file->name : "(no name)";
    const char *package = file->package ? file->package : "";
    if (file->syntax && file->syntax[0] && strcmp(file->syntax, "proto2") != 0)
        return diag_set(finder->diag, S4_UNSUPPORTED,
                        "file %s: its syntax is %s; only proto2 is supported", name, file->syntax);
    if (!is_package(package))
        return diag_set(finder->diag, S4_MALFORMED, "file %s: \"%s\" is no package", name, package);
    finder->own = strcmp(package, "google.protobuf") == 0;
    TRY(check_extensions(finder, name, file->n_extension, file->extension));
    TRY(add_enums(finder, package, file->n_enum_type, file->enum_type));
    return add_messages(finder, package, file->n_message_type, file->message_type);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct set_name *)a)->name, ((const struct set_name *)b)->name);
}

static s4_status sort(struct set_name *names, size_t n, struct diag *diag)
{
    if (n > 1)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i - 1].name, names[i].name) == 0)
            return diag_set(diag, S4_MALFORMED, "descriptor set: %s is declared twice",
                            names[i].name);
    return S4_OK;
}

s4_status set_names_find(const set_files *set, struct set_names *names, struct diag *diag)
{
    struct finder finder = { .names = names, .diag = diag };
    *names = (struct set_names){ 0 };
    arena_init(&names->memory);
    names->messages = arena_take(&names->memory, SCHEMA_TYPES_MAX * sizeof *names->messages);
    names->enums = arena_take(&names->memory, SCHEMA_ENUMS_MAX * sizeof *names->enums);
    if (!names->messages || !names->enums)
        return S4_NO_MEMORY;
    for (size_t i = 0; i < set->n_file; i++)
        TRY(add_file(&finder, set->file[i]));
    TRY(sort(names->messages, names->n_messages, diag));
    return sort(names->enums, names->n_enums, diag);
}

void set_names_fini(struct set_names *names)
{
    arena_fini(&names->memory);
}
