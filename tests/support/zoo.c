/* ZooKeeper's servers and a network that fails, as driven programs; see driven.h. */
#include "tests/support/driven.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- ZooKeeper ------------------------------------------------------------------------------- */

void zoo_open(struct zoo *zoo, size_t servers)
{
    char n[8];
    *zoo = (struct zoo){ .n = servers };
    ck_assert_uint_le(servers, DRIVEN_SERVERS_MAX);
    snprintf(zoo->dir, sizeof zoo->dir, "/tmp/s4-zookeeper-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(zoo->dir));
    ck_assert_int_eq(rmdir(zoo->dir), 0); /* the program makes it, and removes it */
    snprintf(n, sizeof n, "%zu", servers);
    const char *argv[] = { getenv("S4_ZOOKEEPER"), zoo->dir, "--servers", n, NULL };
    driven_start(&zoo->driven, argv);
    size_t at = 0;
    while (driven_says(&zoo->driven, "ready")) {
        char word[8];
        unsigned i, port;
        ck_assert_int_eq(sscanf(zoo->driven.line, "%7s %u %u", word, &i, &port), 3);
        ck_assert_uint_lt(i, servers);
        zoo->ports[i] = port;
        at += (size_t)snprintf(zoo->hosts + at, sizeof zoo->hosts - at, "%s127.0.0.1:%u",
                               at > 0 ? "," : "", port);
    }
}

void zoo_close(struct zoo *zoo)
{
    driven_stop(&zoo->driven);
}

size_t zoo_leader(struct zoo *zoo)
{
    for (size_t i = 0;; i = (i + 1) % zoo->n) {
        driven_tell(&zoo->driven, "mode %zu", i);
        if (strstr(zoo->driven.line, "leader"))
            return i;
    }
}

/* ---- the proxy ------------------------------------------------------------------------------- */

void proxy_open(struct proxy *proxy, unsigned port)
{
    char number[8];
    *proxy = (struct proxy){ 0 };
    snprintf(number, sizeof number, "%u", port);
    const char *argv[] = { getenv("S4_FAULT_PROXY"), number, NULL };
    driven_start(&proxy->driven, argv);
    while (driven_says(&proxy->driven, "ready")) {
        unsigned its;
        ck_assert_int_eq(sscanf(proxy->driven.line, "listen 0 %u", &its), 1);
        snprintf(proxy->host, sizeof proxy->host, "127.0.0.1:%u", its);
    }
}

void proxy_close(struct proxy *proxy)
{
    driven_stop(&proxy->driven);
}
