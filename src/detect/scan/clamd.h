/*
 * What clamd (ClamAV's server) says of a file.  Its local socket, commands ending in NUL (clamd(8)): VERSION, and FILDES, which carries
 * the open file along, so that clamd needs no right to read it.  Each question is a connection of its own.  What it answers is data from
 * outside: bounded, parsed strictly.  Blocking, for a worker; any thread.
 */
#ifndef SM_DETECT_SCAN_CLAMD_H
#define SM_DETECT_SCAN_CLAMD_H
#include "core/buf.h"
#include "core/time.h"

enum { CLAMD_NAME = 128, CLAMD_ANSWER_MAX = 4096 };
enum clamd_verdict { CLAMD_CLEAN, CLAMD_FOUND };
/* name has CLAMD_NAME bytes: the signature, of printable ASCII (others stand as '?'); "" when clean.
 * -SM_EPEER nobody answers at that socket, -SM_ETIME, -SM_EFORMAT an answer that is none, -SM_ELIMIT too large for clamd,
 * -SM_EPARTIAL clamd could not read or unpack it, -errno. */
sm_must_use int clamd_ask(const char *socket, int fd, int timeout_ms, enum clamd_verdict *ret, char *ret_name);
/* Version of the program and of its definitions: "ClamAV 1.4.3/27700/Mon Nov 23 08:23:44 2026". */
struct clamd_version { char engine[64], definitions[32]; struct sm_time made; bool has_made; };
sm_must_use int clamd_version(const char *socket, int timeout_ms, struct clamd_version *ret);
/* The answers alone (tests, fuzz).  answer: without the NUL. */
sm_must_use int clamd_parse(struct sm_span answer, enum clamd_verdict *ret, char *ret_name);
sm_must_use int clamd_parse_version(struct sm_span answer, struct clamd_version *ret);
#endif
