/* s4 new: a small project that builds as it stands. It is written beside its place and then put
 * there in one step, so that a failure leaves nothing behind. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/s4/command.h"
#include "apps/s4/file.h"
#include "apps/s4/say.h"
#include "apps/s4/template/template.h"
#include "pe/graph/names.h"

#define PATH_ROOM 4096
#define MARK      "{{name}}"

struct new
{
    const char *kind;
    const char *name;
    const char *dir;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct new *new = state->input;
    switch (key) {
    case 'd':
        new->dir = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (!new->kind)
            new->kind = arg;
        else if (!new->name)
            new->name = arg;
        else
            command_usage(state, "'%s' is too much", arg);
        return 0;
    case ARGP_KEY_END:
        if (!new->name)
            command_usage(state, "it takes what to make and its name: s4 new app NAME");
        if (strcmp(new->kind, "app") != 0)
            command_usage(state, "'%s' cannot be made; `app` can", new->kind);
        if (!name_valid(new->name))
            command_usage(
                state, "'%s' is no name: wanted at most %d letters, digits and _, no digit first",
                new->name, GRAPH_NAME_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Appends the text with the name put in. */
static s4_status fill(const char *text, const char *name, struct buffer *out)
{
    for (const char *mark; (mark = strstr(text, MARK)); text = mark + strlen(MARK)) {
        TRY(buffer_append(out, text, (size_t)(mark - text)));
        TRY(buffer_append_text(out, name));
    }
    return buffer_append_text(out, text);
}

/* "DIR/path", with the name put in. */
static s4_status place_of(const char *dir, const char *path, const char *name, struct buffer *out)
{
    buffer_clear(out);
    TRY(buffer_printf(out, "%s/", dir));
    TRY(fill(path, name, out));
    return buffer_text(out) ? S4_OK : S4_NO_MEMORY;
}

static s4_status write_files(const char *dir, const char *name, struct diag *diag)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    s4_status status = S4_OK;
    for (const struct new_file *file = new_files; file->path && status == S4_OK; file++) {
        buffer_clear(&text);
        status = place_of(dir, file->path, name, &path);
        if (status == S4_OK)
            status = fill(file->text, name, &text);
        if (status != S4_OK)
            diag_set(diag, status, "out of memory");
        else
            status = file_write(path.data, text.data, text.size, diag);
    }
    buffer_fini(&path);
    buffer_fini(&text);
    return status;
}

static void remove_files(const char *dir, const char *name)
{
    struct buffer path;
    buffer_init(&path);
    for (const struct new_file *file = new_files; file->path; file++)
        if (place_of(dir, file->path, name, &path) == S4_OK)
            unlink(path.data);
    if (place_of(dir, "test", name, &path) == S4_OK)
        rmdir(path.data);
    rmdir(dir);
    buffer_fini(&path);
}

static s4_status make(const char *part, const char *dir, const char *name, struct diag *diag)
{
    char test[PATH_ROOM + 8];
    snprintf(test, sizeof test, "%s/test", part);
    if (mkdir(part, 0777) != 0)
        return file_failed(diag, dir, errno);
    s4_status status = S4_OK;
    if (mkdir(test, 0777) != 0)
        status = file_failed(diag, test, errno);
    if (status == S4_OK)
        status = write_files(part, name, diag);
    if (status == S4_OK && rename(part, dir) != 0)
        status = file_failed(diag, dir, errno);
    if (status != S4_OK)
        remove_files(part, name);
    return status;
}

int command_new(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "dir", 'd', "DIR", 0, "Where to make it (default: NAME)", 0 }, { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "app NAME",
        .doc = "Make a small project to start from: messages, Processing Elements in C, settings, "
               "a build file and a test. It builds as it stands."
               "\vExample:\n  s4 new app hello && cd hello\n"
               "  meson setup build && ninja -C build && meson test -C build\n\n" //
        EXIT_TEXT_USUAL ".",
    };
    struct new new = { 0 };
    command_parse(&argp, argc, argv, &new);
    const char *dir = new.dir ? new.dir : new.name;
    char part[PATH_ROOM];
    struct stat found;
    if ((size_t)snprintf(part, sizeof part, "%s.%ld.part", dir, (long)getpid()) >= sizeof part) {
        say_error("%s: the path is too long", dir);
        return EXIT_USAGE;
    }
    if (lstat(dir, &found) == 0) {
        say_error("%s: exists already; nothing was changed", dir);
        return EXIT_FAILED;
    }
    struct diag diag = { 0 };
    if (make(part, dir, new.name, &diag) != S4_OK) {
        say_error("%s", diag.text);
        return EXIT_FAILED;
    }
    say_printf("%s is made; build and try it:\n\n  cd %s && meson setup build && ninja -C build\n"
               "  s4 run build/%s.s4r --inject lines=README.md\n",
               dir, dir, new.name);
    return EXIT_DONE;
}
