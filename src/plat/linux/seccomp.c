/*
 * The system calls of each kind of process.  A profile is a list of groups; a group a list of names.  Names this
 * machine's architecture does not have are skipped, so that one table serves all.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include "plat/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

/* What the C library, malloc, sm_loop, sm_ipc over inherited descriptors and the clock need. */
static const char *const base[] = {"read", "write", "readv", "writev", "close", "lseek", "fstat", "brk", "munmap",
    "mremap", "madvise", "futex", "futex_waitv", "getrandom", "clock_gettime", "clock_getres", "clock_nanosleep",
    "nanosleep", "gettimeofday", "time", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "sigaltstack", "restart_syscall", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid",
    "getegid", "getresuid", "getresgid", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "rseq", "set_robust_list", "set_tid_address", "exit", "exit_group", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "signalfd4", "eventfd2", "timerfd_create", "timerfd_settime",
    "sendmsg", "recvmsg", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername", "dup", "dup2", "dup3", "uname",
    "sysinfo", "membarrier", "getrusage", "times", "tgkill", "pipe2", "select", "pselect6", "getcpu",
    "mlock", "mlock2", "munlock", NULL};
/* Reading files: also what shows a file's data without opening it. */
static const char *const file_read[] = {"stat", "lstat", "newfstatat", "statx", "fstatfs", "statfs", "readlink",
    "readlinkat", "access", "faccessat", "faccessat2", "getdents64", "pread64", "preadv", "preadv2", "fadvise64",
    "readahead", "flock", "getcwd", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "copy_file_range", "sendfile", "mincore", "ioprio_set", "ioprio_get", "setpriority", "getpriority", NULL};
static const char *const file_write[] = {"creat", "pwrite64", "pwritev", "pwritev2", "ftruncate",
    "fallocate", "fsync", "fdatasync", "sync_file_range", "msync", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "umask", "fchmod", "chmod", "fchmodat", "utimensat",
    NULL};
