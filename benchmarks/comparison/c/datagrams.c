/* Datagrams: each has a head that says when, by which socket and as which of its datagrams it was sent.
 *
 * On the loopback nothing overtakes: a reply to a later one means that those before it are lost.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define EVENTS 512
#define LARGEST 8192
#define PATIENCE 100000000u /* nanoseconds until what is under way counts as lost */
#define DRAIN 300000000u    /* nanoseconds in which replies still come after the flood */

struct head {
    uint64_t sent;
    uint64_t run; /* whose: a reply to a load that has ended may come to a socket that has its port now */
    uint32_t socket, number;
};

static uint64_t run;

struct endpoint {
    int fd;
    uint32_t number;    /* its own */
    uint32_t sent;      /* the number of the last datagram sent */
    uint32_t replied;   /* the number of the last whose reply has come */
    uint32_t abandoned; /* the number of the last that was given up; its reply may still come, and does not count */
    uint64_t heard;
};

/* The number of the last that is not under way any more. */
static uint32_t done(const struct endpoint *endpoint)
{
    return endpoint->replied > endpoint->abandoned ? endpoint->replied : endpoint->abandoned;
}

static char outgoing[BATCH][LARGEST], incoming[BATCH][LARGEST];
static struct iovec out_vectors[BATCH], in_vectors[BATCH];
static struct mmsghdr out[BATCH], in[BATCH];
static struct pattern bodies;

static void prepare(void)
{
    if (options.size < sizeof(struct head) + 1 || options.size > LARGEST) {
        fprintf(stderr, "a datagram has %zu to %d octets here\n", sizeof(struct head) + 1, LARGEST);
        exit(2);
    }
    run = now();
    bodies = random_messages(options.size - sizeof(struct head), false);
    for (int slot = 0; slot < BATCH; slot++) {
        out_vectors[slot] = (struct iovec){outgoing[slot], options.size};
        in_vectors[slot] = (struct iovec){incoming[slot], LARGEST};
        out[slot].msg_hdr = (struct msghdr){.msg_iov = &out_vectors[slot], .msg_iovlen = 1};
        in[slot].msg_hdr = (struct msghdr){.msg_iov = &in_vectors[slot], .msg_iovlen = 1};
    }
}

static const char *body(uint32_t number)
{
    return bodies.octets + (size_t)number * bodies.size % bodies.period;
}

static struct endpoint *open_endpoints(void)
{
    struct endpoint *endpoints = calloc((size_t)options.connections, sizeof *endpoints);
    int space = 4 << 20;
    for (int number = 0; number < options.connections; number++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &space, sizeof space);
        if (fd < 0 || connect(fd, (struct sockaddr *)&options.server, sizeof options.server) != 0)
            fail("socket");
        endpoints[number] = (struct endpoint){.fd = fd, .number = (uint32_t)number};
    }
    return endpoints;
}

static bool refused_for_now(void)
{
    return errno == EAGAIN || errno == ENOBUFS;
}

/* Send so many, in batches; fewer when the kernel takes no more. How many went. */
static int send_datagrams(struct endpoint *endpoint, int count)
{
    int gone = 0;
    while (gone < count) {
        int batch = count - gone < BATCH ? count - gone : BATCH;
        struct head head = {.sent = now(), .run = run, .socket = endpoint->number, .number = endpoint->sent};
        for (int slot = 0; slot < batch; slot++) {
            head.number++;
            memcpy(outgoing[slot], &head, sizeof head);
            memcpy(outgoing[slot] + sizeof head, body(head.number), bodies.size);
        }
        int taken = batch > 1 ? sendmmsg(endpoint->fd, out, (unsigned)batch, 0)
                              : send(endpoint->fd, outgoing[0], options.size, 0) < 0 ? -1 : 1;
        if (taken < 0 && !refused_for_now())
            fail("send");
        if (taken <= 0)
            break;
        endpoint->sent += (uint32_t)taken;
        gone += taken;
    }
    return gone;
}

