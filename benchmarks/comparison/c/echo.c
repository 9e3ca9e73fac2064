/* The C server of the comparison: what one thread can do with epoll and recv, or with recvfrom and sendto.
 *
 *     echo echo|lines|datagrams
 *
 * Prints its port when it listens, and ends at the end of its standard input. As uvloop and asyncio do, it sets TCP_NODELAY. It is
 * the measure for the others, so it does what they must and no more; `lines` finds every line, and sends the lines of one read together.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (256 * 1024)
#define EVENTS 512

struct connection {
    int fd;
    char *unsent; /* allocated; what the kernel did not take, from `sent` to `size` */
    size_t sent, size;
    char *partial; /* allocated; the beginning of a line */
    size_t begun;
};

static char room[2 * ROOM]; /* the beginning of a line, and a read */
static int poller;
static bool by_lines;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void *end_with_input(void *nothing)
{
    char octets[64];
    while (read(STDIN_FILENO, octets, sizeof octets) > 0)
        continue;
    _exit(0);
    return nothing;
}

static int bound(int kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, kind, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || (kind & SOCK_STREAM && listen(fd, 4096) != 0))
        fail("bind");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int operation, struct connection *connection, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event) != 0)
        fail("epoll_ctl");
}

static void drop(struct connection *connection)
{
    close(connection->fd);
    free(connection->unsent);
    free(connection->partial);
    free(connection);
}

static void accept_all(int listening)
{
    for (int fd, yes = 1; (fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *connection = calloc(1, sizeof *connection);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connection->fd = fd;
        watch(EPOLL_CTL_ADD, connection, EPOLLIN);
    }
}

/* Send, and keep what the kernel does not take; nothing is read until that is gone. Whether the connection lives. */
static bool reply(struct connection *connection, const char *octets, size_t size)
{
    ssize_t taken = send(connection->fd, octets, size, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN)
        return false;
    size_t sent = taken < 0 ? 0 : (size_t)taken;
    if (sent == size)
        return true;
    connection->size = size - sent;
    connection->sent = 0;
    connection->unsent = malloc(connection->size);
    memcpy(connection->unsent, octets + sent, connection->size);
    watch(EPOLL_CTL_MOD, connection, EPOLLOUT);
    return true;
}

static bool continue_reply(struct connection *connection)
{
    ssize_t taken = send(connection->fd, connection->unsent + connection->sent, connection->size - connection->sent, MSG_NOSIGNAL);
    if (taken < 0)
        return errno == EAGAIN;
    connection->sent += (size_t)taken;
    if (connection->sent == connection->size) {
        free(connection->unsent);
        connection->unsent = NULL;
        watch(EPOLL_CTL_MOD, connection, EPOLLIN);
    }
    return true;
}

/* Keep the beginning of a line. Whether it is of any length that a line may have. */
static bool keep(struct connection *connection, const char *octets, size_t count)
{
    if (count > ROOM)
        return false;
    if (connection->partial == NULL && count > 0)
        connection->partial = malloc(ROOM);
    if (count > 0)
        memcpy(connection->partial, octets, count);
    connection->begun = count;
    return true;
}

/* Every complete line, and with the end that it had, so that they go out as they lie there. */
static bool reply_lines(struct connection *connection, size_t count)
{
    size_t complete = 0;
    for (char *end; (end = memmem(room + complete, count - complete, "\r\n", 2)) != NULL;)
        complete = (size_t)(end + 2 - room);
    return keep(connection, room + complete, count - complete) && (complete == 0 || reply(connection, room, complete));
}

static bool react(struct connection *connection)
{
    if (connection->unsent != NULL)
        return continue_reply(connection);
    if (connection->begun > 0)
        memcpy(room, connection->partial, connection->begun);
    ssize_t got = recv(connection->fd, room + connection->begun, ROOM, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    return by_lines ? reply_lines(connection, connection->begun + (size_t)got) : reply(connection, room, (size_t)got);
}

static void serve_streams(void)
{
    struct epoll_event events[EVENTS];
    poller = epoll_create1(0);
    struct connection listening = {.fd = bound(SOCK_STREAM | SOCK_NONBLOCK)};
    watch(EPOLL_CTL_ADD, &listening, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int number = 0; number < ready; number++) {
            struct connection *connection = events[number].data.ptr;
            if (connection == &listening)
                accept_all(listening.fd);
            else if (!react(connection))
                drop(connection);
        }
    }
}

static void serve_datagrams(void)
{
    struct sockaddr_in peer;
    int fd = bound(SOCK_DGRAM);
    for (;;) {
        socklen_t size = sizeof peer;
        ssize_t got = recvfrom(fd, room, ROOM, 0, (struct sockaddr *)&peer, &size);
        if (got >= 0)
            sendto(fd, room, (size_t)got, 0, (struct sockaddr *)&peer, size);
    }
}

int main(int count, char **words)
{
    pthread_t thread;
    if (count != 2 || pthread_create(&thread, NULL, end_with_input, NULL) != 0)
        return 2;
    by_lines = strcmp(words[1], "lines") == 0;
    if (strcmp(words[1], "datagrams") == 0)
        serve_datagrams();
    serve_streams();
}
