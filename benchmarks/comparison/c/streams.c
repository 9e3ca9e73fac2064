/* Requests and replies over connections that stay: so many under way on each, the next when a reply has come.
 *
 * Edge-triggered: one recv a wake-up, unless it fills the buffer, and what may be sent then goes in one send.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (1 << 20)
#define EVENTS 512

struct stream {
    int fd;
    size_t unsent;            /* octets that are to be sent */
    size_t send_at, reply_at; /* where in the patterns the next octet is */
    size_t partial;           /* octets of the next reply that are here */
    uint64_t *sent;           /* a ring: when each request under way was sent */
    unsigned oldest, next;
    int replies; /* of the window that is under way, as a batch */
};

static struct pattern requests, replies;
static char room[ROOM];

static void transmit(struct stream *stream)
{
    while (stream->unsent > 0) {
        size_t run = stream->unsent < requests.period ? stream->unsent : requests.period;
        ssize_t taken = send(stream->fd, requests.octets + stream->send_at, run, MSG_NOSIGNAL);
        if (taken < 0 && errno == EAGAIN)
            return;
        if (taken < 0)
            fail("send");
        stream->unsent -= (size_t)taken;
        stream->send_at = (stream->send_at + (size_t)taken) % requests.period;
    }
}

static void request(struct stream *stream, int count)
{
    uint64_t at = now();
    for (int number = 0; number < count; number++)
        stream->sent[stream->next++ % (unsigned)options.window] = at;
    stream->unsent += (size_t)count * requests.size;
}

/* Compare what has come; how many replies are complete with it. */
static int receive(struct stream *stream)
{
    size_t octets = stream->partial;
    ssize_t got;
    do {
        got = recv(stream->fd, room, ROOM, 0);
        if (got < 0 && errno == EAGAIN)
            break;
        if (got < 0)
            fail("recv");
        if (got == 0)
            differs("the server has closed a connection");
        if (!matches(&replies, stream->reply_at, room, (size_t)got))
            differs("other octets than those that must come");
        stream->reply_at = (stream->reply_at + (size_t)got) % replies.period;
        octets += (size_t)got;
    } while (got == ROOM);
    stream->partial = octets % replies.size;
    return (int)(octets / replies.size);
}

static void count_replies(struct stream *stream, int complete)
{
    uint64_t at = now();
    for (int number = 0; number < complete; number++) {
        if (stream->oldest == stream->next)
            differs("a reply to no request");
        answered(stream->sent[stream->oldest++ % (unsigned)options.window], at);
    }
}

static void react(struct stream *stream, uint32_t events)
{
    if (events & EPOLLIN) {
        int complete = receive(stream);
        count_replies(stream, complete);
        stream->replies += complete;
        if (!options.batch || stream->replies == options.window) {
            request(stream, stream->replies);
            stream->replies = 0;
        }
    }
    transmit(stream);
}

static struct stream *open_streams(int poller)
{
    struct stream *streams = calloc((size_t)options.connections, sizeof *streams);
    for (int number = 0; number < options.connections; number++) {
        struct stream *stream = &streams[number];
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = stream};
        stream->fd = connected_stream();
        stream->sent = calloc((size_t)options.window, sizeof *stream->sent);
        if (replies.hole_end == 0) /* each connection begins with another message */
            stream->send_at = stream->reply_at = (size_t)number * requests.size % requests.period;
        epoll_ctl(poller, EPOLL_CTL_ADD, stream->fd, &event);
    }
    return streams;
}

static int exchange(void)
{
    struct epoll_event events[EVENTS];
    int poller = epoll_create1(0);
    struct stream *streams = open_streams(poller);
    window_prepare();
    for (int number = 0; number < options.connections; number++) {
        request(&streams[number], options.window);
        transmit(&streams[number]);
    }
    while (window_goes_on(now())) {
        int ready = next_events(poller, events, EVENTS);
        for (int number = 0; number < ready; number++)
            react(events[number].data.ptr, events[number].events);
    }
    report("%s", "");
    return 0;
}

int load_echo(bool lines)
{
    requests = replies = random_messages(options.size, lines);
    return exchange();
}

/* The whole first response: its head says how long its body is. */
static size_t first_response(int fd)
{
    size_t have = 0, whole = 0;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    while (whole == 0 || have < whole) {
        if (poll(&readable, 1, 10000) != 1)
            differs("no response for 10 seconds");
        ssize_t got = recv(fd, room + have, ROOM - 1 - have, 0);
        if (got <= 0)
            differs("the server has closed the connection within a response");
        have += (size_t)got;
        room[have] = '\0';
        char *end = strstr(room, "\r\n\r\n"), *length = strcasestr(room, "\r\ncontent-length: ");
        if (end != NULL && length != NULL && length < end)
            whole = (size_t)(end + 4 - room) + strtoul(length + 18, NULL, 10);
        else if (end != NULL)
            differs("a response without its length");
    }
    if (have != whole)
        differs("more than one response");
    return whole;
}

/* What every response must be: the first, whose body is the alphabet over and over; only the date may change. */
static struct pattern learn_responses(const char *text)
{
    int fd = connected_stream();
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        fail("send");
    size_t size = first_response(fd), head = size - options.size;
    close(fd);
    if (strncmp(room, "HTTP/1.1 200 ", 13) != 0 || size < options.size || memcmp(room + head - 4, "\r\n\r\n", 4) != 0)
        differs("not a page of that size");
    for (size_t at = head; at < size; at++)
        if (room[at] != (char)('a' + (at - head) % 26))
            differs("not the page that is served");
    struct pattern responses = one_message(room, size);
    char *date = strcasestr(room, "\r\ndate: ");
    if (date != NULL) {
        responses.hole = (size_t)(date + 2 - room);
        responses.hole_end = (size_t)(strstr(date + 2, "\r\n") - room);
    }
    return responses;
}

int load_web(void)
{
    const char *text = "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: comparison\r\nAccept: */*\r\n\r\n";
    requests = one_message(text, strlen(text));
    replies = learn_responses(text);
    return exchange();
}
