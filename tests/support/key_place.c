/* A directory of keys under a test; see the header. */
#include "tests/support/key_place.h"

#include <check.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_folder(const struct key_place *place, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place->dir, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

void key_place_open(struct key_place *place)
{
    snprintf(place->dir, sizeof place->dir, "/tmp/s4-keys-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place->dir));
    make_folder(place, "nodes");
    make_folder(place, "clients");
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *at)
{
    return remove(path);
}

void key_place_close(struct key_place *place)
{
    ck_assert_int_eq(nftw(place->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void public_path(const struct key_place *place, enum keyring_role role, const char *name,
                        char path[256])
{
    snprintf(path, 256, "%s/%s/%s.public", place->dir, role == KEYRING_NODE ? "nodes" : "clients",
             name);
}

static void secret_path(const struct key_place *place, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s.secret", place->dir, name);
}

void key_place_draw(const struct key_place *place, enum keyring_role role, const char *name)
{
    char path[256];
    struct curve_pair pair;
    ck_assert_int_eq(curve_pair_draw(name, &pair, NULL), S4_OK);
    secret_path(place, name, path);
    ck_assert_int_eq(curve_file_write_secret(path, &pair, NULL), S4_OK);
    public_path(place, role, name, path);
    ck_assert_int_eq(curve_file_write_public(path, &pair, NULL), S4_OK);
}

void key_place_admit(const struct key_place *place, enum keyring_role role, const char *name,
                     const struct key_place *from)
{
    char path[256];
    struct curve_pair pair;
    secret_path(from, name, path);
    ck_assert_int_eq(curve_file_read_secret(path, &pair, NULL), S4_OK);
    public_path(place, role, name, path);
    ck_assert_int_eq(curve_file_write_public(path, &pair, NULL), S4_OK);
}

void key_place_revoke(const struct key_place *place, enum keyring_role role, const char *name)
{
    char path[256];
    public_path(place, role, name, path);
    ck_assert_int_eq(unlink(path), 0);
}

struct keyring *key_place_ring(const struct key_place *place, const char *name)
{
    char path[256];
    struct keyring *ring;
    struct diag diag = { 0 };
    secret_path(place, name, path);
    ck_assert_msg(keyring_open(place->dir, path, &ring, &diag) == S4_OK, "%s", diag.text);
    return ring;
}
