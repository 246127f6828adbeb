/* Key files and the directory of keys: modes, owners, what is malformed, who comes and goes. */
#include "tests/support/suite.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/net/keyring.h"

static char place[64];
static struct diag diag;

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *at)
{
    return remove(path);
}

static void leave(void)
{
    nftw(place, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Each test is a process of its own. */
static void enter(void)
{
    snprintf(place, sizeof place, "/tmp/s4-keys-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place));
    ck_assert_int_eq(chdir(place), 0);
    umask(022);
    diag = (struct diag){ 0 };
    ck_assert_int_eq(mkdir("nodes", 0755), 0);
    ck_assert_int_eq(mkdir("clients", 0755), 0);
}

static const char *in(const char *folder, const char *name, const char *ending)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    return path;
}

static struct curve_pair make(const char *name, const char *folder)
{
    struct curve_pair pair;
    ck_assert_int_eq(curve_pair_draw(name, &pair, &diag), S4_OK);
    ck_assert_int_eq(curve_file_write_public(in(folder, name, ".public"), &pair, &diag), S4_OK);
    return pair;
}

static struct curve_pair make_own(const char *name)
{
    struct curve_pair pair = make(name, "nodes");
    ck_assert_int_eq(curve_file_write_secret(in(".", name, ".secret"), &pair, &diag), S4_OK);
    return pair;
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void refused(s4_status found, s4_status wanted, const char *says)
{
    ck_assert_msg(found == wanted && strstr(diag.text, says), "%s: %s; wanted '%s'",
                  s4_status_name(found), diag.text, says);
}

/* ---- files --------------------------------------------------------------------------------- */

START_TEST(pairs_are_written_and_read)
{
    struct curve_pair pair = make_own("a.b-c_1"), read;
    struct curve_public public;
    struct stat found;
    ck_assert_int_eq(curve_file_read_secret("a.b-c_1.secret", &read, &diag), S4_OK);
    ck_assert_int_eq(memcmp(&read, &pair, sizeof read), 0);
    ck_assert_int_eq(stat("a.b-c_1.secret", &found), 0);
    ck_assert_uint_eq(found.st_mode & 0777, 0600);
    ck_assert_int_eq(curve_file_read_public("nodes/a.b-c_1.public", &public, &diag), S4_OK);
    ck_assert_uint_eq(public.count, 1);
    ck_assert_int_eq(memcmp(public.keys[0], pair.public, CURVE_BYTES), 0);
    ck_assert_str_eq(public.name, "a.b-c_1");
}
END_TEST

START_TEST(a_key_is_never_overwritten)
{
    struct curve_pair pair = make_own("a"), other, read;
    ck_assert_int_eq(curve_pair_draw("a", &other, &diag), S4_OK);
    refused(curve_file_write_secret("a.secret", &other, &diag), S4_EXISTS, "never overwritten");
    refused(curve_file_write_public("nodes/a.public", &other, &diag), S4_EXISTS, "never");
    ck_assert_int_eq(symlink("new", "link.secret"), 0);
    refused(curve_file_write_secret("link.secret", &other, &diag), S4_EXISTS, "never");
    ck_assert_int_eq(curve_file_read_secret("a.secret", &read, &diag), S4_OK);
    ck_assert_int_eq(memcmp(&read, &pair, sizeof read), 0);
}
END_TEST

START_TEST(names_are_plain)
{
    static const char *const wrong[] = { "", ".", ".a", "-a", "a/b", "a b", "../a", "\xc3\xa4" };
    char name[CURVE_NAME_MAX + 2];
    struct curve_pair pair;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        refused(curve_pair_draw(wrong[i], &pair, &diag), S4_INVALID, "cannot name a key");
    memset(name, 'a', sizeof name);
    name[CURVE_NAME_MAX] = '\0';
    ck_assert_int_eq(curve_pair_draw(name, &pair, &diag), S4_OK);
    name[CURVE_NAME_MAX] = 'a';
    name[CURVE_NAME_MAX + 1] = '\0';
    refused(curve_pair_draw(name, &pair, &diag), S4_INVALID, "cannot name a key");
}
END_TEST

START_TEST(what_others_could_read_or_write_is_refused)
{
    static const mode_t secret[] = { 0640, 0604, 0660, 0602, 0610, 0644 };
    static const mode_t public[] = { 0664, 0646, 0666, 0620 };
    struct curve_pair pair;
    struct curve_public read;
    make_own("a");
    for (size_t i = 0; i < ARRAY_LEN(secret); i++) {
        ck_assert_int_eq(chmod("a.secret", secret[i]), 0);
        refused(curve_file_read_secret("a.secret", &pair, &diag), S4_PERMISSION, "chmod");
    }
    refused(curve_file_read_secret("a.secret", &pair, &diag), S4_PERMISSION, "chmod 600 a.secret");
    ck_assert_int_eq(chmod("a.secret", 0400), 0);
    ck_assert_int_eq(curve_file_read_secret("a.secret", &pair, &diag), S4_OK);
    for (size_t i = 0; i < ARRAY_LEN(public); i++) {
        ck_assert_int_eq(chmod("nodes/a.public", public[i]), 0);
        refused(curve_file_read_public("nodes/a.public", &read, &diag), S4_PERMISSION,
                "chmod go-w");
    }
    if (geteuid() == 0) {
        ck_assert_int_eq(chown("a.secret", 12345, 0), 0);
        refused(curve_file_read_secret("a.secret", &pair, &diag), S4_PERMISSION, "user 12345");
    }
}
END_TEST

#define GOOD "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

START_TEST(malformed_files_are_refused_and_show_no_secret)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        { "", "no name" },
        { "name a\n", "no public key" },
        { "name a\npublic " GOOD "\n", "no secret key" },
        { "public " GOOD "\nsecret " GOOD "\n", "no name" },
        { "name a\nsecret " GOOD "\n", "no public key" },
        { "name a\npublic " GOOD "\nsecret " GOOD "\n", "not that of its secret key" },
        { "name b\npublic " GOOD "\nsecret " GOOD "\n", "wanted it in a file b.secret" },
        { "name a\npublic " GOOD "\npublic " GOOD "\n", "a.secret:3:1: more public keys than 1" },
        { "name a\nsecret " GOOD "\nsecret " GOOD "\n", "a.secret:3:1: a second secret" },
        { "name a\nname b\n", "a.secret:2:1: the name 'b' after" },
        { "name ../a\n", "the name is none" },
        { "name\n", "without a value" },
        { "naam a\n", "an unknown word" },
        { "name a\npublic abc\n", "a key of 3 letters; wanted 40" },
        { "secret " GOOD "x\n", "a key of 41 letters" },
        { "secret Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI\"\n", "no Z85" },
        { "secret ########################################\n", "no Z85" },
    };
    struct curve_pair pair;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        put("a.secret", wrong[i].text, 0600);
        refused(curve_file_read_secret("a.secret", &pair, &diag), S4_MALFORMED, wrong[i].says);
        ck_assert_ptr_null(strstr(diag.text, "Yne@"));
    }
    refused(curve_file_read_secret("b.secret", &pair, &diag), S4_NOT_FOUND, "b.secret");
    ck_assert_int_eq(mkdir("d.secret", 0700), 0);
    refused(curve_file_read_secret("d.secret", &pair, &diag), S4_INVALID, "is no file");
    ck_assert_int_eq(mkfifo("f.secret", 0600), 0);
    refused(curve_file_read_secret("f.secret", &pair, &diag), S4_INVALID, "is no file");
}
END_TEST

