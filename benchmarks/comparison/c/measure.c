/* The clock, the window in which is counted, and the distribution of latencies. */
#define _GNU_SOURCE
#include "load.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A histogram with 64 buckets to each power of two: latencies to within 1.6 percent. */
#define FINE 64
#define BUCKETS (58 * FINE)
static uint64_t histogram[BUCKETS];

struct usage { /* seconds */
    double ran, waited;
};

static struct {
    uint64_t opens, closes, opened, closed; /* times: when it is to, and when it did */
    uint64_t answered, lost;
    uint64_t in_time;   /* of the answered: those before it closed */
    uint64_t idle;      /* nanoseconds awake without anything to do */
    struct usage own, server; /* when it opened; then what was used until it closed */
    bool open;
} window;

void fail(const char *what)
{
    perror(what);
    exit(2);
}

void differs(const char *what)
{
    fprintf(stderr, "wrong reply: %s\n", what);
    exit(3);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t own_processor(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* What all threads of a process have had of the processor, and how long they have waited for it while another had it. */
static struct usage usage_of(int pid)
{
    char path[300];
    struct usage usage = {0, 0};
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = pid ? opendir(path) : NULL;
    if (threads == NULL)
        return usage;
    for (struct dirent *thread; (thread = readdir(threads)) != NULL;) {
        unsigned long long ran, waited;
        snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", pid, thread->d_name);
        FILE *file = thread->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%llu %llu", &ran, &waited) == 2) {
            usage.ran += (double)ran / 1e9;
            usage.waited += (double)waited / 1e9;
        }
        fclose(file);
    }
    closedir(threads);
    return usage;
}

static struct usage usage_since(struct usage before, int pid)
{
    struct usage usage = usage_of(pid);
    return (struct usage){usage.ran - before.ran, usage.waited - before.waited};
}

void window_prepare(void)
{
    window.opens = now() + (uint64_t)(options.warm * 1e9);
}

static void window_open(uint64_t at)
{
    memset(histogram, 0, sizeof histogram);
    window.answered = window.lost = window.idle = 0;
    window.opened = at;
    window.closes = at + (uint64_t)(options.seconds * 1e9);
    window.own = usage_of(getpid());
    window.server = usage_of(options.server_pid);
    window.open = true;
}

static void window_close(uint64_t at)
{
    window.closed = at;
    window.in_time = window.answered;
    window.own = usage_since(window.own, getpid());
    window.server = usage_since(window.server, options.server_pid);
}

bool window_goes_on(uint64_t at)
{
    if (!window.open && at >= window.opens)
        window_open(at);
    if (!window.open || at < window.closes)
        return true;
    window_close(at);
    return false;
}

/* As epoll_wait, for a fiftieth of a second at most; or at once, when we are to stay awake. */
int next_events(int poller, struct epoll_event *events, int most)
{
    uint64_t asked = options.awake ? own_processor() : 0;
    int ready = epoll_wait(poller, events, most, options.awake ? 0 : 20);
    if (options.awake && ready == 0)
        window.idle += own_processor() - asked;
    return ready;
}

static int bucket(uint64_t value)
{
    if (value < FINE)
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - 6;
    return (shift + 1) * FINE + (int)((value >> shift) - FINE);
}

static double bucket_value(int number)
{
    if (number < FINE)
        return number;
    return (double)((uint64_t)(FINE + number % FINE) << (number / FINE - 1));
}

void answered(uint64_t sent, uint64_t at)
{
    histogram[bucket(at - sent)]++;
    window.answered++;
}

void lost(uint64_t requests)
{
    window.lost += requests;
}

uint64_t count_answered(void)
{
    return window.answered;
}

/* Microseconds within which so great a share of the requests was answered. */
static double percentile(double share)
{
    uint64_t wanted = (uint64_t)((double)window.answered * share), seen = 0;
    for (int number = 0; number < BUCKETS; number++) {
        seen += histogram[number];
        if (seen > wanted)
            return bucket_value(number) / 1e3;
    }
    return 0;
}

void report(const char *extra, ...)
{
    double seconds = (double)(window.closed - window.opened) / 1e9;
    double requests = (double)window.in_time;
    va_list values;
    printf("{\"requests\": %.0f, \"seconds\": %.6f, \"rate\": %.2f, \"lost\": %llu, ", requests, seconds, requests / seconds,
           (unsigned long long)window.lost);
    printf("\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, ", percentile(.5), percentile(.99), percentile(.999));
    va_start(values, extra);
    vprintf(extra, values);
    va_end(values);
    printf("\"cpu\": %.4f, ", requests > 0 ? window.server.ran * 1e6 / requests : 0);
    printf("\"server_busy\": %.4f, \"server_waited\": %.4f, ", window.server.ran / seconds, window.server.waited / seconds);
    printf("\"generator_busy\": %.4f, \"generator_waited\": %.4f}\n", (window.own.ran - (double)window.idle / 1e9) / seconds,
           window.own.waited / seconds);
}
