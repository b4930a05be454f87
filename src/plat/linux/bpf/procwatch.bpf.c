/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * (The kernel asks for such a licence of what uses its helpers; it is of this file and the object made of it alone.)
 *
 * The program in the kernel: births, program changes, ends, TCP connections, into one ring buffer.  Raw tracepoints and
 * CO-RE: of the kernel's structures only the fields that are read are named here, and their places are found when it is
 * loaded (BTF of the running kernel).  Nothing is decided or stopped here.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "plat/linux/bpf/procwatch.h"

#define KERNEL __attribute__((preserve_access_index))
#define QUERIED (1u << 31) /* of the kernel's own: somebody has seen this time (6.13 and later) */
enum { SID = 3, INET = 2, INET6 = 10, TCP = 6, ESTABLISHED = 1, SYN_SENT = 2, SYN_RECV = 3 };

struct upid {
    int nr;
} KERNEL;
struct pid {
    struct upid numbers[1];
} KERNEL;
struct signal_struct {
    struct {
        int counter;
    } live;
    struct pid *pids[4];
    void *tty;
} KERNEL;
struct cred {
    struct {
        __u32 val;
    } euid;
} KERNEL;
struct super_block {
    __u32 s_dev;
} KERNEL;
struct seconds {
    __s64 tv_sec;
    long tv_nsec;
};
struct inode {
    unsigned long i_ino;
    struct super_block *i_sb;
    __s64 i_ctime_sec; /* 6.11 and later */
    __u32 i_ctime_nsec;
} KERNEL;
struct inode___mid {
    struct seconds __i_ctime; /* 6.6 and later */
} KERNEL;
struct inode___old {
    struct seconds i_ctime;
} KERNEL;
struct file {
    struct inode *f_inode;
} KERNEL;
struct mm_struct {
    unsigned long arg_start, arg_end;
    struct file *exe_file;
} KERNEL;
struct task_struct {
    int pid, tgid;
    __u64 start_boottime;
    struct signal_struct *signal;
    const struct cred *cred;
    struct mm_struct *mm;
} KERNEL;
struct linux_binprm {
    const char *filename;
} KERNEL;
struct in6_addr {
    unsigned char bytes[16]; /* never matched by name: read whole */
};
struct sock_common {
    __u32 skc_daddr, skc_rcv_saddr;
    __u16 skc_dport, skc_num, skc_family;
    struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
} KERNEL;
struct sock {
    struct sock_common __sk_common;
    __u16 sk_protocol;
} KERNEL;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, PW_RING);
} ring SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, __u64);
} lost SEC(".maps");

static __always_inline void *reserve(__u64 n)
{
    void *p = bpf_ringbuf_reserve(&ring, n, 0);
    __u32 zero = 0;
    __u64 *count = p ? 0 : bpf_map_lookup_elem(&lost, &zero);
    if (count)
        __sync_fetch_and_add(count, 1);
    return p;
}

/* Births and ends wait for whoever asks next, unless there are many. */
static __always_inline __u64 quiet(void)
{
    return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= PW_WAKE ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline int say_short(__u32 kind, __u32 pid, __u32 other, __u64 start)
{
    struct pw_short *s = reserve(sizeof *s);
    if (!s)
        return 0;
    s->kind = kind;
    s->pid = pid;
    s->other = other;
    s->pad = 0;
    s->at_ns = bpf_ktime_get_boot_ns();
    s->start_ns = start;
    bpf_ringbuf_submit(s, quiet());
    return 0;
}

/* Whoever made it, also where it is put under another (CLONE_PARENT). */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
    struct task_struct *maker = (void *)ctx->args[0], *child = (void *)ctx->args[1];
    __u32 pid = BPF_CORE_READ(child, pid), tgid = BPF_CORE_READ(child, tgid);
    if (pid != tgid)
        return 0; /* a thread */
    return say_short(PW_FORK, tgid, BPF_CORE_READ(maker, tgid), BPF_CORE_READ(child, start_boottime));
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
    struct task_struct *task = (void *)ctx->args[0];
    if (BPF_CORE_READ(task, signal, live.counter) != 0)
        return 0; /* other threads go on */
    return say_short(PW_EXIT, BPF_CORE_READ(task, tgid), 0, BPF_CORE_READ(task, start_boottime));
}

