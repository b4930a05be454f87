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

struct plat_path_rule { const char *path; bool write; bool optional; bool exec; };
/* Nothing of the file system but these (read: also list; write: also make, remove, rename below it; exec: this program,
 * or what lies below, may also be started).  optional: a path that does not exist is skipped, else -ENOENT.  An empty list means nothing at all.  <= 32 rules. */
sm_must_use int plat_sandbox_landlock(const struct plat_path_rule *rules, size_t n, struct plat_confined *c);
/*
 * Everything of the file system but the folders out[] (absolute; one that is not there yet stays out by its name).
 * Landlock can only allow, so each neighbour of the path to such a folder is allowed, as it is now:
 * - in the folders above ("levels") names can be listed, and so can those in out; nothing else is allowed there.  What
 *   appears in a level later is not read or written (new names below a neighbour are).  A level that this user cannot
 *   list has no neighbours.
 * - not guarded, because Landlock does not: names, sizes, times, owners and modes (stat, chmod, chown, utimes, xattrs);
 *   the same folder mounted elsewhere too, unless at a level; another hard link; sockets that stand in it.
 * - change: levels in which anything may be made, moved and removed, also below out, but not read, written, cut.
 * - add: regular files may be moved into any folder, replacing nothing.
 * - also: rules that are added as they are.
 * 0, also when the kernel has none (or, for write, version 1, which moves nothing between folders: said in missing).
 * -SM_ELIMIT more than PLAT_RULES_MAX neighbours or 64 levels, -SM_EINVAL out is "/" or not absolute, change no level;
 * -ENOENT of also, -ENOMEM, -errno.  After a failure nothing is confined.
 */
enum { PLAT_OUT_MAX = 8, PLAT_RULES_MAX = 1 << 18, PLAT_PATH_MAX = 4096 };
struct plat_but {
    const char *const *out; size_t out_n;
    bool write, add;
    const char *const *change; size_t change_n;
    const struct plat_path_rule *also; size_t also_n;
};
sm_must_use int plat_sandbox_landlock_but(const struct plat_but *but, struct plat_confined *c);
/* The absolute path with its links followed as far as it is there (*ret_there bytes of ret), and the rest of it.
 * -SM_EINVAL not absolute, or "." or ".." in what is not there; -ENAMETOOLONG, -errno. */
sm_must_use int plat_real_path(const char *path, char ret[PLAT_PATH_MAX], size_t *ret_there);
/* Where path is, seen from a folder that stays out; both as plat_real_path gives them. */
enum plat_place { PLAT_BESIDE, PLAT_ABOVE, PLAT_INSIDE };
enum plat_place plat_but_place(const char *path, const char *out);
/* The kernel's Landlock ABI, 0 = none. */
int plat_sandbox_landlock_abi(void);

/* Only the system calls of the named profile; any other kills the process (SIGSYS).  Profiles: "front", "keyd",
 * "brain", "vault", "opener", "copier", "courier", "out", "agent-link", "agent-backup", "agent-restore", "agent-lend", "agent-logs", "agent-inspect",
 * "agent-judge", "agent-scan" (sockets of this machine alone), "agent-yara" (as agent-smb, without a network), "agent-actor" (and the tools it starts),
 * "agent-dump" (and the tools it starts: an unknown call is answered with ENOSYS), "agent-smb" (the same, for a library of
 * others), "agent-sqlite", "agent-proof" (as agent-dump, with a server that has sockets of this machine alone).
 * -SM_ENOTFOUND unknown profile.  In sanitizer builds nothing is done and missing says so. */
sm_must_use int plat_sandbox_seccomp(const char *profile, struct plat_confined *c);
/* The names, NULL past the end. */
const char *plat_sandbox_profile(size_t i);
/* One more reason, behind what missing says already; what does not fit is cut. */
void plat_confined_missing(struct plat_confined *c, const char *fmt, ...) sm_printf(2, 3);
/* Pack and read back for a message between processes: u8 bits | text. */
sm_must_use int plat_confined_put(const struct plat_confined *c, struct sm_buf *ret);
sm_must_use int plat_confined_get(struct sm_span s, struct plat_confined *ret);
#endif
