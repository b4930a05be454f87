/*
 * The agent's own files as they were when it began: program, units, settings, rules.  What became another one, or went, is told once each time.
 * A change while the package manager holds its lock is told as an update when it has let go.
 */
#ifndef GUARD_PINS_H
#define GUARD_PINS_H
#include <sys/stat.h>
#include "core/buf.h"

enum {
    PINS_MAX = 8192,
    PINS_DEPTH = 6,              /* of folders below a folder that is pinned */
    PINS_FILE_MAX = 256 << 20,   /* a longer file is pinned by its size and times alone */
    PINS_WATCH_MAX = 64,         /* folders that the kernel tells of */
    PINS_WHOLE_MS = 600000,      /* every file is read again so often, whatever its times say */
};

struct pin;
struct pins {
    struct pin *of;
    size_t n;
    int notify;                  /* inotify, -1: none */
    uint64_t whole_ms;
    char lock[256];              /* the package manager's; "" none */
    uint64_t package_ms;         /* a change came while it was held; 0: none */
};
/* action: "agent_touched", "agent_disabled", "agent_updated". */
typedef void (*pins_fn)(void *arg, const char *action, const char *detail);

void pins_init(struct pins *p);
void pins_wipe(struct pins *p);
/*
 * Pin a path: a file, a link (where it leads to, not what is there), or everything below a folder; what is not there is pinned as that, unless
 * only_there.  unit: its end means that the agent does not start any more.  -SM_ELIMIT, -ENOMEM, -errno.
 */
sm_must_use int pins_add(struct pins *p, const char *path, bool only_there, bool unit);
/* What an agent consists of: its program, its units below root/etc and root/usr, rules, and in data its settings and keys.  root: "" for /. */
sm_must_use int pins_add_agent(struct pins *p, const char *root, const char *program, const char *data);
/* Have the kernel tell of changes from now on: p->notify is readable then (pins_drain).  Without it pins_look finds them later. */
void pins_watch(struct pins *p);
void pins_drain(struct pins *p);
/* Compare all; fn is called for each that is another one, which is pinned as it is now. */
void pins_look(struct pins *p, uint64_t now_ms, pins_fn fn, void *arg);
#endif