static __always_inline void changed(struct inode *inode, struct pw_exec *e)
{
    if (bpf_core_field_exists(inode->i_ctime_sec)) {
        e->file[2] =
            (__u64)BPF_CORE_READ(inode, i_ctime_sec) * 1000000000 + (BPF_CORE_READ(inode, i_ctime_nsec) & ~QUERIED);
    } else if (bpf_core_field_exists(((struct inode___mid *)inode)->__i_ctime)) {
        struct seconds s = BPF_CORE_READ((struct inode___mid *)inode, __i_ctime);
        e->file[2] = (__u64)s.tv_sec * 1000000000 + s.tv_nsec;
    } else {
        struct seconds s = BPF_CORE_READ((struct inode___old *)inode, i_ctime);
        e->file[2] = (__u64)s.tv_sec * 1000000000 + s.tv_nsec;
    }
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
    struct task_struct *task = (void *)ctx->args[0];
    struct linux_binprm *bprm = (void *)ctx->args[2];
    struct pw_exec *e = reserve(sizeof *e);
    if (!e)
        return 0;
    struct mm_struct *mm = BPF_CORE_READ(task, mm);
    struct inode *inode = BPF_CORE_READ(mm, exe_file, f_inode);
    e->kind = PW_EXEC;
    e->pid = BPF_CORE_READ(task, tgid);
    e->uid = BPF_CORE_READ(task, cred, euid.val);
    e->session = BPF_CORE_READ(task, signal, pids[SID], numbers[0].nr);
    e->at_ns = bpf_ktime_get_boot_ns();
    e->start_ns = BPF_CORE_READ(task, start_boottime);
    e->terminal = BPF_CORE_READ(task, signal, tty) != 0;
    e->file[0] = BPF_CORE_READ(inode, i_sb, s_dev);
    e->file[1] = BPF_CORE_READ(inode, i_ino);
    changed(inode, e);
    e->name[0] = 0;
    bpf_probe_read_kernel_str(e->name, sizeof e->name, BPF_CORE_READ(bprm, filename));
    unsigned long from = BPF_CORE_READ(mm, arg_start), all = BPF_CORE_READ(mm, arg_end) - from;
    __u32 n = all > PW_ARGS ? PW_ARGS : (__u32)all;
    e->args_all = all > 0xffffffff ? 0xffffffff : (__u32)all;
    if (n > PW_ARGS || bpf_probe_read_user(e->args, n, (void *)from))
        e->args_all = 0;
    bpf_ringbuf_submit(e, 0);
    return 0;
}

SEC("raw_tp/inet_sock_set_state")
int on_state(struct bpf_raw_tracepoint_args *ctx)
{
    struct sock *sk = (void *)ctx->args[0];
    int was = (int)ctx->args[1], is = (int)ctx->args[2];
    __u32 kind = is == SYN_SENT ? PW_CONNECT : is == ESTABLISHED && was == SYN_RECV ? PW_ACCEPT : 0;
    if (!kind || BPF_CORE_READ(sk, sk_protocol) != TCP)
        return 0;
    __u16 family = BPF_CORE_READ(sk, __sk_common.skc_family), port = BPF_CORE_READ(sk, __sk_common.skc_dport);
    if (family != INET && family != INET6)
        return 0;
    struct pw_net *e = reserve(sizeof *e);
    if (!e)
        return 0;
    __builtin_memset(e, 0, sizeof *e);
    e->kind = kind;
    e->pid = kind == PW_CONNECT ? bpf_get_current_pid_tgid() >> 32 : 0; /* an accepted one comes whenever it comes */
    e->at_ns = bpf_ktime_get_boot_ns();
    e->v6 = family == INET6;
    e->ports = (__u32)__builtin_bswap16(port) << 16 | BPF_CORE_READ(sk, __sk_common.skc_num);
    if (e->v6) {
        bpf_core_read(e->to, 16, &sk->__sk_common.skc_v6_daddr);
        bpf_core_read(e->from, 16, &sk->__sk_common.skc_v6_rcv_saddr);
    } else {
        bpf_core_read(e->to, 4, &sk->__sk_common.skc_daddr);
        bpf_core_read(e->from, 4, &sk->__sk_common.skc_rcv_saddr);
    }
    bpf_ringbuf_submit(e, quiet());
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
