/* The library's synchronous calls. Its header has a struct of the same name as one of ours, so that
 * a test cannot read both. */
#include "tests/support/zoo_raw.h"

#include <check.h>
#include <string.h>

#define THREADED
#include <zookeeper/zookeeper.h>

#define SESSION_MS 10000
#define TEXT_MAX   256

static void nothing(zhandle_t *handle, int type, int state, const char *path, void *user)
{
}

static zhandle_t *open_handle(const char *hosts)
{
    zoo_set_debug_level((ZooLogLevel)0);
    zhandle_t *handle = zookeeper_init(hosts, nothing, SESSION_MS, NULL, NULL, 0);
    ck_assert_ptr_nonnull(handle);
    return handle;
}

void zoo_raw_create(const char *hosts, const char *path, int permissions)
{
    struct ACL acl = { .perms = permissions, .id = ZOO_ANYONE_ID_UNSAFE };
    struct ACL_vector list = { .count = 1, .data = &acl };
    zhandle_t *handle = open_handle(hosts);
    ck_assert_int_eq(zoo_create(handle, path, "", 0, &list, 0, NULL, 0), ZOK);
    ck_assert_int_eq(zookeeper_close(handle), ZOK);
}

void zoo_raw_set(const char *hosts, const char *path, const char *text)
{
    zhandle_t *handle = open_handle(hosts);
    ck_assert_int_eq(zoo_set(handle, path, text, (int)strlen(text), -1), ZOK);
    ck_assert_int_eq(zookeeper_close(handle), ZOK);
}

void zoo_raw_check(const char *hosts, const char *path, const char *text)
{
    char got[TEXT_MAX];
    int size = sizeof got;
    zhandle_t *handle = open_handle(hosts);
    ck_assert_int_eq(zoo_get(handle, path, 0, got, &size, NULL), ZOK);
    ck_assert_int_eq(size, (int)strlen(text));
    ck_assert_mem_eq(got, text, (size_t)size);
    ck_assert_int_eq(zookeeper_close(handle), ZOK);
}
