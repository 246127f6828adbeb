/* Reading addresses; see the header.
 *
 * What ZeroMQ would take besides (interfaces, source addresses, abstract sockets, hosts written as
 * one number) is refused: nothing here may mean more than it shows.
 */
#include "runtime/net/address.h"

#include <arpa/inet.h>

#define HOST_MAX 240 /* letters: with the rest of an address around it */

struct host {
    char text[HOST_MAX + 1];
    bool v6;
};

static s4_status wanted(const char *text, enum address_use use, struct diag *diag)
{
    return diag_set(diag, S4_INVALID, "'%s' is no address; wanted tcp://HOST:PORT%s or ipc://PATH",
                    text, use == ADDRESS_LISTEN ? " (* for any free port)" : "");
}

static bool read_port(const char *text, enum address_use use)
{
    char *end;
    if (use == ADDRESS_LISTEN && (strcmp(text, "*") == 0 || strcmp(text, "0") == 0))
        return true;
    if (text[0] < '1' || text[0] > '9')
        return false;
    unsigned long port = strtoul(text, &end, 10);
    return *end == '\0' && port <= UINT16_MAX;
}

/* Cuts HOST:PORT; the port. NULL: not so. */
static const char *split(const char *text, struct host *host)
{
    const char *begin = text, *end = strchr(text, ':');
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (!end || end[1] != ':')
            return NULL;
        host->v6 = true;
    }
    if (!end || end == begin || end - begin > HOST_MAX)
        return NULL;
    memcpy(host->text, begin, (size_t)(end - begin));
    host->text[end - begin] = '\0';
    return host->v6 ? end + 2 : end + 1;
}

/* Letters, digits, '-' and dots; the last part begins with a letter, so that no way to write a
 * number is taken for a name. */
static bool is_name(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    const char *part = host;
    for (;;) {
        size_t len = strspn(part, allowed);
        if (len == 0 || len > 63 || part[0] == '-')
            return false;
        if (part[len] == '\0')
            return part[0] > '9';
        if (part[len] != '.')
            return false;
        part += len + 1;
    }
}

enum where { NOWHERE, HERE, ELSEWHERE };

static enum where where_is(const struct host *host, enum address_use use)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (host->v6) {
        if (inet_pton(AF_INET6, host->text, &v6) != 1)
            return NOWHERE;
        return IN6_IS_ADDR_LOOPBACK(&v6) ? HERE : ELSEWHERE;
    }
    if (inet_pton(AF_INET, host->text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 ? HERE : ELSEWHERE;
    if (strcmp(host->text, "localhost") == 0)
        return HERE;
    if (use == ADDRESS_LISTEN)
        return strcmp(host->text, "*") == 0 ? ELSEWHERE : NOWHERE;
    return is_name(host->text) ? ELSEWHERE : NOWHERE;
}

static s4_status read_tcp(const char *text, enum address_use use, bool keyed,
                          struct address *address, struct diag *diag)
{
    struct host host = { 0 };
    const char *port = split(text + strlen("tcp://"), &host);
    if (!port || !read_port(port, use))
        return wanted(text, use, diag);
    enum where where = where_is(&host, use);
    if (where == NOWHERE)
        return diag_set(diag, S4_INVALID, "%s: '%s' is no host; wanted an IPv4 address, [IPv6]%s",
                        text, host.text, use == ADDRESS_LISTEN ? ", localhost or *" : " or a name");
    if (where == ELSEWHERE && !keyed)
        return diag_set(diag, S4_PERMISSION,
                        "%s: without keys only the loopback is served and reached (127.0.0.1, "
                        "[::1], localhost); give keys with --keys, `s4 keygen` makes them",
                        text);
    bool localhost = strcmp(host.text, "localhost") == 0;
    address->tcp = true;
    address->local = where == HERE;
    address->v6 = host.v6;
    snprintf(address->uri, sizeof address->uri, "tcp://%s%s%s:%s", host.v6 ? "[" : "",
             localhost ? "127.0.0.1" : host.text, host.v6 ? "]" : "", port);
    return S4_OK;
}

/* A socket in the file system: an abstract one (ipc://@NAME) is guarded by no directory. */
static bool is_path(const char *text, enum address_use use)
{
    const char *path = text + strlen("ipc://");
    return strncmp(text, "ipc://", strlen("ipc://")) == 0 && *path && *path != '@' &&
           (use == ADDRESS_LISTEN || strcmp(path, "*") != 0);
}

s4_status address_read(const char *text, enum address_use use, bool keyed, struct address *address,
                       struct diag *diag)
{
    struct address read = { .local = true };
    if (strnlen(text, ADDRESS_TEXT_MAX + 1) > ADDRESS_TEXT_MAX)
        return diag_set(diag, S4_TOO_LARGE, "an address of more than %d bytes", ADDRESS_TEXT_MAX);
    if (strncmp(text, "tcp://", 6) == 0)
        TRY(read_tcp(text, use, keyed, &read, diag));
    else if (is_path(text, use))
        snprintf(read.uri, sizeof read.uri, "%s", text);
    else
        return wanted(text, use, diag);
    *address = read;
    return S4_OK;
}
