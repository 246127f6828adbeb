/* Addresses: what is one, and what may be used without keys. */
#include "tests/support/suite.h"

#include "runtime/net/address.h"

struct expected {
    const char *text;
    const char *uri; /* NULL: as the text */
};

static s4_status read_one(const char *text, enum address_use use, bool keyed, struct address *read)
{
    struct diag diag = { 0 };
    s4_status status = address_read(text, use, keyed, read, &diag);
    ck_assert_msg((status == S4_OK) == (diag.text[0] == '\0'), "%s: %s", text, diag.text);
    ck_assert(status == S4_OK || diag.code == status);
    return status;
}

START_TEST(this_machine_needs_no_keys)
{
    static const struct expected good[] = {
        { "tcp://127.0.0.1:7000", NULL },  { "tcp://127.255.3.4:1", NULL },
        { "tcp://[::1]:65535", NULL },     { "tcp://localhost:7000", "tcp://127.0.0.1:7000" },
        { "ipc:///run/s4/control", NULL }, { "ipc://control", NULL },
    };
    struct address read;
    for (size_t i = 0; i < ARRAY_LEN(good) * 4; i++) {
        const struct expected *e = &good[i / 4];
        ck_assert_int_eq(read_one(e->text, i & 1 ? ADDRESS_LISTEN : ADDRESS_REACH, i & 2, &read),
                         S4_OK);
        ck_assert_str_eq(read.uri, e->uri ? e->uri : e->text);
        ck_assert(read.local);
        ck_assert_int_eq(read.tcp, e->text[0] == 't');
        ck_assert_int_eq(read.v6, e->text[6] == '[');
    }
}
END_TEST

START_TEST(elsewhere_needs_keys)
{
    static const char *const both[] = { "tcp://10.0.0.1:7000", "tcp://0.0.0.0:7000",
                                        "tcp://[::]:7000",     "tcp://[fe80::1]:7000",
                                        "tcp://128.0.0.1:1",   "tcp://[::ffff:127.0.0.1]:1" };
    static const char *const names[] = { "tcp://example.org:7000", "tcp://127.example.org:1",
                                         "tcp://127.0.0.1.example.org:1", "tcp://localhost.a:1",
                                         "tcp://LOCALHOST:1" };
    struct address read;
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        for (int use = 0; use < 2; use++) {
            ck_assert_int_eq(read_one(both[i], use, false, &read), S4_PERMISSION);
            ck_assert_int_eq(read_one(both[i], use, true, &read), S4_OK);
            ck_assert(!read.local);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_int_eq(read_one(names[i], ADDRESS_REACH, false, &read), S4_PERMISSION);
        ck_assert_int_eq(read_one(names[i], ADDRESS_REACH, true, &read), S4_OK);
        ck_assert_int_eq(read_one(names[i], ADDRESS_LISTEN, true, &read), S4_INVALID);
    }
    ck_assert_int_eq(read_one("tcp://*:7000", ADDRESS_LISTEN, false, &read), S4_PERMISSION);
    ck_assert_int_eq(read_one("tcp://*:7000", ADDRESS_LISTEN, true, &read), S4_OK);
    ck_assert_int_eq(read_one("tcp://*:7000", ADDRESS_REACH, true, &read), S4_INVALID);
}
END_TEST

START_TEST(only_listeners_leave_it_to_the_kernel)
{
    static const char *const open[] = { "tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "ipc://*" };
    struct address read;
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        ck_assert_int_eq(read_one(open[i], ADDRESS_LISTEN, false, &read), S4_OK);
        ck_assert_int_eq(read_one(open[i], ADDRESS_REACH, true, &read), S4_INVALID);
    }
}
END_TEST

/* Much of this ZeroMQ would take, and mean something by it. */
START_TEST(what_is_none_is_refused)
{
    static const char *const wrong[] = {
        "",
        "tcp://",
        "tcp://:1",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:1x",
        "tcp://127.0.0.1: 1",
        "tcp://127.0.0.1:+1",
        "tcp://127.0.0.1:01",
        "tcp://127.1:1",
        "tcp://2130706433:1",
        "tcp://0x7f000001:1",
        "tcp://127.0.0.01:1",
        "tcp://127.0.0.1/8:1",
        "tcp://127.0.0.1;127.0.0.1:1",
        "tcp://10.0.0.1:1;127.0.0.1:1",
        "tcp://eth0;127.0.0.1:1",
        "tcp://lo:1:1",
        "tcp://::1:1",
        "tcp://[::1]",
        "tcp://[::1]1",
        "tcp://[::1",
        "tcp://[]:1",
        "tcp://[::1%lo]:1",
        "tcp://[127.0.0.1]:1",
        "tcp://a..b:1",
        "tcp://-a:1",
        "tcp://a_b:1",
        "tcp://a.b.:1",
        "tcp:/127.0.0.1:1",
        "TCP://127.0.0.1:1",
        " tcp://127.0.0.1:1",
        "udp://127.0.0.1:1",
        "inproc://a",
        "pgm://127.0.0.1:1",
        "ipc://",
        "ipc://@abstract",

        "/run/s4",
        "127.0.0.1:1",
    };
    struct address read;
    for (size_t i = 0; i < ARRAY_LEN(wrong) * 4; i++)
        ck_assert_msg(read_one(wrong[i / 4], i & 1 ? ADDRESS_LISTEN : ADDRESS_REACH, i & 2,
                               &read) == S4_INVALID,
                      "%s (%zu)", wrong[i / 4], i % 4);
}
END_TEST

START_TEST(length_has_a_limit)
{
    char text[ADDRESS_TEXT_MAX + 2] = "ipc:///";
    struct address read;
    memset(text + 7, 'a', ADDRESS_TEXT_MAX - 7);
    ck_assert_int_eq(read_one(text, ADDRESS_REACH, false, &read), S4_OK);
    ck_assert_str_eq(read.uri, text);
    text[ADDRESS_TEXT_MAX] = 'a';
    ck_assert_int_eq(read_one(text, ADDRESS_REACH, false, &read), S4_TOO_LARGE);
}
END_TEST

Suite *suite_build(void)
{
    Suite *suite = suite_create("address");
    suite_add(suite, "local", this_machine_needs_no_keys, 10);
    suite_add(suite, "elsewhere", elsewhere_needs_keys, 10);
    suite_add(suite, "open", only_listeners_leave_it_to_the_kernel, 10);
    suite_add(suite, "wrong", what_is_none_is_refused, 10);
    suite_add(suite, "long", length_has_a_limit, 10);
    return suite;
}
