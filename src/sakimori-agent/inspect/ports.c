/* Ports that are listened to from outside: /proc/net/{tcp,udp}{,6}; of UDP only those that are no client's. */
#include "sakimori-agent/inspect/inspect.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { LISTEN = 0x0A, UDP_OPEN = 0x07, UDP_CLIENTS = 32768 };

/* Hexadecimal digits of the kernel: 32-bit words in this machine's order. */
static bool hex_address(struct sm_span text, uint8_t ret[16], bool *ret_six)
{
    if (text.n != 8 && text.n != 32)
        return false;
    for (size_t w = 0; w < text.n / 8; w++) {
        uint8_t b[4];
        if (sm_unhex((const char *)text.p + w * 8, 8, b, 4))
            return false;
        uint32_t v = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        memcpy(ret + w * 4, &v, 4);
    }
    *ret_six = text.n == 32;
    return true;
}

static bool is_local(const uint8_t *a, bool six)
{
    static const uint8_t one[16] = {[15] = 1}, mapped[13] = {[10] = 0xFF, [11] = 0xFF, [12] = 127};
    return six ? memcmp(a, one, 16) == 0 || memcmp(a, mapped, 13) == 0 : a[0] == 127;
}

/* The n-th word of a line with any number of blanks between. */
static struct sm_span word(struct sm_span line, unsigned n)
{
    for (;;) {
        while (line.n && line.p[0] == ' ') {
            line.p++;
            line.n--;
        }
        struct sm_span w = inspect_field(line, ' ', 0);
        if (n-- == 0 || !line.n)
            return w;
        line.p += w.n;
        line.n -= w.n;
    }
}

static void put_line(struct sm_span line, const char *protocol, struct items *to)
{
    struct sm_span local = word(line, 1), state = word(line, 3), uid = word(line, 7);
    struct sm_span where = inspect_field(local, ':', 0), port_text = inspect_field(local, ':', 1);
    uint8_t a[16] = {0}, port[2], st;
    bool six = false, udp = protocol[0] == 'u';
    char address[INET6_ADDRSTRLEN], key[96], number[8];
    if (port_text.n != 4 || state.n != 2 || !hex_address(where, a, &six) ||
        sm_unhex((const char *)port_text.p, 4, port, 2) || sm_unhex((const char *)state.p, 2, &st, 1) ||
        is_local(a, six))
        return;
    unsigned p = (unsigned)port[0] << 8 | port[1];
    if (st != (udp ? UDP_OPEN : LISTEN) || (udp && p >= UDP_CLIENTS) ||
        !inet_ntop(six ? AF_INET6 : AF_INET, a, address, sizeof address))
        return;
    snprintf(key, sizeof key, "%s %s %u", protocol, address, p);
    snprintf(number, sizeof number, "%u", p);
    items_add(to, SM_SPAN_STR(key));
    items_keep(to, "UserId", uid);
    items_tell(to, "Protocol", SM_SPAN_STR(protocol));
    items_tell(to, "DestinationIp", SM_SPAN_STR(address));
    items_tell(to, "DestinationPort", SM_SPAN_STR(number));
}

static void look(const struct inspect_look *l, struct items *to)
{
    static const char *const files[][2] = {
        {"proc/net/tcp", "tcp"}, {"proc/net/tcp6", "tcp"}, {"proc/net/udp", "udp"}, {"proc/net/udp6", "udp"}};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct sm_buf b = SM_BUF_INIT(INSPECT_FILE_MAX);
        struct sm_span rest, line;
        if (!inspect_read(l, files[i][0], true, INSPECT_FILE_MAX, &b, NULL))
            for (rest = sm_buf_span(&b); inspect_line(&rest, &line);)
                put_line(line, files[i][1], to);
        sm_buf_wipe(&b);
    }
}

const struct inspect_sensor inspect_ports = {.name = "ports",
    .added = "port_opened",
    .removed = "port_closed",
    .key = "Port",
    .every_s = 60,
    .steady = true,
    .look = look};
