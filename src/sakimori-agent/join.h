/*
 * Joining a box (docs/PROTOCOL-agent.md, Joining): the code pins CA, recipients and order key; only then is the secret
 * sent.
 */
#ifndef AGENT_JOIN_H
#define AGENT_JOIN_H
#include "sakimori-agent/agent.h"

#define JOIN_SECRET_LEN 10
#define JOIN_PIN_LEN 16
struct join_code { uint8_t secret[JOIN_SECRET_LEN], pin[JOIN_PIN_LEN]; unsigned version; };
/* "SKJ2-XXXX-…" as people type it; of an older box SKJ1, whose pin does not hold the sheet's orders key.  -SM_EFORMAT. */
sm_must_use int join_code_read(const char *code, struct join_code *ret);
/* Join the box at url ("https://host:port").  name: shown to people, "" = the host's name.  ret_why has 256 bytes.
 * -SM_EEXISTS (joined already), -SM_EAUTH (the box is not the one the code is of), -SM_EDENIED (code wrong or used),
 * -SM_EPEER, ... */
sm_must_use int join_box(const char *data, const char *url, const char *code, const char *name, char *ret_why);
/* A machine that has joined takes over, from a new code of its box, whom it wraps for and whose signature changes that.
 * Nothing else changes, and the code is not used up.  -SM_ENOTFOUND (not joined), -SM_EFORMAT, -SM_EAUTH (not the box the
 * code is of, or not the one it joined), -SM_EPEER, -errno. */
sm_must_use int join_trust(const char *data, const char *code, char *ret_why);
/* The box on this machine, over its local socket: asks for a code itself.  -SM_ESTATE: not set up yet; -SM_EPEER: not
 * running. */
sm_must_use int join_local(const char *data, const char *local_socket, char *ret_why);
#endif
