/* The way of plat/procwatch.h through BPF: inside plat only. */
#ifndef SM_PLAT_PROCWATCH_BPF_H
#define SM_PLAT_PROCWATCH_BPF_H
#include "plat/procwatch.h"

struct procwatch_bpf;
/* Load and attach.  -SM_EUNSUPPORTED and why (120 bytes) in words; -ENOMEM. */
sm_must_use int procwatch_bpf_open(struct procwatch_bpf **ret, char *ret_why);
void procwatch_bpf_close(struct procwatch_bpf *b);
int procwatch_bpf_fd(const struct procwatch_bpf *b);
size_t procwatch_bpf_drain(struct procwatch_bpf *b, size_t max, procwatch_fn *fn, void *ctx);
uint64_t procwatch_bpf_lost(const struct procwatch_bpf *b);
#endif
