// libmodbus' client. The calls are those of calling.py that libmodbus knows, one in each argument:
//
//     libmodbus-client PORT 'read holding 100 3' 'write coil 3 1' …

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { unit = 1, most_values = 2048 };

// The numbers after the words of a call.
struct call {
    char words[32];
    int numbers[most_values];
    int count;
};

static struct call parse(const char *text)
{
    static struct call call;
    memset(&call, 0, sizeof call);
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        char *end;
        long number = strtol(text, &end, 10);
        if (end == text) {
            snprintf(call.words + strlen(call.words), sizeof call.words - strlen(call.words), "%s%.*s",
                call.words[0] == '\0' ? "" : " ", (int)length, text);
        } else if (call.count < most_values) {
            call.numbers[call.count++] = (int)number;
        }
        text += length + strspn(text + length, " ");
    }
    return call;
}

static void print_result(int status, int count, const uint16_t *registers, const uint8_t *bits)
{
    if (status < 0 && errno > MODBUS_ENOBASE && errno < EMBXGTAR + 1) {
        printf("exception %d\n", errno - MODBUS_ENOBASE);
    } else if (status < 0) {
        printf("error %s\n", modbus_strerror(errno));
    } else {
        printf("ok");
        for (int i = 0; i < count; i++) printf(" %d", registers != NULL ? registers[i] : bits[i]);
        printf("\n");
    }
    fflush(stdout);
}

static void perform(modbus_t *context, const struct call *call)
{
    uint16_t registers[most_values] = {0};
    uint8_t bits[MODBUS_MAX_READ_BITS] = {0};
    const int *n = call->numbers;
    int (*read_bits)(modbus_t *, int, int, uint8_t *) = NULL;
    int (*read_registers)(modbus_t *, int, int, uint16_t *) = NULL;
    if (strcmp(call->words, "read coils") == 0) read_bits = modbus_read_bits;
    if (strcmp(call->words, "read discrete") == 0) read_bits = modbus_read_input_bits;
    if (strcmp(call->words, "read holding") == 0) read_registers = modbus_read_registers;
    if (strcmp(call->words, "read input") == 0) read_registers = modbus_read_input_registers;
    if (read_bits != NULL) {
        print_result(read_bits(context, n[0], n[1], bits), n[1], NULL, bits);
    } else if (read_registers != NULL) {
        print_result(read_registers(context, n[0], n[1], registers), n[1], registers, NULL);
    } else if (strcmp(call->words, "write coil") == 0) {
        print_result(modbus_write_bit(context, n[0], n[1]), 0, NULL, NULL);
    } else if (strcmp(call->words, "write register") == 0) {
        print_result(modbus_write_register(context, n[0], (uint16_t)n[1]), 0, NULL, NULL);
    } else if (strcmp(call->words, "write coils") == 0) {
        for (int i = 1; i < call->count; i++) bits[i - 1] = (uint8_t)n[i];
        print_result(modbus_write_bits(context, n[0], call->count - 1, bits), 0, NULL, NULL);
    } else if (strcmp(call->words, "write registers") == 0) {
        for (int i = 1; i < call->count; i++) registers[i - 1] = (uint16_t)n[i];
        print_result(modbus_write_registers(context, n[0], call->count - 1, registers), 0, NULL, NULL);
    } else if (strcmp(call->words, "mask") == 0) {
        print_result(modbus_mask_write_register(context, n[0], (uint16_t)n[1], (uint16_t)n[2]), 0, NULL, NULL);
    } else if (strcmp(call->words, "exchange") == 0) {
        uint16_t values[MODBUS_MAX_WR_WRITE_REGISTERS];
        for (int i = 3; i < call->count; i++) values[i - 3] = (uint16_t)n[i];
        print_result(
            modbus_write_and_read_registers(context, n[2], call->count - 3, values, n[0], n[1], registers), n[1],
            registers, NULL);
    } else if (strcmp(call->words, "serverid") == 0) {
        uint8_t text[MODBUS_MAX_PDU_LENGTH];
        int length = modbus_report_slave_id(context, sizeof text, text);
        if (length < 0) {
            print_result(length, 0, NULL, NULL);
        } else {
            printf("ok ");
            for (int i = 0; i < length; i++) printf("%02x", text[i]);
            printf("\n");
        }
    } else {
        fprintf(stderr, "libmodbus-client: no such call: %s\n", call->words);
        exit(64);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 64;
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    modbus_set_response_timeout(context, 10, 0);
    modbus_set_slave(context, unit);
    if (modbus_connect(context) != 0) {
        fprintf(stderr, "libmodbus-client: %s\n", modbus_strerror(errno));
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        struct call call = parse(argv[i]);
        perform(context, &call);
    }
    modbus_close(context);
    modbus_free(context);
    return 0;
}
