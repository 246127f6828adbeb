/* s4 keygen: a key pair of a node or a client, into the directory that s4 reads keys from. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/s4/command.h"
#include "apps/s4/say.h"
#include "runtime/net/curve_file.h"

struct keygen {
    const char *name;
    const char *dir;
    bool client;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct keygen *keygen = state->input;
    switch (key) {
    case 'd':
        keygen->dir = arg;
        return 0;
    case 'c':
        keygen->client = true;
        return 0;
    case ARGP_KEY_ARG:
        if (keygen->name)
            command_usage(state, "'%s' is too much: one name at a time", arg);
        keygen->name = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        command_usage(state, "no name is given");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static s4_status make_dir(const char *path, mode_t mode, struct diag *diag)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return S4_OK;
    return diag_set(diag, S4_IO, "cannot make the directory %s: %s", path, strerror(errno));
}

static s4_status path_in(char path[CURVE_PATH_MAX], const char *dir, const char *name,
                         const char *ending, struct diag *diag)
{
    int size = snprintf(path, CURVE_PATH_MAX, "%s/%s%s", dir, name, ending);
    if (size < 0 || size >= CURVE_PATH_MAX)
        return diag_set(diag, S4_TOO_LARGE, "%s: the path is too long", dir);
    return S4_OK;
}

/* Both files or none. */
static s4_status make(const struct keygen *keygen, struct diag *diag)
{
    char folder[CURVE_PATH_MAX], secret[CURVE_PATH_MAX], public[CURVE_PATH_MAX];
    struct curve_pair pair;
    TRY(curve_pair_draw(keygen->name, &pair, diag));
    TRY(path_in(folder, keygen->dir, keygen->client ? "clients" : "nodes", "", diag));
    TRY(path_in(secret, keygen->dir, keygen->name, ".secret", diag));
    TRY(path_in(public, folder, keygen->name, ".public", diag));
    TRY(make_dir(keygen->dir, 0700, diag));
    TRY(make_dir(folder, 0755, diag));
    s4_status status = curve_file_write_secret(secret, &pair, diag);
    if (status == S4_OK) {
        status = curve_file_write_public(public, &pair, diag);
        if (status != S4_OK)
            unlink(secret);
    }
    curve_pair_wipe(&pair);
    if (status == S4_OK)
        say_printf("%s\n%s\n", secret, public);
    return status;
}

int command_keygen(int argc, char **argv)
{
    static const struct argp_option options[] = {
        { "dir", 'd', "DIR", 0, "The directory of keys (default: $S4_KEYS, else keys)", 0 },
        { "client", 'c', 0, 0, "Of a client, not of a node", 0 },
        { 0 }
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "NAME",
        .doc = "Make the key pair of a node, or of a client: DIR/NAME.secret, which stays where it "
               "is, and DIR/nodes/NAME.public or DIR/clients/NAME.public, which goes to the same "
               "place on every node. Prints where they are. A key is never overwritten."
               "\vExample:\n  s4 keygen a --dir keys\n\n" EXIT_TEXT_USUAL ".",
    };
    struct keygen keygen = { 0 };
    struct diag diag = { 0 };
    command_parse(&argp, argc, argv, &keygen);
    const char *place = getenv("S4_KEYS");
    if (!keygen.dir)
        keygen.dir = place && *place ? place : "keys";
    s4_status status = make(&keygen, &diag);
    if (status == S4_OK)
        return EXIT_DONE;
    say_error("%s", diag.text);
    return status == S4_INVALID ? EXIT_USAGE : exit_of(status);
}