/* Giving back a restored tree. */
static const char *const file_restore[] = {"chown", "lchown", "fchown", "fchownat", "symlink", "symlinkat", "mknod",
    "mknodat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "sync", "syncfs", NULL};
static const char *const net_serve[] = {"accept", "accept4", "recvfrom", "sendto", "recvmmsg", "sendmmsg", "setsockopt",
    NULL};
static const char *const net_connect[] = {
    "socket", "connect", "bind", "recvfrom", "sendto", "recvmmsg", "sendmmsg", "setsockopt", "socketpair", NULL};
/* Confines itself once more, when its order is known. */
static const char *const land_lock[] = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", NULL};
/* What a program of the system needs to be born and to run: pg_dump, mariadb-dump and what starts them. */
static const char *const tools[] = {"execve", "execveat", "fork", "vfork", "clone", "wait4", "waitid", "pidfd_open",
    "pidfd_send_signal", "kill", "arch_prctl", "prlimit64", "getrlimit", "setrlimit", "mmap", "mprotect", "prctl", "fcntl",
    "ioctl", "setsid", "setpgid", "getpgid", "getpgrp", "getsid", "chdir", "fchdir", "getgroups", "pipe", "alarm", "setitimer",
    "getitimer", "newfstatat", "close_range", "capget", "mbind", "get_mempolicy", "epoll_create",
    "eventfd", "timer_create", "timer_settime", "timer_delete", "setgroups", "setresuid", "setresgid", "fchown", "capset", "seccomp",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", NULL};
/* A server of a database, for itself alone: "socket" is added for local ones only. */
static const char *const serve_local[] = {"connect", "bind", "listen", "accept", "accept4", "recvfrom", "sendto",
    "recvmmsg", "sendmmsg", "socketpair", "shmget", "shmat", "shmdt", "shmctl", "rt_sigsuspend", "pause", "truncate",
    "symlink", "symlinkat", "io_setup", "io_submit", "io_getevents", "io_destroy", "sched_get_priority_max",
    "sched_get_priority_min", NULL};
/* Packs are handed to link as anonymous files. */
static const char *const memory_file[] = {"memfd_create", NULL};
static const char *const file_watch[] = {"inotify_init1", "inotify_add_watch", "inotify_rm_watch", NULL};
/* Asked before files are opened; who opens them, and stopping him. */
static const char *const watch_files[] = {"fanotify_init", "fanotify_mark", "name_to_handle_at", "open_by_handle_at", "process_vm_readv",
    "pidfd_open", "pidfd_send_signal", "kill", NULL};
/* Disks that are taken away or made read-only. */
static const char *const disks[] = {"mount", "umount2", "ioctl", NULL};
static const char *const ask_local[] = {"connect", "recvfrom", "sendto", NULL};
enum { OPEN_NONE, OPEN_READ, OPEN_ALL };

static const struct profile {
    const char *name;
    const char *const *groups[8];
    int open;
    bool threads;
    const char *refused; /* answered with EPERM instead of death */
    bool local_only;     /* sockets of this machine's own, none of a network */
    bool foreign;        /* programs of others run in it: what is not allowed fails, and they go on or say so */
} profiles[] = {
    {"front", {base, file_read, net_serve}, OPEN_READ, true},
    {"keyd", {base, file_read, file_write}, OPEN_ALL, true},
    /* SQLite gives its journal the owner of the database when it finds itself to be root, and takes a no. */
    {"brain", {base, file_read, file_write}, OPEN_ALL, true, "fchown"},
    {"vault", {base, file_read, file_write}, OPEN_ALL, true},
    {"collector", {base, file_read, net_serve}, OPEN_READ, true},
    {"watch", {base, file_read, file_write}, OPEN_ALL, true},
    {"seeker", {base, file_read}, OPEN_READ, true},
    {"house", {base, file_read, net_connect}, OPEN_READ, true},
    {"opener", {base}, OPEN_NONE, false},
    /* The C library asks for the names of owners, over a socket and in files it may not open, and takes a no. */
    {"selfsave", {base, file_read, file_write}, OPEN_ALL, true, "socket"},
    {"copier", {base, file_read, file_write}, OPEN_ALL, false},
    {"courier", {base, file_read, net_connect, memory_file}, OPEN_READ, true},
    {"out", {base, file_read, net_connect}, OPEN_READ, true},
    {"agent-link", {base, file_read, file_write, net_connect}, OPEN_ALL, true},
    /* The C library asks a name service daemon over a socket before it reads /etc/passwd, and takes a no. */
    {"agent-backup", {base, file_read, file_write, memory_file}, OPEN_ALL, true, "socket"},
    {"agent-restore", {base, file_read, file_write, file_restore, land_lock}, OPEN_ALL, true, "socket"},
    {"agent-lend", {base, file_read}, OPEN_READ, false},
    {"agent-logs", {base, file_read, file_write, file_watch}, OPEN_ALL, false, "socket"},
    {"agent-inspect", {base, file_read, file_write, file_watch}, OPEN_ALL, false, "socket"},
    {"agent-media", {base, file_read, file_write, disks}, OPEN_ALL, false, "socket"},
    /* One socket of this machine: the virus scanner's. */
    {"agent-scan", {base, file_read, file_write, ask_local}, OPEN_ALL, true, NULL, true},
    /* A library of others in it: reads what it is handed, and rules. */
    {"agent-yara", {base, file_read}, OPEN_ALL, true, NULL, false, true},
    {"agent-judge", {base, file_read, file_write}, OPEN_ALL, false, "socket"},
    {"agent-sensor", {base, file_read, file_write, file_restore, watch_files}, OPEN_ALL, true, "socket"},
    {"agent-dump", {base, file_read, file_write, net_connect, tools, memory_file}, OPEN_ALL, true, NULL, false, true},
    {"agent-proof", {base, file_read, file_write, serve_local, tools, memory_file}, OPEN_ALL, true, NULL, true, true},
    /* A library of others in it, that asks for this and that and takes a no; it starts nothing and loads nothing more. */
    {"agent-smb", {base, file_read, file_write, net_connect}, OPEN_ALL, true, NULL, false, true},
    /* It starts programs of the system (actor/program.c), what is not allowed fails. */
    {"agent-actor", {base, file_read, file_write, file_restore, net_connect, tools}, OPEN_ALL, true, NULL, false, true},
    {"agent-sqlite", {base, file_read, file_write}, OPEN_ALL, true, "fchown"},
};

const char *plat_sandbox_profile(size_t i)
{
    return i < sizeof profiles / sizeof profiles[0] ? profiles[i].name : NULL;
}

static const struct profile *find(const char *name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    }
    return NULL;
}

#ifdef SANITIZED

int plat_sandbox_seccomp(const char *profile, struct plat_confined *c)
{
    if (!find(profile))
        return -SM_ENOTFOUND;
    size_t n = strlen(c->missing);
    (void)snprintf(c->missing + n, sizeof c->missing - n, "%sseccomp: left out of this sanitizer build", n ? "; " : "");
    return 0;
}

#else
#include <seccomp.h>

static int allow(scmp_filter_ctx ctx, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR || nr < 0) /* unknown here, or only a pseudo number of another architecture */
        return 0;
    return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
}