/* Every prefix of a good file: no crash, and a pair only of what is whole. */
START_TEST(truncated_files_are_refused)
{
    char text[CURVE_FILE_MAX + 1], cut[CURVE_FILE_MAX + 1];
    struct curve_pair pair = make_own("a"), read;
    FILE *file = fopen("a.secret", "r");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(text, 1, CURVE_FILE_MAX, file);
    fclose(file);
    for (size_t n = 0; n <= size; n++) {
        memcpy(cut, text, n);
        cut[n] = '\0';
        put("a.secret", cut, 0600);
        s4_status status = curve_file_read_secret("a.secret", &read, &diag);
        ck_assert_int_eq(status, n < size - 1 ? S4_MALFORMED : S4_OK);
    }
    ck_assert_int_eq(memcmp(&read, &pair, sizeof read), 0);
}
END_TEST

START_TEST(size_has_a_limit)
{
    static char text[CURVE_FILE_MAX + 2];
    char key[CURVE_TEXT + 1];
    struct curve_pair pair = make("a", "nodes");
    struct curve_public read;
    curve_pair_text(pair.public, key);
    memset(text, '#', CURVE_FILE_MAX);
    int size = snprintf(text, sizeof text, "name a\npublic %s\n", key);
    text[size] = '#';
    put("nodes/a.public", text, 0644);
    ck_assert_int_eq(curve_file_read_public("nodes/a.public", &read, &diag), S4_OK);
    text[CURVE_FILE_MAX] = '#';
    put("nodes/a.public", text, 0644);
    refused(curve_file_read_public("nodes/a.public", &read, &diag), S4_TOO_LARGE, "4096");
}
END_TEST

