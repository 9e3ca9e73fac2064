/* What is sent, how replies are compared with it, and a connection to send it on. */
#define _GNU_SOURCE
#include "load.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LEAST_PERIOD (64 * 1024)

static char letter(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u; /* xorshift: the same letters in every run */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (char)('a' + state % 26);
}

static struct pattern empty_pattern(size_t size, size_t messages)
{
    struct pattern pattern = {.period = size * messages, .size = size};
    pattern.octets = malloc(2 * pattern.period);
    if (pattern.octets == NULL)
        fail("malloc");
    return pattern;
}

/* Messages of random letters; as lines, each ends with CR LF. */
struct pattern random_messages(size_t size, bool lines)
{
    struct pattern pattern = empty_pattern(size, size < LEAST_PERIOD / 4 ? LEAST_PERIOD / size : 4);
    for (size_t at = 0; at < pattern.period; at++)
        pattern.octets[at] = letter();
    for (size_t end = size; lines && end <= pattern.period; end += size)
        memcpy(pattern.octets + end - 2, "\r\n", 2);
    memcpy(pattern.octets + pattern.period, pattern.octets, pattern.period);
    return pattern;
}

/* The one message over and over. */
struct pattern one_message(const char *octets, size_t size)
{
    struct pattern pattern = empty_pattern(size, 1);
    memcpy(pattern.octets, octets, size);
    memcpy(pattern.octets + size, octets, size);
    return pattern;
}

/* Whether these octets are those of the pattern from there on, but for the holes. */
bool matches(const struct pattern *pattern, size_t at, const char *octets, size_t count)
{
    while (count > 0) {
        size_t within = at % pattern->size, run = pattern->period - at;
        bool compared = true;
        if (pattern->hole_end > 0) {
            compared = within < pattern->hole || within >= pattern->hole_end;
            run = (within < pattern->hole ? pattern->hole : within < pattern->hole_end ? pattern->hole_end : pattern->size) - within;
        }
        if (run > count)
            run = count;
        if (compared && memcmp(pattern->octets + at, octets, run) != 0)
            return false;
        octets += run;
        count -= run;
        at = (at + run) % pattern->period;
    }
    return true;
}

/* A connection to the server; it does not block. */
int connected_stream(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0)
        fail("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&options.server, sizeof options.server) != 0)
        fail("connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}
