/*
 * Confinement of a process: what it may no longer do.  Order of calls in a child:
 * hygiene → landlock → user (keeping capabilities) → seccomp.  Each says what was possible, and the
 * box shows it; a kernel without one of these is no reason not to start, an unexpected failure is.
 */
#ifndef SM_PLAT_SANDBOX_H
#define SM_PLAT_SANDBOX_H
#include <sys/types.h>
#include "core/buf.h"

struct plat_confined {
    bool uid, seccomp, landlock, nnp;
    char missing[240];          /* "; "-joined plain English reasons, "" when all is in force */
};

/* Core dumps off, at most nofile descriptors, not dumpable, dies with its parent (SIGTERM-proof: SIGKILL), umask 077,
 * no_new_privs.  parent_pid: the expected parent (race: -SM_EPEER if it is gone already); 0 skips death-with-parent. */
sm_must_use int plat_sandbox_hygiene(unsigned nofile, pid_t parent_pid, struct plat_confined *c);

enum { PLAT_CAPS_MAX = 8 };
/* Become uid:gid without supplementary groups (extra_gids, n <= 8, are kept) and keep only caps (CAP_* numbers; also
 * ambient, for an exec'd self).  Verified: uid 0 cannot be had again.  Not root: c->uid = false, said in
 * missing, 0.  -EPERM and friends when root but it failed: the caller must exit. */
sm_must_use int plat_sandbox_user(uid_t uid, gid_t gid, const gid_t *extra_gids, size_t gids_n,
    const int *caps, size_t caps_n, struct plat_confined *c);
/* Keep only caps in this process without changing user (agent parts that run as root). */
sm_must_use int plat_sandbox_caps(const int *caps, size_t caps_n, struct plat_confined *c);

struct plat_path_rule { const char *path; bool write; bool optional; };
/* Nothing of the file system but these (read: also list; write: also make, remove, rename below it).  optional: a
 * path that does not exist is skipped, else -ENOENT.  An empty list means nothing at all.  <= 32 rules. */
sm_must_use int plat_sandbox_landlock(const struct plat_path_rule *rules, size_t n, struct plat_confined *c);
/* The kernel's Landlock ABI, 0 = none. */
int plat_sandbox_landlock_abi(void);

/* Only the system calls of the named profile; any other kills the process (SIGSYS).  Profiles: "front", "keyd",
 * "brain", "vault", "opener", "out", "agent-link", "agent-backup", "agent-restore".  -SM_ENOTFOUND unknown profile. In
 * sanitizer builds nothing is done and missing says so. */
sm_must_use int plat_sandbox_seccomp(const char *profile, struct plat_confined *c);
/* The names, NULL past the end. */
const char *plat_sandbox_profile(size_t i);
/* Pack and read back for a message between processes: u8 bits | text. */
sm_must_use int plat_confined_put(const struct plat_confined *c, struct sm_buf *ret);
sm_must_use int plat_confined_get(struct sm_span s, struct plat_confined *ret);
#endif
