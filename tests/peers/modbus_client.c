/* A Modbus TCP client by libmodbus. Usage: modbus_client PORT. Reads and tries to write what the test's simulated PLC
 * holds, and prints each outcome on a line. */
#include <errno.h>
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>

static void said(const char *what, int got, int count, const uint16_t *registers, const uint8_t *bits) {
    printf("%s:", what);
    if (got < 0) {
        printf(" %s", modbus_strerror(errno));
    }
    for (int i = 0; got >= 0 && i < count; i++) {
        printf(" %d", registers != NULL ? registers[i] : bits[i]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    modbus_t *plc = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0);
    if (plc == NULL || modbus_connect(plc) != 0) {
        perror("connect");
        return 1;
    }
    uint16_t registers[10];
    uint8_t bits[10];
    said("holding 10+4", modbus_read_registers(plc, 10, 4, registers), 4, registers, NULL);
    said("holding 9+1", modbus_read_registers(plc, 9, 1, registers), 1, registers, NULL);
    said("input 5+1", modbus_read_input_registers(plc, 5, 1, registers), 1, registers, NULL);
    said("input 6+1", modbus_read_input_registers(plc, 6, 1, registers), 1, registers, NULL);
    said("coils 3+2", modbus_read_bits(plc, 3, 2, bits), 2, NULL, bits);
    said("write register", modbus_write_register(plc, 10, 1), 0, registers, NULL);
    said("write coil", modbus_write_bit(plc, 3, 1), 0, registers, NULL);
    modbus_close(plc);
    return 0;
}
