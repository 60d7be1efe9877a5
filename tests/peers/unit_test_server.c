/* libmodbus' own unit-test-server, every line of it as its authors wrote it, at a place that the test chooses.
 * Usage: unit_test_server tcp | rtu DEVICE. Prints its port, or "ready", then serves until it is killed.
 *
 * What is ours: the port or the device; that it goes on when a connection was lost; and what its holding registers and
 * coils hold at first (its own client would write that): coils 0x130 UT_BITS_TAB, registers 0x160 UT_REGISTERS_TAB,
 * each further one address * 31 + 7, but 0x173, for which it sends a ready-made 0. */
#include <arpa/inet.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "unit-test.h"

static int listener;
static const char *device;

static modbus_mapping_t *filled(modbus_mapping_t *map) {
    if (map == NULL) {
        return NULL;
    }
    modbus_set_bits_from_bytes(map->tab_bits, 0, UT_BITS_NB, UT_BITS_TAB);
    for (int i = 0; i < UT_REGISTERS_NB_MAX; i++) {
        map->tab_registers[i] = (uint16_t)((UT_REGISTERS_ADDRESS + i) * 31 + 7);
    }
    memcpy(map->tab_registers, UT_REGISTERS_TAB, sizeof UT_REGISTERS_TAB);
    map->tab_registers[UT_REGISTERS_ADDRESS_BYTE_SLEEP_5_MS - UT_REGISTERS_ADDRESS] = 0;
    return map;
}

#define modbus_mapping_new_start_address(...) filled(modbus_mapping_new_start_address(__VA_ARGS__))
#define modbus_tcp_listen(server, connections) dup(listener)
#define modbus_new_rtu(path, ...) modbus_new_rtu(device, __VA_ARGS__)
#define main unit_test_server
#include "unit-test-server.c"
#undef modbus_tcp_listen
#undef main

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "tcp") == 0) {
        listener = modbus_tcp_listen(modbus_new_tcp("127.0.0.1", 0), 8);
        struct sockaddr_in bound;
        socklen_t size = sizeof bound;
        if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size) != 0) {
            perror("listen");
            return 1;
        }
        printf("%d\n", ntohs(bound.sin_port));
    } else if (argc == 3 && strcmp(argv[1], "rtu") == 0) {
        device = argv[2];
        printf("ready\n");
    } else {
        return 64;
    }
    fflush(stdout);
    /* It tells every byte that it sees, and nobody listens any more. */
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL) {
        return 1;
    }
    while (unit_test_server(2, argv) == 0) {
    }
    return 1;
}
