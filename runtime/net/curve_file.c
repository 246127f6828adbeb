/* Key files, written once and read strictly; see the header. */
#include "runtime/net/curve_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

bool curve_pair_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t len = strnlen(name, CURVE_NAME_MAX + 1);
    return len > 0 && len <= CURVE_NAME_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, allowed) == len;
}

s4_status curve_pair_draw(const char *name, struct curve_pair *pair, struct diag *diag)
{
    char public[CURVE_TEXT + 1], secret[CURVE_TEXT + 1];
    if (!curve_pair_name_valid(name))
        return diag_set(diag, S4_INVALID,
                        "'%s' cannot name a key; wanted up to %d letters, digits, '.', '_' and "
                        "'-', the first a letter, a digit or '_'",
                        name, CURVE_NAME_MAX);
    if (zmq_curve_keypair(public, secret) != 0)
        return diag_set(diag, S4_UNSUPPORTED, "cannot make a key: %s", zmq_strerror(errno));
    *pair = (struct curve_pair){ 0 };
    snprintf(pair->name, sizeof pair->name, "%s", name);
    zmq_z85_decode(pair->public, public);
    zmq_z85_decode(pair->secret, secret);
    explicit_bzero(secret, sizeof secret);
    return S4_OK;
}

void curve_pair_wipe(struct curve_pair *pair)
{
    explicit_bzero(pair, sizeof *pair);
}

void curve_pair_text(const uint8_t key[CURVE_BYTES], char text[CURVE_TEXT + 1])
{
    zmq_z85_encode(text, key, CURVE_BYTES);
}

/* ---- writing ------------------------------------------------------------------------------- */

static s4_status no_file(const char *path, struct diag *diag)
{
    s4_status status = errno == ENOENT                     ? S4_NOT_FOUND
                       : errno == EEXIST                   ? S4_EXISTS
                       : errno == EACCES || errno == EPERM ? S4_PERMISSION
                                                           : S4_IO;
    if (status == S4_EXISTS)
        return diag_set(diag, status, "%s exists already; a key is never overwritten", path);
    return diag_set(diag, status, "%s: %s", path, strerror(errno));
}

static s4_status write_file(const char *path, mode_t mode, const char *text, size_t size,
                            struct diag *diag)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return no_file(path, diag);
    s4_status status = S4_OK;
    /* The mode is what was asked for, whatever the umask is. */
    if (fchmod(fd, mode) != 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0)
        status = diag_set(diag, S4_IO, "%s: %s", path, strerror(errno));
    if (close(fd) != 0 && status == S4_OK)
        status = diag_set(diag, S4_IO, "%s: %s", path, strerror(errno));
    if (status != S4_OK)
        unlink(path);
    return status;
}

s4_status curve_file_write_secret(const char *path, const struct curve_pair *pair,
                                  struct diag *diag)
{
    char text[512], public[CURVE_TEXT + 1], secret[CURVE_TEXT + 1];
    curve_pair_text(pair->public, public);
    curve_pair_text(pair->secret, secret);
    int size = snprintf(text, sizeof text,
                        "# s4: the key of %s. Whoever has this file is %s: it stays where it is.\n"
                        "name %s\npublic %s\nsecret %s\n",
                        pair->name, pair->name, pair->name, public, secret);
    s4_status status = write_file(path, 0600, text, (size_t)size, diag);
    explicit_bzero(text, sizeof text);
    explicit_bzero(secret, sizeof secret);
    return status;
}

s4_status curve_file_write_public(const char *path, const struct curve_pair *pair,
                                  struct diag *diag)
{
    char text[512], public[CURVE_TEXT + 1];
    curve_pair_text(pair->public, public);
    int size =
        snprintf(text, sizeof text, "# s4: by this %s is known to others.\nname %s\npublic %s\n",
                 pair->name, pair->name, public);
    return write_file(path, 0644, text, (size_t)size, diag);
}

/* ---- reading ------------------------------------------------------------------------------- */

