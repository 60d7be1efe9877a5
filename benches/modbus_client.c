/* A Modbus TCP client by libmodbus. Usage: modbus_client PORT REGISTERS REQUESTS. Reads that many holding registers so
 * often, one request in flight, and prints the seconds that it took and those of the processor, of this process alone. */
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int ask(modbus_t *plc, int registers, long requests) {
    uint16_t held[MODBUS_MAX_READ_REGISTERS];
    for (long n = 0; n < requests; n++) {
        /* From 1 on: the server counts in register 0. */
        if (modbus_read_registers(plc, 1, registers, held) != registers || held[0] != 1 * 31 + 7) {
            perror("read");
            return -1;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        return 64;
    }
    int registers = atoi(argv[2]);
    long requests = atol(argv[3]);
    modbus_t *plc = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    if (plc == NULL || modbus_connect(plc) != 0) {
        perror("connect");
        return 1;
    }
    /* What is done once is no part of it. */
    if (ask(plc, registers, requests / 100) != 0) {
        return 1;
    }
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (ask(plc, registers, requests) != 0) {
        return 1;
    }
    printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    modbus_close(plc);
    return 0;
}
