/* What the program in the kernel (procwatch.bpf.c) and its reader (../procwatch_bpf.c) say to each other; built
 * together, so no version. */
#ifndef SM_PROCWATCH_SHARED_H
#define SM_PROCWATCH_SHARED_H

enum { PW_FORK = 1, PW_EXEC, PW_EXIT, PW_CONNECT, PW_ACCEPT };
enum {
    PW_ARGS = 512,
    PW_NAME = 128,
    PW_RING = 1 << 20,
    PW_WAKE = 1 << 18 /* bytes waiting that are worth waking somebody for */
};

struct pw_short { /* FORK: a process other made pid; EXIT */
    __u32 kind, pid, other, pad;
    __u64 at_ns; /* since boot */
    __u64 start_ns;
};
struct pw_exec {
    __u32 kind, pid, uid, session;
    __u64 at_ns, start_ns;
    __u64 file[3];
    __u32 terminal, args_all; /* args_all: bytes of arguments there were */
    char name[PW_NAME], args[PW_ARGS];
};
struct pw_net {
    __u32 kind, pid, v6, ports; /* ports: of the other side << 16 | ours */
    __u64 at_ns;
    unsigned char from[16], to[16];
};
#endif
