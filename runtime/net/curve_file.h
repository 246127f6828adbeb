/* Key pairs and the two files of each: NAME.secret, which never leaves its owner, and NAME.public,
 * by which others know it. Text, a word and a value per line, lines with '#' are for people:
 *
 *     name a                                          as in the file's name
 *     public E?y:yC=Eq]e#@&bQDRj0Z3&SPXe0l/nVuNo0^<>w   Z85, 40 letters
 *     secret ...                                      in the secret's file only
 *
 * A public file may hold up to CURVE_KEYS_MAX keys, while one takes the place of another.
 *
 * A file that others could have written, or a secret that others could have read, is refused:
 * it belongs to the user who runs or to root, is not writable for group and others, and a secret
 * not readable for them either. Messages never show a secret. No state; any thread.
 */
#ifndef RUNTIME_NET_CURVE_FILE_H
#define RUNTIME_NET_CURVE_FILE_H

#include "runtime/base/diag.h"

#define CURVE_BYTES    32
#define CURVE_TEXT     40 /* letters of a key in Z85 */
#define CURVE_NAME_MAX 64
#define CURVE_KEYS_MAX 4 /* keys of one name */
#define CURVE_FILE_MAX (4 * KIB)
#define CURVE_PATH_MAX 1024

struct curve_pair {
    char name[CURVE_NAME_MAX + 1];
    uint8_t public[CURVE_BYTES];
    uint8_t secret[CURVE_BYTES];
};

struct curve_public {
    char name[CURVE_NAME_MAX + 1];
    uint32_t count;
    uint8_t keys[CURVE_KEYS_MAX][CURVE_BYTES];
};

/* Letters, digits, '.', '_' and '-', up to CURVE_NAME_MAX; the first is no '.' or '-'. */
bool curve_pair_name_valid(const char *name);

/* From the system's randomness. S4_UNSUPPORTED: libzmq has no CURVE. */
s4_status curve_pair_draw(const char *name, struct curve_pair *pair, struct diag *diag) MUST_USE;
void curve_pair_wipe(struct curve_pair *pair);
void curve_pair_text(const uint8_t key[CURVE_BYTES], char text[CURVE_TEXT + 1]);

/* Makes a file, on disk when it answers; one that is there is never touched: S4_EXISTS. */
s4_status curve_file_write_secret(const char *path, const struct curve_pair *pair,
                                  struct diag *diag) MUST_USE;
s4_status curve_file_write_public(const char *path, const struct curve_pair *pair,
                                  struct diag *diag) MUST_USE;

/* S4_NOT_FOUND, S4_PERMISSION (its mode or owner), S4_TOO_LARGE, S4_MALFORMED, S4_IO. */
s4_status curve_file_read_secret(const char *path, struct curve_pair *pair,
                                 struct diag *diag) MUST_USE;
s4_status curve_file_read_public(const char *path, struct curve_public *public,
                                 struct diag *diag) MUST_USE;

/* Whether nobody but this user and root could have written what lies at `path`. */
struct stat;
s4_status curve_file_check_owner(const char *path, const struct stat *found,
                                 struct diag *diag) MUST_USE;

#endif