static void check(struct endpoint *endpoint, const char *datagram, size_t size, uint64_t at)
{
    struct head head;
    memcpy(&head, datagram, sizeof head);
    if (size == options.size && head.run != run)
        return;
    if (size != options.size || head.socket != endpoint->number)
        differs("a datagram of another size, or of another socket");
    if (head.number <= endpoint->replied || head.number > endpoint->sent)
        differs("a datagram that was answered before, or never sent");
    if (memcmp(datagram + sizeof head, body(head.number), bodies.size) != 0)
        differs("other octets than those that must come");
    if (head.number > endpoint->abandoned) {
        lost(head.number - done(endpoint) - 1);
        answered(head.sent, at);
    }
    endpoint->replied = head.number;
}

/* Take a batch of replies, and check them; how many they are. */
static int receive_datagrams(struct endpoint *endpoint, int most)
{
    int got;
    if (most == 1) {
        ssize_t size = recv(endpoint->fd, incoming[0], LARGEST, 0);
        in[0].msg_len = (unsigned)size;
        got = size < 0 ? -1 : 1;
    } else {
        got = recvmmsg(endpoint->fd, in, BATCH, MSG_DONTWAIT, NULL);
    }
    if (got < 0 && !refused_for_now())
        fail("recv");
    uint64_t at = now();
    for (int slot = 0; slot < got; slot++)
        check(endpoint, incoming[slot], in[slot].msg_len, at);
    return got;
}

static void fill_window(struct endpoint *endpoint)
{
    endpoint->heard = now();
    send_datagrams(endpoint, options.window - (int)(endpoint->sent - done(endpoint)));
}

/* Endpoints that have heard nothing for so long: what they sent is lost. */
static void give_up(struct endpoint *endpoints, uint64_t at)
{
    for (int number = 0; number < options.connections; number++) {
        struct endpoint *endpoint = &endpoints[number];
        if (endpoint->heard + PATIENCE > at)
            continue;
        lost(endpoint->sent - done(endpoint));
        endpoint->abandoned = endpoint->sent;
        fill_window(endpoint);
    }
}

int load_datagrams(void)
{
    struct epoll_event events[EVENTS];
    int poller = epoll_create1(0);
    prepare();
    struct endpoint *endpoints = open_endpoints();
    uint64_t looked = now(), at;
    window_prepare();
    for (int number = 0; number < options.connections; number++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &endpoints[number]};
        epoll_ctl(poller, EPOLL_CTL_ADD, endpoints[number].fd, &event);
        fill_window(&endpoints[number]);
    }
    while (window_goes_on(at = now())) {
        int ready = next_events(poller, events, EVENTS);
        for (int number = 0; number < ready; number++)
            if (receive_datagrams(events[number].data.ptr, options.window) > 0)
                fill_window(events[number].data.ptr);
        if (at - looked > PATIENCE / 2)
            give_up(endpoints, looked = at);
    }
    report("%s", "");
    return 0;
}

static void collect(struct endpoint *endpoint)
{
    while (receive_datagrams(endpoint, BATCH) == BATCH)
        continue;
}

/* So many a second whatever comes back, each socket in its turn with what is due. There is no warm-up. */
int load_flood(void)
{
    options.warm = 0;
    prepare();
    struct endpoint *endpoints = open_endpoints();
    uint64_t sent = 0, begun = now(), at;
    window_prepare();
    for (int turn = 0; window_goes_on(at = now()); turn = (turn + 1) % options.connections) {
        uint64_t due = (uint64_t)((double)(at - begun) / 1e9 * options.rate) - sent;
        sent += (uint64_t)send_datagrams(&endpoints[turn], due < BATCH / 2 ? (int)due : BATCH / 2);
        collect(&endpoints[turn]);
    }
    double seconds = (double)(at - begun) / 1e9;
    for (int turn = 0; now() < at + DRAIN; turn = (turn + 1) % options.connections)
        collect(&endpoints[turn]);
    report("\"sent\": %.1f, \"loss\": %.4f, ", (double)sent / seconds, 100 - 100 * (double)count_answered() / (double)sent);
    return 0;
}
