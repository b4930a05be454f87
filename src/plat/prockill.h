/*
 * Ending processes that belong together.  A process is named by number and start time, so that one that got the number later is never
 * meant.  First everybody is stopped, until a look at the whole machine finds nobody new: who is stopped makes no children.  Then
 * everybody is killed, until nobody is left.
 */
#ifndef SM_PLAT_PROCKILL_H
#define SM_PLAT_PROCKILL_H
#include "plat/proc.h"

enum { PLAT_PROCS_MAX = 65536 };

struct plat_proc_id { pid_t pid; uint64_t start; };     /* start: clock ticks since boot; 0: whoever has the number now */
struct plat_proc_look { pid_t pid, parent, session; uint64_t start; uid_t uid; char state; bool kernel; };
/* Everybody on this machine; *ret (n of them, by pid) is the caller's to free.  -ENOMEM, -errno. */
sm_must_use int plat_procs_look(struct plat_proc_look **ret, size_t *ret_n);

/* Whom not to touch: NULL, or why (a short English phrase). Process 1 and kernel threads are never touched, whatever it says. */
typedef const char *plat_proc_spare_fn(void *arg, const struct plat_proc_look *p);
struct plat_kill {
    const struct plat_proc_id *root; size_t root_n;     /* these and all that come from them */
    bool by_user; uid_t uid;                            /* and every process of that user */
    plat_proc_spare_fn *spare; void *arg;
    unsigned timeout_ms;
};
struct plat_killed {
    unsigned killed, spared, left;  /* left: still there when the time was over */
    char why[80];                   /* of the first that was spared */
};
/*
 * -ESRCH nobody was there, -SM_EDENIED all of them were spared (nothing was done), -SM_ETIME some are left, -ENOMEM, -errno.
 * A zombie counts as ended.
 */
sm_must_use int plat_proc_kill_all(const struct plat_kill *k, struct plat_killed *ret);
#endif
