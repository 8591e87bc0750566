// libmodbus' server, as its documentation builds one for many connections: select() in one thread.
//
//     libmodbus-server [SIZE]
//
// Prints `listening PORT`. Four tables of SIZE addresses on 127.0.0.1: register i holds i, bit i holds i AND 1. Ends on
// SIGTERM, or when standard input closes because its parent has died.

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static int listening_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0
        || listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("libmodbus-server: listen");
        exit(1);
    }
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static modbus_mapping_t *tables(int size)
{
    modbus_mapping_t *map = modbus_mapping_new(size, size, size, size);
    if (map == NULL) {
        fprintf(stderr, "libmodbus-server: %s\n", modbus_strerror(errno));
        exit(1);
    }
    for (int i = 0; i < size; i++) {
        map->tab_bits[i] = map->tab_input_bits[i] = i & 1;
        map->tab_registers[i] = map->tab_input_registers[i] = (uint16_t)i;
    }
    return map;
}

// One request of one connection; false when the connection has ended. A request that libmodbus refuses it has
// answered itself, with an exception.
static int serve(modbus_t *context, modbus_mapping_t *map, int connection)
{
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(context, connection);
    int length = modbus_receive(context, request);
    if (length > 0) modbus_reply(context, request, length, map);
    return length >= 0;
}

int main(int argc, char **argv)
{
    modbus_mapping_t *map = tables(argc > 1 ? atoi(argv[1]) : 10000);
    modbus_t *context = modbus_new_tcp("127.0.0.1", 502);
    int listener = listening_socket(), last = listener;
    fd_set watched;
    FD_ZERO(&watched);
    FD_SET(STDIN_FILENO, &watched);
    FD_SET(listener, &watched);
    for (;;) {
        fd_set ready = watched;
        if (select(last + 1, &ready, NULL, NULL, NULL) < 0) {
            if (errno == EINTR) continue;
            perror("libmodbus-server: select");
            return 1;
        }
        char ignored[64];
        if (FD_ISSET(STDIN_FILENO, &ready) && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) return 0;
        for (int fd = STDIN_FILENO + 1; fd <= last; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == listener) {
                int on = 1, connection = accept(listener, NULL, NULL);
                if (connection < 0) continue;
                if (connection >= FD_SETSIZE) { close(connection); continue; }
                setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // libmodbus itself forgets it
                FD_SET(connection, &watched);
                if (connection > last) last = connection;
            } else if (!serve(context, map, fd)) {
                close(fd);
                FD_CLR(fd, &watched);
            }
        }
    }
}
