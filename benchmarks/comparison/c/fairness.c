/* Small round trips beside a peer that sends blocks without end, and takes back what it has sent.
 *
 * This thread does little at a time for the greedy peer, and looks after the small one first: what is measured is how long the
 * server lets it wait.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define BLOCK (64 * 1024)

struct peer {
    int fd;
    struct pattern pattern;
    size_t send_at, reply_at;
    uint64_t octets; /* that came back */
};

static char room[BLOCK];

/* Send what is still to be sent of the message that is under way; whether the kernel took all of it. */
static bool give(struct peer *peer)
{
    size_t size = peer->pattern.size, left = size - peer->send_at % size;
    ssize_t taken = send(peer->fd, peer->pattern.octets + peer->send_at, left, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN)
        fail("send");
    if (taken > 0)
        peer->send_at = (peer->send_at + (size_t)taken) % peer->pattern.period;
    return taken == (ssize_t)left;
}

static void take(struct peer *peer)
{
    ssize_t got = recv(peer->fd, room, BLOCK, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        fail("recv");
    if (got == 0 || !matches(&peer->pattern, peer->reply_at, room, (size_t)got))
        differs("other octets than those that must come");
    peer->reply_at = (peer->reply_at + (size_t)got) % peer->pattern.period;
    peer->octets += (uint64_t)got;
}

static uint64_t round_trip(struct peer *small, uint64_t sent)
{
    uint64_t before = small->octets / small->pattern.size;
    take(small);
    if (small->octets / small->pattern.size == before)
        return sent;
    answered(sent, now());
    sent = now();
    if (!give(small))
        differs("a small request fills the send buffer");
    return sent;
}

static void watch(int poller, struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(poller, EPOLL_CTL_ADD, peer->fd, &event);
}

int load_fairness(void)
{
    struct peer small = {.fd = connected_stream(), .pattern = random_messages(options.size, false)};
    struct peer greedy = {.fd = connected_stream(), .pattern = random_messages(BLOCK, false)};
    struct epoll_event events[2];
    int poller = epoll_create1(0);
    uint64_t sent = now();
    watch(poller, &small, EPOLLIN);
    watch(poller, &greedy, EPOLLIN | EPOLLOUT);
    window_prepare();
    give(&small);
    while (window_goes_on(now())) {
        uint32_t ready = 0;
        for (int number = next_events(poller, events, 2); number-- > 0;) {
            if (events[number].data.ptr == &small)
                sent = round_trip(&small, sent);
            else
                ready = events[number].events;
        }
        if (ready & EPOLLIN)
            take(&greedy);
        if (ready & EPOLLOUT)
            give(&greedy);
    }
    if (count_answered() == 0) /* how long it has waited is the least that can be said */
        answered(sent, now());
    report("\"greedy\": %.1f, ", (double)greedy.octets / 1e6 / (options.warm + options.seconds));
    return 0;
}
