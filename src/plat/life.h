/*
 * How another process stands: stopped, traced, frozen.  Read from what the kernel tells anybody who may look (root of all, else only of
 * one's own).  Groups are those of the control groups' freezer, version 1 or 2, wherever they are mounted below /sys/fs/cgroup.
 */
#ifndef SM_PLAT_LIFE_H
#define SM_PLAT_LIFE_H
#include <sys/types.h>
#include "core/buf.h"

struct plat_life {
    char state;         /* of proc(5): R S D T t Z … */
    pid_t tracer;       /* 0: nobody */
    unsigned eyes;      /* descriptors of BPF programs, links, maps and of perf events it holds (plat_life_eyes), else 0 */
};
/* -ESRCH it is gone, -EACCES, -SM_EFORMAT. */
sm_must_use int plat_life_look(pid_t pid, struct plat_life *ret);
/* How many descriptors of BPF and perf events a process holds.  -ESRCH, -EACCES. */
sm_must_use int plat_life_eyes(pid_t pid, unsigned *ret);
/* Is its group, or one above it, frozen?  1 yes, 0 no or no freezer. */
int plat_life_frozen(pid_t pid);
/* Let it go on: every group from its own upwards that is frozen by itself is thawed.  How many; -errno of the first that could not be. */
int plat_life_thaw(pid_t pid);
/* Into a group of its own, directly below the root of each freezer: "sakimori-NAME".  0, -ENOENT no freezer, -errno. */
sm_must_use int plat_life_apart(const char *name);
/* Back to where it was before plat_life_apart: what it starts now belongs there.  Best effort. */
void plat_life_apart_back(void);
/* Remove that group again, which must be empty.  Best effort. */
void plat_life_apart_end(const char *name);

/* Is the service manager of this machine taking it down now (shutdown, restart)?  False where there is none.  Takes up to a second. */
bool plat_service_ending(void);
/* Did the service manager start this process itself? */
bool plat_service_ours(void);
#endif
