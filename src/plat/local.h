/*
 * Local messages and listening sockets.  Everything is non-blocking and close-on-exec, except that
 * plat_local_pair's ends may be handed to a child by plat_proc_spawn.
 */
#ifndef SM_PLAT_LOCAL_H
#define SM_PLAT_LOCAL_H
#include <sys/types.h>
#include "core/buf.h"

/* Who is at the other end of a local connection. */
struct plat_peer { pid_t pid; uid_t uid; gid_t gid; };
/* Two ends of a stream between our own processes (for sm_ipc). */
sm_must_use int plat_local_pair(int ret[2]);
/* Listen at path (an old socket there is removed, never another kind of file: -SM_EEXISTS); mode of the socket.
 * Returns the descriptor. */
sm_must_use int plat_local_listen(const char *path, mode_t mode);
/* -SM_EAGAIN when nobody waits.  Returns the descriptor. */
sm_must_use int plat_local_accept(int fd, struct plat_peer *ret);
/* Returns the descriptor. */
sm_must_use int plat_local_connect(const char *path);
sm_must_use int plat_local_peer(int fd, struct plat_peer *ret);

/* Listening TCP at "127.0.0.1", "::1", "::", "0.0.0.0" or any address of this machine as numbers; port 0 picks one.
 * Returns the descriptor; ret_port (may be NULL) is the port really bound.  -SM_EINVAL for a text that is no address.
 */
sm_must_use int plat_tcp_listen(const char *address, uint16_t port, uint16_t *ret_port);
/*
 * UDP at such an address; the socket's buffer as large as asked for and the system gives (root is not bound by its
 * maximum), and the number of datagrams it had to drop comes with each (SO_RXQ_OVFL).  Returns the descriptor.
 */
sm_must_use int plat_udp_bind(const char *address, uint16_t port, int buffer_bytes, uint16_t *ret_port);
/* Is the address text a loopback one? */
bool plat_tcp_is_loopback(const char *address);
/* Address of the peer or of our end as text ("192.0.2.1", "2001:db8::1"); ret has 64 bytes. */
sm_must_use int plat_tcp_peer(int fd, char *ret, uint16_t *ret_port);
/*
 * Datagrams, as many as there are (at most n): one system call.  Each is written at at[i].p (room bytes of it) and at[i].n
 * becomes its length, cut at room (the kernel's way; 65,536 holds any).  address: 16 bytes, IPv4 as ::ffff:a.b.c.d.
 * *ret_lost is the socket's count of lost ones as of the newest, untouched while there is none.
 * Returns how many; -SM_EAGAIN none, -errno.
 */
#define PLAT_UDP_MANY 128
struct plat_datagram { uint8_t *p; size_t n; uint8_t address[16]; };
sm_must_use int plat_udp_receive(int fd, struct plat_datagram *at, size_t n, size_t room, uint32_t *ret_lost);
/* The 16 bytes of the peer's address, IPv4 as ::ffff:a.b.c.d; and such bytes as text (64 bytes). */
sm_must_use int plat_tcp_peer_bytes(int fd, uint8_t ret[16]);
void plat_address_text(const uint8_t address[16], char ret[64]);
/* The next connection that waits, non-blocking.  -SM_EAGAIN when nobody waits, -errno. */
sm_must_use int plat_tcp_accept(int fd);
/* This machine's own addresses, one call each, loopback left out. */
sm_must_use int plat_tcp_addresses(void (*fn)(void *arg, const char *interface, const char *address), void *arg);

/* Tell the service manager (systemd's NOTIFY_SOCKET protocol), e.g. "READY=1".  0 also when there is none. */
sm_must_use int plat_notify(const char *state);
#endif
