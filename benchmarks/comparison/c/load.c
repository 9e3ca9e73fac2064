/* The load generator's command line.
 *
 *     load echo|lines|web|fairness|accepts|idle|datagrams|flood --port PORT [--connections 1] [--size 64] [--window 1] [--batch] [--awake]
 *          [--warm 0.3] [--seconds 1] [--rate 400000] [--server PID]
 *
 * The server is on 127.0.0.1. What is measured is printed as one line of JSON; times are microseconds. `idle` prints a line when
 * its connections are open, and holds them until the end of its standard input. Status 2: a system call failed; 3: a wrong reply.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct options options = {.connections = 1, .size = 64, .window = 1, .warm = 0.3, .seconds = 1, .rate = 400000};

static const struct option names[] = {
    {"port", required_argument, NULL, 'p'},   {"connections", required_argument, NULL, 'c'},
    {"size", required_argument, NULL, 's'},   {"window", required_argument, NULL, 'w'},
    {"awake", no_argument, NULL, 'a'},        {"batch", no_argument, NULL, 'b'},        {"warm", required_argument, NULL, 'x'},
    {"seconds", required_argument, NULL, 'd'}, {"rate", required_argument, NULL, 'r'},
    {"server", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0},
};

static void take_option(int name)
{
    switch (name) {
    case 'p': options.server.sin_port = htons((uint16_t)atoi(optarg)); break;
    case 'c': options.connections = atoi(optarg); break;
    case 's': options.size = strtoul(optarg, NULL, 10); break;
    case 'w': options.window = atoi(optarg); break;
    case 'a': options.awake = true; break;
    case 'b': options.batch = true; break;
    case 'x': options.warm = atof(optarg); break;
    case 'd': options.seconds = atof(optarg); break;
    case 'r': options.rate = atof(optarg); break;
    case 'k': options.server_pid = atoi(optarg); break;
    default: exit(2);
    }
}

static void allow_many_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const char *mode)
{
    if (strcmp(mode, "echo") == 0 || strcmp(mode, "lines") == 0)
        return load_echo(strcmp(mode, "lines") == 0);
    if (strcmp(mode, "web") == 0)
        return load_web();
    if (strcmp(mode, "fairness") == 0)
        return load_fairness();
    if (strcmp(mode, "accepts") == 0)
        return load_accepts();
    if (strcmp(mode, "idle") == 0)
        return load_idle();
    if (strcmp(mode, "datagrams") == 0)
        return load_datagrams();
    if (strcmp(mode, "flood") == 0)
        return load_flood();
    fprintf(stderr, "no such load: %s\n", mode);
    return 2;
}

int main(int count, char **words)
{
    options.server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int name; (name = getopt_long(count, words, "", names, NULL)) != -1;)
        take_option(name);
    if (optind != count - 1 || options.server.sin_port == 0 || options.connections < 1 || options.window < 1 || options.size < 2) {
        fprintf(stderr, "usage: load KIND --port PORT [options]; its source says which\n");
        return 2;
    }
    allow_many_files();
    return run(words[optind]);
}
