/*
 * How well a machine is prepared: facts that the box knows of it, each worth points, 100 together.  What is not known is said as not
 * known and counts for nothing.  The judging is pure (posture_judge), so that a test can be any machine.
 */
#ifndef API_POSTURE_H
#define API_POSTURE_H
#include "api/text.h"

enum posture_state { POSTURE_GOOD, POSTURE_PART, POSTURE_BAD, POSTURE_UNKNOWN };
enum posture_guard { POSTURE_GUARDED, POSTURE_LOOK, POSTURE_STOPPED, POSTURE_NONE };
enum posture_fact { POSTURE_AGENT, POSTURE_PROTECTION, POSTURE_DEFINITIONS, POSTURE_BACKUP, POSTURE_DECOYS, POSTURE_MEDIA, POSTURE_LOGS,
    POSTURE_SYSTEM, POSTURE_REMOTE, POSTURE_FACTS };
enum posture_remote { POSTURE_SSH = 1, POSTURE_RDP = 2, POSTURE_SMB = 4, POSTURE_VNC = 8, POSTURE_TELNET = 16, POSTURE_REMOTE_UNKNOWN = 1 << 30 };
#define POSTURE_NOT_KNOWN (-1)

/* What is known of a machine; times in seconds since 1970, 0 never. */
struct posture_facts {
    int64_t now, seen_s;            /* heard of last */
    bool there;                     /* it talks to us now */
    char cover;                     /* of the endpoint: 'n'one, 'f' off, 's'tarting, 'e'mpty: no folder to protect yet, 'p'art, 'o'n */
    bool by_policy;                 /* people set it so that nothing is watched */
    int64_t definitions_s;          /* how new the virus definitions are; POSTURE_NOT_KNOWN, 0: there are none */
    int64_t backup_s;               /* the oldest of its sources' last good backups */
    unsigned sources;               /* that are backed up, switched on */
    bool late;                      /* one of them is late, or its last run failed */
    int64_t decoys;                 /* sources with decoys; POSTURE_NOT_KNOWN */
    const char *media;              /* of its policy: allow, read_only, block; borrowed */
    bool media_held;                /* it has that policy, or nobody ever set one and there is an endpoint */
    int64_t logs;                   /* that arrive; POSTURE_NOT_KNOWN: it did not say */
    const char *os;                 /* as it names itself; borrowed */
    unsigned remote;                /* bits of posture_remote that listen beyond the machine itself */
    bool isolated;
    unsigned open;                  /* programs that were stopped and wait for somebody to decide */
};

struct posture_row {
    enum posture_state state;
    unsigned points, of;
    enum text_key text, todo;       /* todo: TEXT_KEYS, nothing to do */
    char args[2][48];               /* for {0}, {1} of both */
};
struct posture {
    enum posture_guard guard;
    enum text_key why;              /* TEXT_KEYS: nothing to say; {0}: why_arg */
    char why_arg[24];
    unsigned score, unknown;
    int next;                       /* of the rows: what brings most; -1 nothing */
    struct posture_row rows[POSTURE_FACTS];
};
void posture_judge(const struct posture_facts *f, struct posture *ret);
/* When nobody mends that system any more: seconds since 1970, 0 it is not in the list. */
int64_t posture_system_until(const char *os);
extern const char *const posture_fact_names[POSTURE_FACTS];
#endif
