#include "sakimori/demo/lan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plat/netns.h"

static const struct {
    const char *name;
    unsigned host;
} places[DEMO_PLACES] = {
    [DEMO_WIRE] = { "wire", 0 },
    [DEMO_BOX] = { "box", 1 },
    [DEMO_SERVER] = { "server", 10 },
    [DEMO_EDGE] = { "edge", 254 },
    [DEMO_PC] = { "pc", 21 },
};

unsigned demo_lan_host(enum demo_place p)
{
    return places[p].host;
}

/* One ip command; the words are ours and hold no blanks. */
static int sm_printf(2, 3) ip(struct demo *d, const char *fmt, ...)
{
    char line[256], *argv[32] = { (char *)"/usr/sbin/ip" }, *save = NULL;
    size_t n = 1;
    va_list v;
    va_start(v, fmt);
    (void)vsnprintf(line, sizeof line, fmt, v); /* fits */
    va_end(v);
    for (char *w = strtok_r(line, " ", &save); w && n < 31; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    return demo_run(d, argv, "network.log", 20000, NULL) == CLI_OK ? CLI_OK : CLI_FAILED;
}

int demo_lan_make(struct demo *d, struct demo_lan *l)
{
    int e = CLI_OK;
    for (int i = 0; i < DEMO_PLACES && e == CLI_OK; i++) {
        (void)snprintf(l->space[i], sizeof l->space[i], "sakimori-%d-%s", (int)getpid(), places[i].name); /* fits */
        e = ip(d, "netns add %s", l->space[i]);
        if (e == CLI_OK)
            e = ip(d, "-n %s link set lo up", l->space[i]);
        if (e == CLI_OK && i == DEMO_WIRE) {
            e = ip(d, "-n %s link add br0 type bridge", l->space[i]);
            if (e == CLI_OK)
                e = ip(d, "-n %s link set br0 up", l->space[i]);
            continue;
        }
        if (e == CLI_OK)
            e = ip(d, "-n %s link add eth0 type veth peer name port%d netns %s", l->space[i], i, l->space[DEMO_WIRE]);
        if (e == CLI_OK)
            e = ip(d, "-n %s link set port%d master br0 up", l->space[DEMO_WIRE], i);
        if (e == CLI_OK)
            e = ip(d, "-n %s addr add " DEMO_NET "%u/24 dev eth0", l->space[i], places[i].host);
        if (e == CLI_OK)
            e = ip(d, "-n %s link set eth0 up", l->space[i]);
    }
    if (e != CLI_OK && !demo_stopped())
        cli_note(d->c, T(d->c, "見本の院内ネットワークを作れません。root で、ip のある機械で動かしてください(%s/network.log)",
                     "the sample network cannot be made: this needs root and ip(8) (%s/network.log)"), d->dir);
    return e;
}

void demo_lan_remove(struct demo *d, struct demo_lan *l)
{
    char *argv[] = { (char *)"/usr/sbin/ip", (char *)"netns", (char *)"del", NULL, NULL };
    struct plat_proc p = PLAT_PROC_NONE;
    for (int i = 0; i < DEMO_PLACES; i++) {
        int status;
        argv[3] = l->space[i];
        if (!l->space[i][0] || demo_start(d, argv, -1, "network.log", &p) != CLI_OK) /* also when we were told to end */
            continue;
        (void)plat_proc_wait(&p, 10000, &status); /* one that was not made is no loss */
        plat_proc_close(&p);
        l->space[i][0] = 0;
    }
}

int demo_lan_connect(const struct demo_lan *l, enum demo_place from, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    char text[32];
    (void)snprintf(text, sizeof text, DEMO_NET "%u", places[DEMO_BOX].host); /* fits */
    (void)inet_pton(AF_INET, text, &to.sin_addr);                            /* it is one */
    int fd = plat_netns_socket(l->space[from], AF_INET, SOCK_STREAM);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}
