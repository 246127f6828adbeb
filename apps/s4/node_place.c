/* Where a node lives: a directory of mode 0700 with a lock and a socket.
 *
 * The lock says whether a node lives there, since the kernel drops it with the process: a socket
 * without it is a dead node's and is replaced. ZeroMQ itself would take the socket of a living one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/s4/exit.h"
#include "apps/s4/node.h"
#include "apps/s4/say.h"

static int check_dir(struct node *node)
{
    const char *dir = node->place.dir;
    struct stat found;
    node->made_dir = mkdir(dir, 0700) == 0;
    if (!node->made_dir && errno != EEXIST) {
        say_error("cannot make the directory %s: %s", dir, strerror(errno));
        return EXIT_FAILED;
    }
    if (lstat(dir, &found) != 0) {
        say_error("%s: %s", dir, strerror(errno));
        return EXIT_FAILED;
    }
    if (!S_ISDIR(found.st_mode)) {
        say_error("%s is no directory; give another one with --dir", dir);
        return EXIT_FAILED;
    }
    if (found.st_uid != geteuid()) {
        say_error("the directory %s belongs to user %ld, not to you; give another one with --dir",
                  dir, (long)found.st_uid);
        return EXIT_FAILED;
    }
    if ((found.st_mode & 0777) != 0700) {
        say_error("the directory %s has the mode %03o, so that others could reach the node; "
                  "wanted 0700 (chmod 700 %s)",
                  dir, found.st_mode & 0777, dir);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static int in_use(const char *dir, int fd)
{
    char pid[32];
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    say_error("the directory %s is in use by a node that runs (process %s)", dir,
              *pid ? pid : "unknown");
    return EXIT_FAILED;
}

static int take_lock(struct node *node)
{
    char path[ENDPOINT_TEXT_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", node->place.dir);
    node->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (node->lock_fd < 0) {
        say_error("%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    if (flock(node->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return in_use(node->place.dir, node->lock_fd);
    char pid[32];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(node->lock_fd, 0) != 0 || pwrite(node->lock_fd, pid, (size_t)n, 0) != n) {
        say_error("%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

int node_place_take(struct node *node)
{
    int code = check_dir(node);
    if (code == EXIT_DONE)
        code = take_lock(node);
    if (code == EXIT_DONE && endpoint_alive(node->place.socket)) {
        say_error("the socket %s is in use by another program", node->place.socket);
        code = EXIT_FAILED;
    }
    return code;
}

static int bind_to(struct node *node, const char *uri)
{
    if (zmq_bind(node->socket, uri) == 0)
        return EXIT_DONE;
    if (errno == EADDRINUSE)
        say_error("%s is in use by another program", uri);
    else
        say_error("cannot listen at %s: %s", uri, zmq_strerror(errno));
    return EXIT_FAILED;
}

/* Before the first bind. */
static bool watch_connections(struct node *node)
{
    const int linger_ms = 0, unlimited = 0; /* a full queue would stop ZeroMQ's thread */
    gate_init(&node->gate, 0);
    node->monitor = zmq_socket(node->context, ZMQ_PAIR);
    return node->monitor &&
           zmq_setsockopt(node->monitor, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0 &&
           zmq_setsockopt(node->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited) == 0 &&
           zmq_socket_monitor(node->socket, "inproc://connections", GATE_EVENTS) == 0 &&
           zmq_connect(node->monitor, "inproc://connections") == 0;
}

void node_count_connections(struct node *node)
{
    unsigned char bytes[6];
    char address[ENDPOINT_TEXT_MAX];
    uint64_t shut = node->gate.shut_ever;
    while (zmq_recv(node->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT) == sizeof bytes) {
        uint16_t event;
        int32_t value;
        int size = zmq_recv(node->monitor, address, sizeof address - 1, ZMQ_DONTWAIT);
        memcpy(&event, bytes, sizeof event);
        memcpy(&value, bytes + 2, sizeof value);
        address[size < 0 ? 0 : size_min((size_t)size, sizeof address - 1)] = '\0';
        gate_note(&node->gate, event, value, address);
    }
    if (node->gate.shut_ever != shut)
        alarms_raise(&node->alarms, "clients",
                     "there are as many connections as may be; nobody is let in until some left");
}

/* What is bound after it needs no key. */
static int bind_tcp(struct node *node)
{
    struct address address;
    struct diag diag = { 0 };
    s4_status status = address_read(node->listen, ADDRESS_LISTEN, node->ring, &address, &diag);
    if (status == S4_OK)
        status = node_keys_guard(node, &address, &diag);
    int code = status == S4_OK ? bind_to(node, address.uri) : EXIT_FAILED;
    if (status == S4_OK)
        status = node_keys_unguard(node, &diag);
    if (status == S4_OK)
        return code;
    say_error("%s", diag.text);
    return EXIT_FAILED;
}

int node_bind(struct node *node)
{
    const int backlog = 64;
    const int linger_ms = 1000; /* the answer to `stop` is still on its way */
    const int mandatory = 1;
    const int64_t largest = (int64_t)CONTROL_MESSAGE_MAX;
    node->context = zmq_ctx_new();
    node->socket = node->context ? zmq_socket(node->context, ZMQ_ROUTER) : NULL;
    if (!node->socket || !watch_connections(node)) {
        say_error("cannot make a socket: %s", zmq_strerror(errno));
        return EXIT_FAILED;
    }
    zmq_setsockopt(node->socket, ZMQ_RCVHWM, &backlog, sizeof backlog);
    zmq_setsockopt(node->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(node->socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    zmq_setsockopt(node->socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    /* TCP first: what can fail there must not have replaced the socket of before. */
    size_t size = sizeof node->tcp;
    int code = node->listen ? bind_tcp(node) : EXIT_DONE;
    if (code == EXIT_DONE && node->listen &&
        zmq_getsockopt(node->socket, ZMQ_LAST_ENDPOINT, node->tcp, &size) != 0)
        node->tcp[0] = '\0';
    if (code == EXIT_DONE)
        code = bind_to(node, node->place.uri);
    node->bound = code == EXIT_DONE;
    snprintf(node->clients, sizeof node->clients, "%s", *node->tcp ? node->tcp : node->place.uri);
    return code;
}

int node_ready(const struct node *node)
{
    say_printf("ready %s%s%s\n", node->place.uri, *node->tcp ? " " : "", node->tcp);
    return say_flush() ? EXIT_DONE : EXIT_FAILED;
}

/* A directory that was made for nothing goes; where a node lived it stays, with the lock's file: to
 * remove that would be a race with the next one. */
static void leave_dir(struct node *node)
{
    char path[ENDPOINT_TEXT_MAX + 8];
    snprintf(path, sizeof path, "%s/lock", node->place.dir);
    if (node->bound)
        unlink(node->place.socket);
    if (!node->made_dir || node->bound)
        return;
    unlink(path);
    rmdir(node->place.dir);
}

void node_place_leave(struct node *node)
{
    if (node->monitor) {
        zmq_socket_monitor(node->socket, NULL, 0);
        zmq_close(node->monitor);
    }
    if (node->socket)
        zmq_close(node->socket);
    zap_stop(node->zap);
    if (node->context)
        zmq_ctx_term(node->context); /* waits until the last answers are out */
    keyring_close(node->ring);
    leave_dir(node);
    if (node->lock_fd >= 0)
        close(node->lock_fd);
}