s4_status curve_file_check_owner(const char *path, const struct stat *found, struct diag *diag)
{
    if (found->st_uid != geteuid() && found->st_uid != 0)
        return diag_set(diag, S4_PERMISSION,
                        "%s belongs to user %ld; wanted the user who runs this (%ld), or root",
                        path, (long)found->st_uid, (long)geteuid());
    if (found->st_mode & 022)
        return diag_set(diag, S4_PERMISSION,
                        "%s has the mode %03o, so that others could change it; wanted %s "
                        "(chmod go-w %s)",
                        path, (unsigned)found->st_mode & 0777, "no writing for group and others",
                        path);
    return S4_OK;
}

static s4_status check_secret(const char *path, const struct stat *found, struct diag *diag)
{
    if (found->st_mode & 077)
        return diag_set(diag, S4_PERMISSION,
                        "%s has the mode %03o, so that others could read the secret key; wanted "
                        "0600 (chmod 600 %s), and a new key if anybody could have",
                        path, (unsigned)found->st_mode & 0777, path);
    return S4_OK;
}

/* The whole file as a text. */
static s4_status read_file(const char *path, bool secret, char text[CURVE_FILE_MAX + 1],
                           struct diag *diag)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return no_file(path, diag);
    ssize_t size = 0;
    s4_status status = S4_OK;
    if (fstat(fd, &found) != 0)
        status = diag_set(diag, S4_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(found.st_mode))
        status = diag_set(diag, S4_INVALID, "%s is no file; wanted a key's", path);
    else
        status = curve_file_check_owner(path, &found, diag);
    if (status == S4_OK && secret)
        status = check_secret(path, &found, diag);
    if (status == S4_OK && (size = read(fd, text, CURVE_FILE_MAX + 1)) < 0)
        status = diag_set(diag, S4_IO, "%s: %s", path, strerror(errno));
    close(fd);
    TRY(status);
    if ((size_t)size > CURVE_FILE_MAX)
        return diag_set(diag, S4_TOO_LARGE, "%s has more than %zu bytes; a key's file is small",
                        path, CURVE_FILE_MAX);
    text[size] = '\0';
    if (strlen(text) != (size_t)size)
        return diag_set(diag, S4_MALFORMED, "%s is no text; wanted a key's file", path);
    return S4_OK;
}

/* What a file says; a place of the reader moves over its text. */
struct reader {
    const char *path;
    struct diag *diag;
    uint32_t line;
    bool secret; /* the file of one */
    bool has_secret;
    struct curve_public public;
    uint8_t key[CURVE_BYTES]; /* the secret one */
};

#define READER_FAIL(reader, ...) \
    diag_set_at((reader)->diag, S4_MALFORMED, (reader)->path, (reader)->line, 1, __VA_ARGS__)

static s4_status read_key(const struct reader *reader, const char *value, uint8_t key[CURVE_BYTES])
{
    size_t len = strlen(value);
    if (len != CURVE_TEXT)
        return READER_FAIL(reader, "a key of %zu letters; wanted %d", len, CURVE_TEXT);
    if (!zmq_z85_decode(key, value))
        return READER_FAIL(reader, "the key is no Z85");
    return S4_OK;
}

static s4_status read_name(struct reader *reader, const char *value)
{
    struct curve_public *public = &reader->public;
    if (!curve_pair_name_valid(value))
        return READER_FAIL(reader, "the name is none; wanted letters, digits, '.', '_' and '-'");
    if (public->name[0] && strcmp(public->name, value) != 0)
        return READER_FAIL(reader, "the name '%s' after the name '%s'; wanted one name", value,
                           public->name);
    snprintf(public->name, sizeof public->name, "%s", value);
    return S4_OK;
}

static s4_status read_public(struct reader *reader, const char *value)
{
    struct curve_public *public = &reader->public;
    uint32_t most = reader->secret ? 1 : CURVE_KEYS_MAX;
    if (public->count == most)
        return READER_FAIL(reader, "more public keys than %u", most);
    TRY(read_key(reader, value, public->keys[public->count]));
    public->count++;
    return S4_OK;
}

