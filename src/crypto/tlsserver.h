/*
 * One TLS connection that this end serves, over a non-blocking socket: what a process needs that has no HTTP library
 * around it (the collector, RFC 5425).  The key is where the installed identity says (crypto_tls_install), so a handshake
 * blocks for as long as that callback does.  TLS 1.3, and 1.2 with the same strong suites for network devices that
 * know no better; what comes in is read only after the handshake.  No certificate of the other side is asked for.
 */
#ifndef CRYPTO_TLSSERVER_H
#define CRYPTO_TLSSERVER_H
#include "core/buf.h"

struct crypto_tls_conn;
/* fd is borrowed until crypto_tls_conn_free.  -ENOMEM, -SM_ECRYPTO. */
sm_must_use int crypto_tls_conn_new(int fd, struct crypto_tls_conn **ret);
/* Go on with the handshake: 0 it is done, -SM_EAGAIN wait (*ret_write: until it can be written), -SM_EPROTO it failed. */
sm_must_use int crypto_tls_conn_handshake(struct crypto_tls_conn *c, bool *ret_write);
/* Plain bytes: how many, 0 the other side has ended properly, -SM_EAGAIN none now, -SM_EPROTO broken or cut off. */
sm_must_use int crypto_tls_conn_read(struct crypto_tls_conn *c, uint8_t *to, size_t n);
/* Bytes that were read from the socket and wait here: it does not become readable for them. */
size_t crypto_tls_conn_waiting(const struct crypto_tls_conn *c);
/* Says goodbye once, without waiting. */
void crypto_tls_conn_free(struct crypto_tls_conn *c);

#endif
