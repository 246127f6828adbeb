/* A network that fails on command, between processes of one machine.
 *
 *     fault_proxy PORT...
 *
 * Each PORT on the loopback gets a link: a listener on a port of the kernel's choice, said as
 * "listen LINK PORT" before "ready". Who connects there is side a, the PORT is side b. Commands
 * come line by line on standard input, "LINK COMMAND" with LINK a number or `all`, and each is
 * answered with "ok", or "error: why":
 *
 *     delay MS      every byte arrives MS later
 *     slow N        N bytes per second and direction of each connection
 *     cut           nothing passes, nothing closes: whoever dies now is not missed (half-open)
 *     oneway a|b    only what that side says passes
 *     reset         all connections end with RST
 *     close N       after N more bytes from a, all connections end with FIN, in the middle of
 *                   whatever that is
 *     heal          no fault any more: what was held passes, in order
 *     count         "count CONNECTIONS FROM_A FROM_B": accepted, and bytes passed on, so far
 *
 * It ends when standard input does. One thread and poll(2); what a direction holds is bounded, and
 * then it reads no more, as a network would not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/base.h"

enum { A, B, SIDES };

#define LINKS_MAX       16
#define CONNECTIONS_MAX 256 /* then a link accepts no more */
#define HELD_MAX        (1 * MIB)
#define MARKS_MAX       1024 /* pieces that are on their way, of a direction */
#define LINE_SIZE       256
#define NEVER           UINT64_MAX

struct link {
    int listener;
    uint16_t target;
    uint64_t delay_us;
    uint64_t rate;  /* bytes per second; 0: any */
    uint64_t close; /* bytes from a until all is closed; NEVER */
    bool stopped[SIDES];
    uint64_t accepted, passed[SIDES];
};

struct mark {
    uint64_t end; /* of a piece, in bytes since the beginning */
    uint64_t due_us;
};

/* What one side says. */
struct way {
    char *held; /* a ring of HELD_MAX bytes */
    uint64_t read, written;
    struct mark marks[MARKS_MAX]; /* a ring */
    uint64_t marked, passed;
    uint64_t credit_us; /* of a slow one: when the next byte may pass */
    bool ended, told;   /* the side said its last; the other side was told */
};

struct connection {
    struct link *link; /* NULL: this place is free */
    int fd[SIDES];
    struct way ways[SIDES]; /* from that side */
};

static struct link links[LINKS_MAX];
static size_t n_links;
static struct connection *connections[CONNECTIONS_MAX]; /* by place; NULL: free */

static uint64_t now_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* ---- connections --------------------------------------------------------------------------- */

static void end_connection(size_t place, bool reset)
{
    struct connection *connection = connections[place];
    struct linger hard = { .l_onoff = 1 };
    for (int side = 0; side < SIDES; side++) {
        if (reset)
            setsockopt(connection->fd[side], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(connection->fd[side]);
        free(connection->ways[side].held);
    }
    free(connection);
    connections[place] = NULL;
}

static void end_all(const struct link *link, bool reset)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (connections[i] && connections[i]->link == link)
            end_connection(i, reset);
}

static size_t free_place(void)
{
    size_t place = 0;
    while (place < CONNECTIONS_MAX && connections[place])
        place++;
    return place;
}

static void accept_one(struct link *link)
{
    struct sockaddr_in target = loopback(link->target);
    int a = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (a < 0)
        return;
    int b = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(b >= 0);
    struct connection *connection = calloc(1, sizeof *connection);
    CHECK(connection);
    *connection = (struct connection){ .link = link, .fd = { a, b } };
    for (int side = 0; side < SIDES; side++)
        CHECK((connection->ways[side].held = malloc(HELD_MAX)));
    size_t place = free_place();
    connections[place] = connection;
    link->accepted++;
    if (connect(b, (struct sockaddr *)&target, sizeof target) != 0 && errno != EINPROGRESS)
        end_connection(place, true);
}

/* ---- a direction --------------------------------------------------------------------------- */

static bool may_read(const struct connection *connection, int side)
{
    const struct way *way = &connection->ways[side];
    return !connection->link->stopped[side] && !way->ended && way->read - way->written < HELD_MAX &&
           way->marked - way->passed < MARKS_MAX;
}