static s4_status read_secret(struct reader *reader, const char *value)
{
    if (!reader->secret)
        return READER_FAIL(reader, "a secret key in a public file; it is to be removed from here");
    if (reader->has_secret)
        return READER_FAIL(reader, "a second secret key");
    reader->has_secret = true;
    return read_key(reader, value, reader->key);
}

static s4_status read_line(struct reader *reader, char *line)
{
    line[strcspn(line, "\r")] = '\0';
    if (line[0] == '#' || line[0] == '\0')
        return S4_OK;
    char *value = strchr(line, ' ');
    if (!value)
        return READER_FAIL(reader, "a line without a value; wanted `name`, `public`%s and a value",
                           reader->secret ? ", `secret`" : "");
    *value++ = '\0';
    if (strcmp(line, "name") == 0)
        return read_name(reader, value);
    if (strcmp(line, "public") == 0)
        return read_public(reader, value);
    if (strcmp(line, "secret") == 0)
        return read_secret(reader, value);
    return READER_FAIL(reader, "an unknown word; wanted `name`, `public`%s",
                       reader->secret ? " or `secret`" : "");
}

/* The file's name without its ending is the key's. */
static bool fits_path(const char *path, const char *name, const char *ending)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t len = strlen(name);
    return strncmp(base, name, len) == 0 && strcmp(base + len, ending) == 0;
}

static s4_status check_whole(struct reader *reader)
{
    const struct curve_public *public = &reader->public;
    const char *missing = !public->name[0]                        ? "name"
                          : public->count == 0                    ? "public key"
                          : reader->secret && !reader->has_secret ? "secret key"
                                                                  : NULL;
    if (missing)
        return diag_set(reader->diag, S4_MALFORMED,
                        "%s has no %s; wanted a whole file of `s4 keygen`", reader->path, missing);
    const char *ending = reader->secret ? ".secret" : ".public";
    if (!fits_path(reader->path, public->name, ending))
        return diag_set(reader->diag, S4_MALFORMED,
                        "%s says that its name is '%s'; wanted it in a file %s%s", reader->path,
                        public->name, public->name, ending);
    return S4_OK;
}

static s4_status read_all(struct reader *reader)
{
    char text[CURVE_FILE_MAX + 1];
    s4_status status = read_file(reader->path, reader->secret, text, reader->diag);
    char *next = text;
    while (status == S4_OK && next) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        reader->line++;
        status = read_line(reader, line);
    }
    explicit_bzero(text, sizeof text);
    return status == S4_OK ? check_whole(reader) : status;
}

/* A public key that is not the secret's would be refused everywhere, without a word about it. */
static s4_status check_pair(const struct reader *reader)
{
    char secret[CURVE_TEXT + 1], text[CURVE_TEXT + 1], wanted[CURVE_TEXT + 1];
    curve_pair_text(reader->key, secret);
    curve_pair_text(reader->public.keys[0], text);
    bool same = zmq_curve_public(wanted, secret) == 0 && strcmp(wanted, text) == 0;
    explicit_bzero(secret, sizeof secret);
    if (!same)
        return diag_set(reader->diag, S4_MALFORMED,
                        "%s: its public key is not that of its secret key", reader->path);
    return S4_OK;
}

s4_status curve_file_read_secret(const char *path, struct curve_pair *pair, struct diag *diag)
{
    struct reader reader = { .path = path, .diag = diag, .secret = true };
    s4_status status = read_all(&reader);
    if (status == S4_OK)
        status = check_pair(&reader);
    if (status == S4_OK) {
        *pair = (struct curve_pair){ 0 };
        memcpy(pair->name, reader.public.name, sizeof pair->name);
        memcpy(pair->public, reader.public.keys[0], CURVE_BYTES);
        memcpy(pair->secret, reader.key, CURVE_BYTES);
    }
    explicit_bzero(reader.key, sizeof reader.key);
    return status;
}

s4_status curve_file_read_public(const char *path, struct curve_public *public, struct diag *diag)
{
    struct reader reader = { .path = path, .diag = diag };
    TRY(read_all(&reader));
    *public = reader.public;
    return S4_OK;
}
