/*
 * Accesses: how this machine gets at a database server, written by its administrator (`sakimori-agent
 * access add`) and kept in DATA/access/NAME.json, 0600.  The box only names one; address and password never leave the
 * machine.  "local" is always there for the kinds that have it: the server of this machine over its own socket, as the
 * user the kind's row names, without a password.
 */
#ifndef AGENT_ACCESS_H
#define AGENT_ACCESS_H
#include "sakimori-agent/agent.h"

#define ACCESS_NAME_MAX 32
#define ACCESS_LOCAL "local"
struct access {
    char name[ACCESS_NAME_MAX + 1], kind[16];
    char host[256];      /* "" = the kind's own; "/…" = the folder of a socket */
    int port;            /* 0 = the kind's own */
    char user[128];      /* of the server; "" = the kind's own */
    char domain[64];     /* SMB: of the user; "" = none */
    char as[64];         /* user of this system that the tool runs as, "" = the kind's own */
    char password[512];  /* "" = none */
};
/* 1..ACCESS_NAME_MAX of a-z, 0-9, "-", "_", beginning with a letter or digit. */
bool access_name_ok(const char *name);
/* Load NAME for kind.  "local" without a file is the kind's own.  -SM_ENOTFOUND, -SM_EMISMATCH (of another kind),
 * -SM_EDENIED (others may read or change the file), -SM_EFORMAT, -errno; ret_why has 160 bytes. */
sm_must_use int access_load(const char *data, const char *kind, const char *name, struct access *ret, char *ret_why);
sm_must_use int access_save(const char *data, const struct access *a);
void access_wipe(struct access *a);
/* The folders of accesses, hooks and stagings; made when missing.  -errno. */
sm_must_use int access_folders(const char *data);
/* What the box may be told of: "kind:K", "access:K:NAME", of a kind read where it is "server:K:NAME:HOST" (never users or
 * passwords), "hook:NAME", at most 64, sorted.  NULL: no memory. */
json_t *access_features(const char *data);

struct access_args {
    const char *kind, *host, *port, *user, *as, *domain, *password_file, *access, *into, *share, *folder;
    bool json, replace;
};
/* `access add|list|remove|test`: exit code. */
int access_command(const char *data, const struct access_args *a, int argc, char **argv, bool japanese);
#endif
