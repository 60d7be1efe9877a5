/* A Modbus RTU server by libmodbus. Usage: modbus_rtu_server DEVICE UNIT. Prints "ready", then serves until it is killed.
 *
 * Holding and input registers 0-299 hold address * 31 + 7; coils and discrete inputs 0-99 are set where the address is
 * divisible by 3. What lies outside is exception 02. */
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        return 64;
    }
    modbus_t *server = modbus_new_rtu(argv[1], 19200, 'E', 8, 1);
    modbus_mapping_t *map = modbus_mapping_new(100, 100, 300, 300);
    if (server == NULL || map == NULL || modbus_set_slave(server, atoi(argv[2])) < 0 || modbus_connect(server) < 0) {
        perror("open");
        return 1;
    }
    for (int i = 0; i < 300; i++) {
        map->tab_registers[i] = map->tab_input_registers[i] = (uint16_t)(i * 31 + 7);
    }
    for (int i = 0; i < 100; i++) {
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        uint8_t request[MODBUS_RTU_MAX_ADU_LENGTH];
        int length = modbus_receive(server, request);
        if (length > 0) {
            modbus_reply(server, request, length, map);
        }
    }
}
