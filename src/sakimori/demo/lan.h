/*
 * The network of `demo handa`: namespaces that are its own, joined by a bridge.  Nothing of it reaches a real network.
 */
#ifndef SAKIMORI_DEMO_LAN_H
#define SAKIMORI_DEMO_LAN_H
#include "sakimori/demo/demo.h"

enum demo_place { DEMO_WIRE, DEMO_BOX, DEMO_SERVER, DEMO_EDGE, DEMO_PC, DEMO_PLACES };
#define DEMO_NET "192.168.77."
struct demo_lan {
    char space[DEMO_PLACES][48]; /* names of the namespaces; "" not made */
};
/* Needs root and ip(8).  CLI_OK, or what was said. */
int demo_lan_make(struct demo *d, struct demo_lan *l);
void demo_lan_remove(struct demo *d, struct demo_lan *l);
/* The last byte of a place's address. */
unsigned demo_lan_host(enum demo_place p);
/* A connection from there to the box's port: its descriptor, or -errno. */
int demo_lan_connect(const struct demo_lan *l, enum demo_place from, uint16_t port);
#endif
