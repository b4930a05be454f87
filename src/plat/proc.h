/*
 * A process is a handle with a start time, never a bare number that may have been given to another one.
 */
#ifndef SM_PLAT_PROC_H
#define SM_PLAT_PROC_H
#include <sys/types.h>
#include "core/buf.h"

struct plat_proc { pid_t pid; uint64_t start; int fd; };   /* start: clock ticks since boot; fd: pidfd or -1 */
#define PLAT_PROC_NONE ((struct plat_proc){ .pid = 0, .fd = -1 })

struct plat_spawn_fd { int from, to; };    /* this descriptor of ours becomes that number (>= 0) in the child */
struct plat_spawn {
    const char *path;                      /* NULL = this program itself (/proc/self/exe) */
    char *const *argv;                     /* NULL-ended, argv[0] included */
    char *const *env; /* NULL-ended; NULL = empty but for PATH, LANG=C.UTF-8 and what sanitizers need */
    const struct plat_spawn_fd *fds; size_t fds_n;  /* <= 16; 0..2 are inherited unless named; all others are closed */
    const char *dir;                       /* working folder, NULL = "/" */
    bool group;                            /* leader of a session of its own: plat_proc_kill_group reaches its children */
    bool with_us;                          /* it is asked to end (SIGTERM) when the thread that starts it ends, however that ends */
    bool as_user; uid_t uid; gid_t gid;    /* become this user first, without supplementary groups (needs the right to) */
};
/* Start it.  Errors of exec itself come back here (-errno).  *ret is the caller's (plat_proc_close). */
sm_must_use int plat_proc_spawn(const struct plat_spawn *s, struct plat_proc *ret);
/* Take hold of an existing process.  -ESRCH. */
sm_must_use int plat_proc_open(pid_t pid, struct plat_proc *ret);
sm_must_use int plat_proc_self(struct plat_proc *ret);
void plat_proc_close(struct plat_proc *p);          /* the process goes on */
/* Still the same process, and not a zombie? */
bool plat_proc_alive(const struct plat_proc *p);
/* -ESRCH when it is gone, even if the number is somebody else's now. */
sm_must_use int plat_proc_kill(const struct plat_proc *p, int signo);
/* The same for it and all that stayed in its group (plat_spawn.group); also between its end and plat_proc_wait. */
sm_must_use int plat_proc_kill_group(const struct plat_proc *p, int signo);
/* p->fd is readable when it ended: watch it in the loop, then reap.  Children only.
 * timeout_ms < 0 waits for ever, 0 asks.  -SM_ETIME.  *ret_status is waitpid's. */
sm_must_use int plat_proc_wait(struct plat_proc *p, int timeout_ms, int *ret_status);
/* "exit 3", "signal 9 (Killed)".  ret has 48 bytes. */
void plat_proc_status_text(int status, char *ret);
/* Path of the running program, and of process pid's program.  ret has PATH_MAX bytes. */
sm_must_use int plat_proc_exe(pid_t pid, char *ret, size_t n);
/* Names ↔ numbers.  -SM_ENOTFOUND. */
sm_must_use int plat_user_lookup(const char *name, uid_t *ret_uid, gid_t *ret_gid);
sm_must_use int plat_user_name(uid_t uid, char *ret, size_t n);
sm_must_use int plat_group_lookup(const char *name, gid_t *ret_gid);
sm_must_use int plat_group_name(gid_t gid, char *ret, size_t n);
/* Lower CPU and disk priority of this process for background work (nice 10, idle-like I/O).  Best effort. */
void plat_proc_background(void);
#endif
