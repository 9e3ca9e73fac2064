/* The load generator: what its parts share.
 *
 * One thread and one epoll. Closed loop: so many requests are under way on each connection, and the next is sent when a reply
 * has come; only the flood is an open loop. Every octet of every reply is compared with what it must be; the first that differs
 * ends the run with status 3. Only what happens in the window, which opens when the warm-up is over, is counted.
 */
#ifndef LOAD_H
#define LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct options {
    struct sockaddr_in server;
    int connections; /* or sockets, of datagrams */
    size_t size;     /* octets of a request */
    int window;      /* requests under way on each connection */
    bool awake;      /* ask for events without ever waiting, so that no server pays for waking us */
    bool batch;      /* send the next window only when the whole of the last has been answered */
    double warm;     /* seconds before the window opens */
    double seconds;  /* for which it is open */
    double rate;     /* datagrams a second, of the flood */
    int server_pid;  /* whose use of the processor is taken over the window; 0: nobody's */
};
extern struct options options;

/* measure.c: the clock, the window, the distribution of latencies */
uint64_t now(void);                                       /* nanoseconds */
void window_prepare(void);                                /* the warm-up begins */
bool window_goes_on(uint64_t at);                         /* opens the window in its time; false once it is over */
int next_events(int poller, struct epoll_event *events, int most);
void answered(uint64_t sent, uint64_t at);                /* one request, sent then, has its reply at this time */
void lost(uint64_t requests);                             /* so many have none */
uint64_t count_answered(void);                            /* since the window opened */
void report(const char *extra, ...) __attribute__((format(printf, 1, 2))); /* one line of JSON */
void fail(const char *what) __attribute__((noreturn));    /* a system call has failed: status 2 */
void differs(const char *what) __attribute__((noreturn)); /* a reply is wrong: status 3 */

/* pattern.c: what is sent */
struct pattern {
    char *octets;  /* `period` octets, and the same again behind them: any run shorter than that is in one piece */
    size_t period; /* of whole messages, no two alike */
    size_t size;   /* of one message */
    size_t hole, hole_end; /* within each message: what is not compared */
};
struct pattern random_messages(size_t size, bool lines);
struct pattern one_message(const char *octets, size_t size);
bool matches(const struct pattern *pattern, size_t at, const char *octets, size_t count);
int connected_stream(void);

/* The ways to load a server; each prints its report. */
int load_echo(bool lines); /* streams.c: requests and replies over connections that stay */
int load_web(void);        /* streams.c: the same page again and again */
int load_fairness(void);   /* fairness.c: small round trips beside a peer that sends without end */
int load_accepts(void);    /* connections.c: connect, echo, close */
int load_idle(void);       /* connections.c: hold connections open until the end of standard input */
int load_datagrams(void);  /* datagrams.c: closed loop */
int load_flood(void);      /* datagrams.c: open loop */

#endif
