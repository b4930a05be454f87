/*
 * Births, program changes and ends of processes, and connections, as the kernel tells them.  Three ways, the best that
 * is there is taken:
 *   bpf        tracepoints that write into a ring buffer (a program of ours in the kernel, CO-RE: it fits kernels with
 *              BTF, 5.15 and later)
 *   connector  the process connector (netlink): births, program changes, ends; no connections
 *   none       neither: the caller looks by itself
 * Words come in the order in which they happened on each processor; what happened before a thing seen elsewhere (a file
 * event) is there to be drained when that thing is.
 */
#ifndef SM_PLAT_PROCWATCH_H
#define SM_PLAT_PROCWATCH_H
#include "plat/procinfo.h"

enum procwatch_kind { PROCWATCH_FORK = 1, PROCWATCH_EXEC, PROCWATCH_EXIT, PROCWATCH_CONNECT, PROCWATCH_ACCEPT };
enum { PROCWATCH_ARGS = 512 };
struct procwatch_word {
    uint8_t kind;
    bool seen;              /* EXEC: who, file_* and args are of the moment itself; else only pid is known */
    bool v6;                /* of a connection: addresses of 16 bytes */
    uint32_t pid, parent;   /* of processes, never of threads */
    int64_t at_ms;          /* since boot, suspend included */
    uint32_t uid, session;
    bool terminal;          /* it leads its session, which has one */
    uint64_t start;         /* clock ticks since boot; 0 not told */
    uint64_t file[3];       /* device, inode and time of change of the program's file: the same three, the same file */
    struct sm_span args;    /* NUL-separated, cut at PROCWATCH_ARGS; borrowed until the next word */
    bool args_cut;
    struct sm_span name;    /* the program's name as it was given to exec, perhaps relative; borrowed */
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
};
typedef void procwatch_fn(void *ctx, const struct procwatch_word *word);

struct procwatch;
enum procwatch_how { PROCWATCH_NONE, PROCWATCH_CONNECTOR, PROCWATCH_BPF };
/* Open at the best way not above best.  why (240 bytes) tells in words what was not possible, "" when all was.  Needs
 * CAP_BPF and CAP_PERFMON (bpf), CAP_NET_ADMIN (connector): call it before they are given up; nothing later needs them.
 * -ENOMEM. */
sm_must_use int procwatch_open(enum procwatch_how best, struct procwatch **ret, char *ret_why);
void procwatch_close(struct procwatch *w);
enum procwatch_how procwatch_how(const struct procwatch *w);
int procwatch_fd(const struct procwatch *w); /* readable when there are words; -1 with PROCWATCH_NONE */
/* Give fn what is there, at most max words (0: all that there was at the beginning); how many.  Costs next to nothing
 * when empty. */
size_t procwatch_drain(struct procwatch *w, size_t max, procwatch_fn *fn, void *ctx);
/* Words lost since the start, because nobody drained in time. */
uint64_t procwatch_lost(const struct procwatch *w);

/* Parser of the connector's messages (exposed for tests and fuzzing): 1 and *ret, 0 nothing of interest, -SM_EFORMAT.
 */
sm_must_use int procwatch_parse_connector(struct sm_span message, struct procwatch_word *ret);
#endif