START_TEST(several_keys_of_one_name_have_a_limit)
{
    char text[CURVE_FILE_MAX] = "name a\n", key[CURVE_TEXT + 1];
    struct curve_public read;
    for (uint32_t n = 1; n <= CURVE_KEYS_MAX + 1; n++) {
        struct curve_pair pair;
        ck_assert_int_eq(curve_pair_draw("a", &pair, &diag), S4_OK);
        curve_pair_text(pair.public, key);
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "name a\npublic %s\n", key);
        put("nodes/a.public", text, 0644);
        s4_status status = curve_file_read_public("nodes/a.public", &read, &diag);
        if (n > CURVE_KEYS_MAX) {
            refused(status, S4_MALFORMED, "more public keys than 4");
        } else {
            ck_assert_int_eq(status, S4_OK);
            ck_assert_uint_eq(read.count, n);
        }
    }
}
END_TEST

START_TEST(a_public_file_holds_no_secret)
{
    struct curve_public read;
    put("nodes/a.public", "name a\npublic " GOOD "\nsecret " GOOD "\n", 0644);
    refused(curve_file_read_public("nodes/a.public", &read, &diag), S4_MALFORMED, "to be removed");
}
END_TEST

/* ---- the directory ------------------------------------------------------------------------- */

START_TEST(roles_are_told_apart)
{
    struct curve_pair a = make_own("a"), b = make("b", "nodes"), c = make("c", "clients");
    struct keyring *ring;
    char name[CURVE_NAME_MAX + 1];
    ck_assert_int_eq(keyring_open(".", NULL, &ring, &diag), S4_OK);
    ck_assert_str_eq(keyring_own(ring)->name, "a");
    ck_assert(keyring_find(ring, KEYRING_NODE, a.public, name));
    ck_assert_str_eq(name, "a");
    ck_assert(keyring_find(ring, KEYRING_NODE, b.public, name));
    ck_assert_str_eq(name, "b");
    ck_assert(!keyring_find(ring, KEYRING_CLIENT, b.public, NULL));
    ck_assert(keyring_find(ring, KEYRING_CLIENT, c.public, name));
    ck_assert_str_eq(name, "c");
    ck_assert(!keyring_find(ring, KEYRING_NODE, c.public, NULL));
    ck_assert(!keyring_find(ring, KEYRING_NODE, a.secret, NULL));
    keyring_close(ring);
}
END_TEST

START_TEST(keys_of_a_node_take_turns)
{
    struct curve_pair a = make_own("a"), old, fresh;
    char text[CURVE_FILE_MAX], first[CURVE_TEXT + 1], second[CURVE_TEXT + 1];
    uint8_t key[CURVE_BYTES];
    struct keyring *ring;
    ck_assert_int_eq(keyring_open(".", NULL, &ring, &diag), S4_OK);
    ck_assert_int_eq(keyring_of_node(ring, NULL, 7, key, &diag), S4_OK); /* the only one */
    ck_assert_int_eq(memcmp(key, a.public, CURVE_BYTES), 0);
    keyring_close(ring);
    ck_assert_int_eq(curve_pair_draw("b", &old, &diag), S4_OK);
    ck_assert_int_eq(curve_pair_draw("b", &fresh, &diag), S4_OK);
    curve_pair_text(old.public, first);
    curve_pair_text(fresh.public, second);
    snprintf(text, sizeof text, "name b\npublic %s\npublic %s\n", first, second);
    put("nodes/b.public", text, 0644);
    ck_assert_int_eq(keyring_open(".", "a.secret", &ring, &diag), S4_OK);
    for (uint64_t turn = 0; turn < 4; turn++) {
        ck_assert_int_eq(keyring_of_node(ring, "b", turn, key, &diag), S4_OK);
        ck_assert_int_eq(memcmp(key, turn & 1 ? fresh.public : old.public, CURVE_BYTES), 0);
    }
    refused(keyring_of_node(ring, "z", 0, key, &diag), S4_NOT_FOUND, "no key of a node 'z'");
    refused(keyring_of_node(ring, NULL, 0, key, &diag), S4_NOT_FOUND, "keys of 2 nodes");
    keyring_close(ring);
}
END_TEST

START_TEST(one_secret_is_meant)
{
    struct keyring *ring;
    refused(keyring_open("none", NULL, &ring, &diag), S4_NOT_FOUND, "no such directory");
    refused(keyring_open(".", NULL, &ring, &diag), S4_NOT_FOUND, "has no secret key");
    make_own("a");
    make_own("b");
    refused(keyring_open(".", NULL, &ring, &diag), S4_INVALID, "--secret");
    ck_assert_int_eq(keyring_open(".", "./b.secret", &ring, &diag), S4_OK);
    ck_assert_str_eq(keyring_own(ring)->name, "b");
    keyring_close(ring);
}
END_TEST

START_TEST(a_directory_that_others_can_change_is_refused)
{
    static const char *const folders[] = { ".", "nodes", "clients" };
    struct keyring *ring;
    make_own("a");
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        ck_assert_int_eq(chmod(folders[i], 0775), 0);
        refused(keyring_open(".", NULL, &ring, &diag), S4_PERMISSION, "others could change it");
        ck_assert_int_eq(chmod(folders[i], 0755), 0);
    }
    put("clients/x.public", "x", 0644);
    refused(keyring_open(".", NULL, &ring, &diag), S4_MALFORMED, "clients/x.public");
}
END_TEST

