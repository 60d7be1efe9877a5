/* A Modbus TCP server by libmodbus. Usage: modbus_server PORT (0: any free one). Prints its port, then serves one
 * connection after the other until it is killed.
 *
 * Holding registers 0-299 and input registers 1000-1099 hold address * 31 + 7; coils 0-99 and discrete inputs 0-99 are
 * set where the address is divisible by 3. Holding register 0 counts the requests. What lies outside is exception 02. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    modbus_t *server = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0);
    modbus_mapping_t *map = modbus_mapping_new_start_address(0, 100, 0, 100, 0, 300, 1000, 100);
    if (server == NULL || map == NULL) {
        return 1;
    }
    for (int i = 0; i < 300; i++) {
        map->tab_registers[i] = (uint16_t)(i * 31 + 7);
    }
    for (int i = 0; i < 100; i++) {
        map->tab_input_registers[i] = (uint16_t)((1000 + i) * 31 + 7);
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
    }
    int listener = modbus_tcp_listen(server, 1);
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size) != 0) {
        perror("listen");
        return 1;
    }
    printf("%d\n", ntohs(bound.sin_port));
    fflush(stdout);
    map->tab_registers[0] = 0;
    while (modbus_tcp_accept(server, &listener) >= 0) {
        uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
        int length;
        while ((length = modbus_receive(server, request)) >= 0) {
            map->tab_registers[0]++;
            if (length > 0 && modbus_reply(server, request, length, map) < 0 && errno != EMBXILADD) {
                break;
            }
        }
        modbus_close(server);
    }
    return 1;
}