static int allow_group(scmp_filter_ctx ctx, const char *const *group)
{
    int r = 0;
    for (; *group && r == 0; group++)
        r = allow(ctx, *group);
    return r;
}

/* Calls allowed only with certain arguments, in every profile. */
static int allow_limited(scmp_filter_ctx ctx)
{
    static const int fcntl_ok[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_SETLK, F_SETLKW, F_GETLK,
        F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK, F_DUPFD, F_ADD_SEALS, F_GET_SEALS};
    int r = 0;
    for (size_t i = 0; i < sizeof fcntl_ok / sizeof fcntl_ok[0] && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntl_ok[i]));
    /* No memory that can be executed. */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* fstat of the C library: of an open descriptor, not of a path. */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
    /* prlimit64 to look, never at others; prctl only for names of threads and memory. */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
    static const int prctl_ok[] = {PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */, PR_GET_DUMPABLE, PR_CAPBSET_READ};
    for (size_t i = 0; i < sizeof prctl_ok / sizeof prctl_ok[0] && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)prctl_ok[i]));
    /* ioctl: how much is there to read, and the inode's generation (FS_IOC_GETVERSION). */
    static const unsigned long ioctl_ok[] = {0x541b /* FIONREAD */, 0x5421 /* FIONBIO */, 0x5401 /* TCGETS */,
        0x5413 /* TIOCGWINSZ */, 0x80087601 /* FS_IOC_GETVERSION */,
        0x40049409 /* FICLONE: shares the bytes of a file that may be read */, 0x8933 /* SIOCGIFINDEX, only of use with a socket */};
    for (size_t i = 0; i < sizeof ioctl_ok / sizeof ioctl_ok[0] && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, ioctl_ok[i]));
    return r;
}

static int allow_open_read(scmp_filter_ctx ctx)
{
    const scmp_datum_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, writing, 0));
#ifdef __NR_open
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, writing, 0));
#endif
    /* Its flags lie in memory, where no filter can look: callers fall back to openat. */
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
    return r;
}

static int allow_threads(scmp_filter_ctx ctx)
{
    /* clone only as threads; clone3's flags lie in memory: glibc falls back to clone. */
    int r = seccomp_rule_add(
        ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r == -EACCES ? 0 : r; /* libseccomp's word for: the same as what happens by default */
}

static int build(scmp_filter_ctx ctx, const struct profile *p)
{
    int r = allow_limited(ctx);
    for (size_t i = 0; i < sizeof p->groups / sizeof p->groups[0] && p->groups[i] && r == 0; i++)
        r = allow_group(ctx, p->groups[i]);
    if (r == 0 && p->open == OPEN_READ)
        r = allow_open_read(ctx);
    if (r == 0 && p->open == OPEN_ALL)
        r = allow_group(ctx, (const char *const[]){"open", "openat", "openat2", NULL});
    if (r == 0 && p->threads)
        r = allow_threads(ctx);
    if (r == 0 && p->refused)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(p->refused), 0);
    if (r == 0 && p->local_only)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    return r;
}

int plat_sandbox_seccomp(const char *profile, struct plat_confined *c)
{
    const struct profile *p = find(profile);
    if (!p)
        return -SM_ENOTFOUND;
    scmp_filter_ctx ctx = seccomp_init(p->foreign ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return -ENOMEM;
    int r = build(ctx, p);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r == 0)
        c->seccomp = c->nnp = true;
    return r;
}
#endif
