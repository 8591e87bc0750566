// A load generator for servers: as many connections as asked for, each with one read of 125 holding registers under
// way, all driven by one thread and epoll. It does as little as it can, so that the server is what is measured.
//
//     load PORT SECONDS CONNECTIONS
//
// Register i must hold i: the first and the last register of every answer are checked. Prints one line of JSON:
// requests, seconds, wrong.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { block = 125, blocks = 80, request_size = 12, answer_size = 9 + 2 * block, most_connections = 64 };

struct connection {
    int socket;
    unsigned number;
    int received;
    uint8_t answer[answer_size];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int start_of(unsigned number) { return (int)(number % blocks) * block; }

static void ask(struct connection *connection)
{
    int start = start_of(++connection->number);
    uint8_t request[request_size] = {(uint8_t)(connection->number >> 8), (uint8_t)connection->number, 0, 0, 0, 6, 1, 3,
        (uint8_t)(start >> 8), (uint8_t)start, 0, block};
    connection->received = 0;
    if (write(connection->socket, request, sizeof request) != (ssize_t)sizeof request) fail("write");
}

static struct connection open_connection(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct connection connection = {.socket = socket(AF_INET, SOCK_STREAM, 0)};
    int on = 1;
    if (connection.socket < 0 || connect(connection.socket, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("connect");
    }
    setsockopt(connection.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connection;
}

// Whether the answer is complete; counts it as wrong when it is not the one that was asked for.
static int receive(struct connection *connection, long *wrong)
{
    ssize_t count = read(connection->socket, connection->answer + connection->received,
        (size_t)(answer_size - connection->received));
    if (count <= 0) fail("read");
    connection->received += (int)count;
    if (connection->received < answer_size) return 0;
    const uint8_t *a = connection->answer;
    int start = start_of(connection->number);
    int first = a[9] << 8 | a[10], last = a[answer_size - 2] << 8 | a[answer_size - 1];
    if ((a[0] << 8 | a[1]) != (int)(connection->number & 0xFFFF) || first != start || last != start + block - 1) ++*wrong;
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 64;
    int count = atoi(argv[3]), poll = epoll_create1(0);
    if (count < 1 || count > most_connections) return 64;
    static struct connection connections[most_connections];
    for (int i = 0; i < count; i++) {
        connections[i] = open_connection(atoi(argv[1]));
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].socket, &event) != 0) fail("epoll_ctl");
    }
    for (int i = 0; i < count; i++) ask(&connections[i]);
    long requests = 0, wrong = 0;
    int warm = 0;
    double start = now(), end = start + 0.1;
    for (;;) {
        if (now() >= end) {
            if (warm) break;
            warm = 1;
            requests = 0;
            start = now();
            end = start + atof(argv[2]);
        }
        struct epoll_event events[most_connections];
        int ready = epoll_wait(poll, events, most_connections, 2000);
        if (ready <= 0) fail("no answer for 2 s");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = &connections[events[i].data.u32];
            if (!receive(connection, &wrong)) continue;
            requests++;
            ask(connection);
        }
    }
    printf("{\"requests\": %ld, \"seconds\": %f, \"wrong\": %ld}\n", requests, now() - start, wrong);
    return 0;
}