static bool refresh(struct keyring *ring)
{
    bool complaint;
    diag = (struct diag){ 0 };
    ck_assert_int_eq(keyring_refresh(ring, &complaint, &diag), S4_OK);
    ck_assert_int_eq(complaint, diag.text[0] != '\0');
    return complaint;
}

START_TEST(files_come_and_go)
{
    make_own("a");
    struct keyring *ring;
    ck_assert_int_eq(keyring_open(".", NULL, &ring, &diag), S4_OK);
    uint64_t version = keyring_version(ring);
    struct curve_pair b = make("b", "nodes");
    ck_assert(!keyring_find(ring, KEYRING_NODE, b.public, NULL));
    ck_assert(!refresh(ring));
    ck_assert(keyring_find(ring, KEYRING_NODE, b.public, NULL));
    ck_assert_uint_gt(keyring_version(ring), version);
    put("nodes/0.public", "half", 0644); /* does not keep the next from being revoked */
    ck_assert_int_eq(unlink("nodes/b.public"), 0);
    ck_assert(refresh(ring));
    ck_assert_ptr_nonnull(strstr(diag.text, "nodes/0.public"));
    ck_assert(!keyring_find(ring, KEYRING_NODE, b.public, NULL));
    ck_assert_int_eq(unlink("nodes/0.public"), 0);
    ck_assert_int_eq(rmdir("clients"), 0); /* not there: nobody */
    ck_assert(!refresh(ring));
    keyring_close(ring);
}
END_TEST

START_TEST(what_did_not_change_is_not_read_again)
{
    make_own("a");
    struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    ck_assert_int_eq(utimensat(AT_FDCWD, "nodes", old, 0), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, "clients", old, 0), 0);
    struct keyring *ring;
    ck_assert_int_eq(keyring_open(".", NULL, &ring, &diag), S4_OK);
    uint64_t version = keyring_version(ring);
    ck_assert(!refresh(ring));
    ck_assert_uint_eq(keyring_version(ring), version);
    ck_assert_int_eq(chmod("nodes", 0777), 0); /* everything stays as it was */
    bool complaint;
    refused(keyring_refresh(ring, &complaint, &diag), S4_PERMISSION, "others could change it");
    ck_assert(keyring_find(ring, KEYRING_NODE, keyring_own(ring)->public, NULL));
    keyring_close(ring);
}
END_TEST

START_TEST(a_directory_has_a_limit)
{
    struct keyring *ring;
    make_own("a");
    for (int i = 0; i < KEYRING_MAX; i++) {
        char path[64], text[128];
        snprintf(path, sizeof path, "clients/c%d.public", i);
        snprintf(text, sizeof text, "name c%d\npublic " GOOD "\n", i);
        put(path, text, 0644);
    }
    ck_assert_int_eq(keyring_open(".", NULL, &ring, &diag), S4_OK);
    keyring_close(ring);
    make("one-more", "clients");
    refused(keyring_open(".", NULL, &ring, &diag), S4_FULL, "more than 1024");
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("keyring");
    suite_add_with(suite, "pair", pairs_are_written_and_read, 30, enter, leave);
    suite_add_with(suite, "overwrite", a_key_is_never_overwritten, 30, enter, leave);
    suite_add_with(suite, "names", names_are_plain, 30, enter, leave);
    suite_add_with(suite, "modes", what_others_could_read_or_write_is_refused, 30, enter, leave);
    suite_add_with(suite, "malformed", malformed_files_are_refused_and_show_no_secret, 30, enter,
                   leave);
    suite_add_with(suite, "truncated", truncated_files_are_refused, 30, enter, leave);
    suite_add_with(suite, "size", size_has_a_limit, 30, enter, leave);
    suite_add_with(suite, "several", several_keys_of_one_name_have_a_limit, 30, enter, leave);
    suite_add_with(suite, "public", a_public_file_holds_no_secret, 30, enter, leave);
    suite_add_with(suite, "roles", roles_are_told_apart, 30, enter, leave);
    suite_add_with(suite, "turns", keys_of_a_node_take_turns, 30, enter, leave);
    suite_add_with(suite, "secret", one_secret_is_meant, 30, enter, leave);
    suite_add_with(suite, "directory", a_directory_that_others_can_change_is_refused, 30, enter,
                   leave);
    suite_add_with(suite, "refresh", files_come_and_go, 30, enter, leave);
    suite_add_with(suite, "unchanged", what_did_not_change_is_not_read_again, 30, enter, leave);
    suite_add_with(suite, "full", a_directory_has_a_limit, 30, enter, leave);
    return suite;
}
