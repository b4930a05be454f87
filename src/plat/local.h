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
/* Is the address text a loopback one? */
bool plat_tcp_is_loopback(const char *address);
/* Address of the peer or of our end as text ("192.0.2.1", "2001:db8::1"); ret has 64 bytes. */
sm_must_use int plat_tcp_peer(int fd, char *ret, uint16_t *ret_port);
/* This machine's own addresses, one call each, loopback left out. */
sm_must_use int plat_tcp_addresses(void (*fn)(void *arg, const char *interface, const char *address), void *arg);

/* Tell the service manager (systemd's NOTIFY_SOCKET protocol), e.g. "READY=1".  0 also when there is none. */
sm_must_use int plat_notify(const char *state);
#endif
