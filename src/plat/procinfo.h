/*
 * One look at a running process, as the system shows it now.  One thread of a program at a time: what was found out
 * about a program's file is kept.
 */
#ifndef SM_PLAT_PROCINFO_H
#define SM_PLAT_PROCINFO_H
#include <sys/types.h>
#include "core/buf.h"

enum { PROCINFO_PATH = 512, PROCINFO_LINE = 1024 };
enum procinfo_bit {
    PROCINFO_PACKAGED = 2,    /* its file lies in /usr, /bin, /sbin, /lib* or /opt as this process sees them, is root's,
                                 and nobody else may write it nor a folder above it */
    PROCINFO_INTERPRETER = 4, /* known by its name: python3.11, perl, node, sh … */
    PROCINFO_FRESH = 8,       /* its file was made or changed within a day */
    PROCINFO_SHELL = 16,
    PROCINFO_KERNEL = 32,        /* a thread of the kernel */
    PROCINFO_SERVICE_USER = 128, /* of a system account that is not root (uid 1 … 999) */
    PROCINFO_TERMINAL = 256,     /* it leads its session, which has a terminal; or a shell that reads one */
};
struct procinfo {
    uint32_t pid, parent, uid, session; /* pid: of the process, also when a thread was asked for */
    uint64_t start;     /* clock ticks since boot */
    uint32_t bits;
    uint64_t ino;       /* of its file: inode, time of its last change in ns; 0 unknown */
    int64_t changed_ns;
    char exe[PROCINFO_PATH]; /* bytes as they are; "" unknown; longer ones end in "…"; a removed file's name without the
                                " (deleted)" */
    char line[PROCINFO_LINE];   /* arguments joined by blanks */
};
/* id: of a process or a thread.  -ESRCH gone (or ended and not yet reaped, with nothing left to see), -errno. */
sm_must_use int procinfo_look(uint32_t id, struct procinfo *ret);
/* Does it (a shell) read a terminal? */
bool procinfo_reads_terminal(uint32_t pid);
/* The bits that only the program's file decides (PACKAGED, INTERPRETER, FRESH, SHELL).  Answers are kept for a minute,
 * by path. _name: those that the name alone decides. */
uint32_t procinfo_program(const char *exe);
uint32_t procinfo_program_name(const char *exe);
/* Does every thread of it stand (stopped, or ended), so that no system call of it is under way?  True when it is gone.
 */
bool procinfo_stands(uint32_t pid);
/* The process a thread belongs to.  -ESRCH. */
sm_must_use int procinfo_process(uint32_t thread, uint32_t *ret_pid);
/* Everything running now, at most max; how many, or -errno. */
sm_must_use ssize_t procinfo_list(uint32_t *ret, size_t max);

/* Parsers of what the system shows (exposed for tests and fuzzing).  -SM_EFORMAT. */
struct procinfo_stat { uint32_t pid, parent, session, terminal, flags, threads; uint64_t start; char state; };
sm_must_use int procinfo_parse_stat(struct sm_span text, struct procinfo_stat *ret);
sm_must_use int procinfo_parse_status(struct sm_span text, uint32_t *ret_tgid, uint32_t *ret_uid);
/* NUL-separated arguments to one line of at most n bytes with its NUL; cut ones end in "…". */
void procinfo_join(struct sm_span args, char *ret, size_t n);
#endif