/* Reads a piece. False: the side has gone without saying so. */
static bool take_in(struct connection *connection, int side)
{
    struct way *way = &connection->ways[side];
    size_t at = way->read % HELD_MAX;
    size_t room = size_min(HELD_MAX - at, HELD_MAX - (way->read - way->written));
    ssize_t n = recv(connection->fd[side], way->held + at, room, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    way->ended = n == 0;
    if (n == 0)
        return true;
    way->read += (uint64_t)n;
    way->marks[way->marked++ % MARKS_MAX] =
        (struct mark){ way->read, now_us() + connection->link->delay_us };
    return true;
}

/* When the next byte may pass; NEVER: there is none, or nothing passes. */
static uint64_t due_us(const struct connection *connection, int side)
{
    const struct way *way = &connection->ways[side];
    if (connection->link->stopped[side])
        return NEVER;
    if (way->read == way->written)
        return way->ended && !way->told ? 0 : NEVER;
    uint64_t due = way->marks[way->passed % MARKS_MAX].due_us;
    return connection->link->rate && way->credit_us > due ? way->credit_us : due;
}

/* Bytes that may pass now, in one piece. */
static size_t passable(const struct connection *connection, int side)
{
    const struct way *way = &connection->ways[side];
    const struct link *link = connection->link;
    uint64_t end = way->marks[way->passed % MARKS_MAX].end;
    size_t at = way->written % HELD_MAX;
    size_t n = size_min(end - way->written, HELD_MAX - at);
    if (link->rate)
        n = size_min(n, link->rate / 100 + 1); /* a hundredth of a second's, or a byte */
    return side == A ? size_min(n, link->close) : n;
}

/* Passes on what may pass. False: the other side is not there any more. */
static bool pass_on(struct connection *connection, int side, uint64_t now)
{
    struct way *way = &connection->ways[side];
    struct link *link = connection->link;
    int to = connection->fd[!side];
    if (way->read == way->written) {
        way->told = true;
        return shutdown(to, SHUT_WR) == 0;
    }
    ssize_t n =
        send(to, way->held + way->written % HELD_MAX, passable(connection, side), MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    way->written += (uint64_t)n;
    link->passed[side] += (uint64_t)n;
    if (way->written == way->marks[way->passed % MARKS_MAX].end)
        way->passed++;
    if (link->rate)
        way->credit_us = now + (uint64_t)n * 1000000u / link->rate;
    if (side == A && link->close != NEVER)
        link->close -= (uint64_t)n;
    return true;
}

/* ---- the loop ------------------------------------------------------------------------------ */

struct round {
    struct pollfd fds[1 + LINKS_MAX + SIDES * CONNECTIONS_MAX];
    uint64_t next_us; /* when something is due that no descriptor tells */
};

/* A side that is neither read nor written is not even looked at: if it has gone, nobody hears of it
 * until the network is whole again. */
static void watch_connection(struct round *round, size_t place, uint64_t now)
{
    const struct connection *connection = connections[place];
    for (int side = 0; side < SIDES; side++) {
        struct pollfd *fd = &round->fds[1 + LINKS_MAX + SIDES * place + (size_t)side];
        uint64_t due = connection ? due_us(connection, !side) : NEVER;
        *fd = (struct pollfd){ .fd = -1 };
        if (!connection)
            continue;
        fd->events =
            (short)((may_read(connection, side) ? POLLIN : 0) | (due <= now ? POLLOUT : 0));
        if (fd->events)
            fd->fd = connection->fd[side];
        if (due > now && due < round->next_us)
            round->next_us = due;
    }
}

static void watch(struct round *round, uint64_t now)
{
    bool full = free_place() == CONNECTIONS_MAX;
    round->next_us = NEVER;
    round->fds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
    for (size_t i = 0; i < LINKS_MAX; i++) {
        bool open = i < n_links && !full && !(links[i].stopped[A] && links[i].stopped[B]);
        round->fds[1 + i] =
            (struct pollfd){ .fd = open ? links[i].listener : -1, .events = POLLIN };
    }
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        watch_connection(round, i, now);
}

static void serve_connection(const struct round *round, size_t place, uint64_t now)
{
    struct connection *connection = connections[place];
    struct link *link = connection->link;
    bool whole = true;
    for (int side = 0; side < SIDES && whole; side++) {
        short ready = round->fds[1 + LINKS_MAX + SIDES * place + (size_t)side].revents;
        if (ready & (POLLIN | POLLHUP | POLLERR) && may_read(connection, side))
            whole = take_in(connection, side);
        if (whole && ready & POLLOUT && due_us(connection, !side) <= now)
            whole = pass_on(connection, !side, now);
    }
    if (!whole)
        end_connection(place, true);
    else if (connection->ways[A].told && connection->ways[B].told)
        end_connection(place, false);
    if (link->close == 0) {
        end_all(link, false);
        link->close = NEVER;
    }
}

/* ---- commands ------------------------------------------------------------------------------ */

static void stop(struct link *link, bool a, bool b)
{
    link->stopped[A] = a;
    link->stopped[B] = b;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

static bool obey_number(struct link *link, const char *command, const char *argument)
{
    uint64_t value;
    if (!parse_number(argument, &value))
        return false;
    if (strcmp(command, "delay") == 0)
        link->delay_us = value * 1000;
    else if (strcmp(command, "slow") == 0 && value > 0)
        link->rate = value;
    else if (strcmp(command, "close") == 0 && value > 0)
        link->close = value;
    else
        return false;
    return true;
}

/* False: there is no such command. */
static bool obey(struct link *link, const char *command, const char *argument)
{
    if (*argument && strcmp(command, "oneway") == 0 && (*argument == 'a' || *argument == 'b'))
        stop(link, *argument == 'b', *argument == 'a');
    else if (*argument)
        return obey_number(link, command, argument);
    else if (strcmp(command, "cut") == 0)
        stop(link, true, true);
    else if (strcmp(command, "reset") == 0)
        end_all(link, true);
    else if (strcmp(command, "heal") == 0) {
        stop(link, false, false);
        link->delay_us = link->rate = 0;
        link->close = NEVER;
    } else if (strcmp(command, "count") == 0)
        printf("count %llu %llu %llu\n", (unsigned long long)link->accepted,
               (unsigned long long)link->passed[A], (unsigned long long)link->passed[B]);
    else
        return false;
    return true;
}

static void obey_line(char *line)
{
    char *rest = line;
    const char *which = strsep(&rest, " ");
    const char *command = rest ? strsep(&rest, " ") : "";
    bool all = strcmp(which, "all") == 0;
    uint64_t number = 0;
    if (!all && (!parse_number(which, &number) || number >= n_links)) {
        printf("error: there is no link '%s'\n", which);
        return;
    }
    for (uint64_t i = all ? 0 : number; i < (all ? n_links : number + 1); i++)
        if (!obey(&links[i], command, rest ? rest : "")) {
            printf("error: '%s' is no command, or wants another argument\n", command);
            return;
        }
    printf("ok\n");
}

/* False: standard input has ended. */
static bool hear(void)
{
    static char text[LINE_SIZE];
    static size_t used;
    ssize_t n = read(STDIN_FILENO, text + used, sizeof text - used);
    if (n <= 0)
        return false;
    used += (size_t)n;
    for (char *end; (end = memchr(text, '\n', used));) {
        *end = '\0';
        obey_line(text);
        size_t line = (size_t)(end - text) + 1;
        memmove(text, text + line, used -= line);
    }
    fflush(stdout);
    return used < sizeof text; /* nobody says such long lines */
}

/* ---- the program --------------------------------------------------------------------------- */

static bool listen_for(uint64_t target)
{
    struct link *link = &links[n_links];
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (n_links == LINKS_MAX || target == 0 || target > UINT16_MAX)
        return false;
    *link = (struct link){ .target = (uint16_t)target, .close = NEVER };
    link->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->listener < 0 ||
        bind(link->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(link->listener, 64) != 0 ||
        getsockname(link->listener, (struct sockaddr *)&address, &size) != 0)
        return false;
    printf("listen %zu %u\n", n_links++, ntohs(address.sin_port));
    return true;
}

static bool serve(void)
{
    static struct round round;
    uint64_t now = now_us();
    watch(&round, now);
    struct timespec left = { .tv_sec = 3600 };
    if (round.next_us != NEVER)
        left = (struct timespec){ .tv_sec = (time_t)((round.next_us - now) / 1000000),
                                  .tv_nsec = (long)((round.next_us - now) % 1000000) * 1000 };
    if (ppoll(round.fds, ARRAY_LEN(round.fds), &left, NULL) < 0)
        return errno == EINTR;
    now = now_us();
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (connections[i])
            serve_connection(&round, i, now);
    for (size_t i = 0; i < n_links; i++)
        if (round.fds[1 + i].revents)
            accept_one(&links[i]);
    return round.fds[0].revents == 0 || hear();
}

int main(int argc, char **argv)
{
    uint64_t port;
    for (int i = 1; i < argc; i++)
        if (!parse_number(argv[i], &port) || !listen_for(port)) {
            fprintf(stderr, "fault_proxy: no listener for port '%s'\n", argv[i]);
            return 1;
        }
    if (argc < 2) {
        fprintf(stderr, "usage: fault_proxy PORT...\n");
        return 2;
    }
    printf("ready\n");
    fflush(stdout);
    while (serve())
        ;
    for (size_t i = 0; i < n_links; i++)
        end_all(&links[i], true);
    return 0;
}
