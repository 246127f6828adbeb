/* Where a node is; see the header. The environment is read here and nowhere else. */
#include "router/client/endpoint.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/net/address.h"

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static s4_status too_long(const char *path, struct diag *diag)
{
    return diag_set(
        diag, S4_TOO_LARGE,
        "the path of the node's socket, %s, is longer than the %d bytes that the system "
        "allows; give a shorter directory with --dir or $S4_NODE",
        path, ENDPOINT_PATH_MAX);
}

static s4_status use_socket(const char *path, struct endpoint *endpoint, struct diag *diag)
{
    if (strlen(path) > ENDPOINT_PATH_MAX)
        return too_long(path, diag);
    snprintf(endpoint->socket, sizeof endpoint->socket, "%s", path);
    snprintf(endpoint->uri, sizeof endpoint->uri, "ipc://%s", path);
    return S4_OK;
}

static s4_status use_dir(const char *dir, struct endpoint *endpoint, struct diag *diag)
{
    char path[ENDPOINT_TEXT_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", dir, ENDPOINT_SOCKET);
    if (n < 0 || (size_t)n >= sizeof path)
        return too_long(dir, diag);
    TRY(use_socket(path, endpoint, diag));
    snprintf(endpoint->dir, sizeof endpoint->dir, "%s", dir);
    return S4_OK;
}

static s4_status use_default(struct endpoint *endpoint, struct diag *diag)
{
    char dir[ENDPOINT_TEXT_MAX];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int n = runtime && runtime[0] == '/'
                ? snprintf(dir, sizeof dir, "%s/s4", runtime)
                : snprintf(dir, sizeof dir, "/tmp/s4-%lu", (unsigned long)getuid());
    if (n < 0 || (size_t)n >= sizeof dir)
        return too_long(runtime, diag);
    return use_dir(dir, endpoint, diag);
}

static s4_status use_tcp(const char *node, bool keyed, struct endpoint *endpoint, struct diag *diag)
{
    struct address address;
    TRY(address_read(node, ADDRESS_REACH, keyed, &address, diag));
    snprintf(endpoint->uri, sizeof endpoint->uri, "%s", address.uri);
    return S4_OK;
}

s4_status endpoint_find(const char *node, bool keyed, struct endpoint *endpoint, struct diag *diag)
{
    struct endpoint found = { 0 };
    if (!node)
        node = getenv("S4_NODE");
    if (!node || !node[0])
        TRY(use_default(&found, diag));
    else if (starts(node, "tcp://"))
        TRY(use_tcp(node, keyed, &found, diag));
    else if (starts(node, "ipc:///"))
        TRY(use_socket(node + strlen("ipc://"), &found, diag));
    else if (strstr(node, "://"))
        return diag_set(diag, S4_INVALID,
                        "'%s' is no node; wanted a directory, ipc:///PATH or tcp://HOST:PORT",
                        node);
    else
        TRY(use_dir(node, &found, diag));
    *endpoint = found;
    return S4_OK;
}

const char *endpoint_keys(const char *given)
{
    const char *keys = given ? given : getenv("S4_KEYS");
    return keys && keys[0] ? keys : NULL;
}

bool endpoint_alive(const char *socket_path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(socket_path);
    if (len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, socket_path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool alive = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return alive;
}
