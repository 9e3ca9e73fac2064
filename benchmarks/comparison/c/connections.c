/* Connections that come and go, and connections that only stay. */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512
#define SOURCES 64

struct visit {
    int fd;
    bool asked;
    size_t message; /* where in the pattern it begins */
    size_t here;    /* octets of the reply */
    uint64_t begun;
};

static struct pattern messages;
static char room[64 * 1024];
static uint64_t failed;

/* A connection that begins; from many addresses of this host in turn, so that ports do not run out. */
static int connecting_stream(void)
{
    static uint32_t turn;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000100u + turn++ % SOURCES)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    if (fd < 0)
        fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0)
        fail("bind");
    if (connect(fd, (struct sockaddr *)&options.server, sizeof options.server) != 0 && errno != EINPROGRESS)
        fail("connect");
    return fd;
}

static void begin(int poller, struct visit *visit)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = visit};
    visit->begun = now();
    visit->fd = connecting_stream();
    visit->asked = false;
    visit->here = 0;
    visit->message = (visit->message + messages.size) % messages.period;
    epoll_ctl(poller, EPOLL_CTL_ADD, visit->fd, &event);
}

static bool ask(int poller, struct visit *visit)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = visit};
    visit->asked = true;
    epoll_ctl(poller, EPOLL_CTL_MOD, visit->fd, &event);
    return send(visit->fd, messages.octets + visit->message, messages.size, MSG_NOSIGNAL) == (ssize_t)messages.size;
}

/* Whether the visit goes on. */
static bool react(int poller, struct visit *visit, uint32_t events)
{
    if (!(events & EPOLLERR) && !visit->asked && ask(poller, visit))
        return true;
    ssize_t got = events & EPOLLERR || !visit->asked ? -1 : recv(visit->fd, room, sizeof room, 0);
    if (got <= 0) {
        failed++;
        return false;
    }
    if (visit->here + (size_t)got > messages.size || !matches(&messages, visit->message + visit->here, room, (size_t)got))
        differs("other octets than those that must come");
    visit->here += (size_t)got;
    if (visit->here < messages.size)
        return true;
    answered(visit->begun, now());
    return false;
}

int load_accepts(void)
{
    struct epoll_event events[EVENTS];
    int poller = epoll_create1(0);
    struct visit *visits = calloc((size_t)options.connections, sizeof *visits);
    messages = random_messages(options.size, false);
    for (int number = 0; number < options.connections; number++)
        begin(poller, &visits[number]);
    window_prepare();
    while (window_goes_on(now())) {
        int ready = next_events(poller, events, EVENTS);
        for (int number = 0; number < ready; number++) {
            struct visit *visit = events[number].data.ptr;
            if (react(poller, visit, events[number].events))
                continue;
            close(visit->fd);
            begin(poller, visit);
        }
    }
    report("\"failed\": %llu, ", (unsigned long long)failed);
    return 0;
}

/* One request and its reply, so that the connection is known to be served. */
static void converse(int fd, size_t message)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (send(fd, messages.octets + message, messages.size, MSG_NOSIGNAL) != (ssize_t)messages.size)
        fail("send");
    for (size_t here = 0; here < messages.size;) {
        if (poll(&readable, 1, 10000) != 1)
            differs("no reply for 10 seconds");
        ssize_t got = recv(fd, room, messages.size - here, 0);
        if (got <= 0 || !matches(&messages, message + here, room, (size_t)got))
            differs("other octets than those that must come");
        here += (size_t)got;
    }
}

int load_idle(void)
{
    messages = random_messages(options.size, false);
    for (int number = 0; number < options.connections; number++)
        converse(connected_stream(), (size_t)number * messages.size % messages.period);
    printf("{\"open\": %d}\n", options.connections);
    fflush(stdout);
    while (read(STDIN_FILENO, room, sizeof room) > 0)
        continue;
    return 0;
}
