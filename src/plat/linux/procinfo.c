#include "plat/procinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"

enum {
    STAT_MAX = 2048,
    STATUS_MAX = 8192,
    ANSWERS = 512,
    ANSWER_MS = 60 * 1000,
    FRESH_S = 24 * 60 * 60,
    KTHREAD = 0x00200000
};

/* ---- parsers ---- */

/* A number and the blanks after it; -1 when there is none. */
static int64_t number(const char **p, const char *end)
{
    bool minus = *p < end && **p == '-';
    uint64_t v = 0;
    const char *s = *p + (minus ? 1 : 0), *from = s;
    while (s < end && *s >= '0' && *s <= '9' && s - from < 19)
        v = v * 10 + (uint64_t)(*s++ - '0');
    if (s == from)
        return INT64_MIN;
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\n'))
        s++;
    *p = s;
    return minus ? -(int64_t)v : (int64_t)v;
}

/* proc(5): pid (comm) state ppid pgrp session tty_nr tpgid flags … starttime is the 22nd.  comm may hold anything. */
int procinfo_parse_stat(struct sm_span text, struct procinfo_stat *ret)
{
    const char *p = (const char *)text.p, *end = p + text.n;
    int64_t v[24] = {0};
    struct procinfo_stat s;
    int64_t pid = number(&p, end);
    const char *close = text.n ? memrchr(text.p, ')', text.n) : NULL;
    if (pid <= 0 || pid > UINT32_MAX || p >= end || *p != '(' || !close || end - close < 4 || close[1] != ' ' ||
        close[3] != ' ')
        return -SM_EFORMAT;
    s.state = close[2];
    p = close + 4;
    for (size_t i = 4; i <= 22; i++) {
        v[i] = number(&p, end);
        if (v[i] == INT64_MIN)
            return -SM_EFORMAT;
    }
    if (v[4] < 0 || v[4] > UINT32_MAX || v[22] < 0)
        return -SM_EFORMAT;
    s.pid = (uint32_t)pid;
    s.parent = (uint32_t)v[4];
    s.session = (uint32_t)v[6];
    s.terminal = (uint32_t)v[7];
    s.flags = (uint32_t)v[9];
    s.threads = v[20] < 0 ? 0 : (uint32_t)v[20];
    s.start = (uint64_t)v[22];
    *ret = s;
    return 0;
}

/* The number that stands n-th behind a name at the beginning of a line. */
static int64_t field(struct sm_span text, const char *name, unsigned n)
{
    size_t len = strlen(name);
    const char *p = (const char *)text.p, *end = p + text.n;
    while (p && p < end) {
        if ((size_t)(end - p) > len && memcmp(p, name, len) == 0) {
            p += len;
            while (p < end && (*p == ' ' || *p == '\t'))
                p++;
            int64_t v = number(&p, end);
            while (n-- && v >= 0)
                v = number(&p, end);
            return v;
        }
        p = memchr(p, '\n', (size_t)(end - p));
        p = p ? p + 1 : NULL;
    }
    return -1;
}

int procinfo_parse_status(struct sm_span text, uint32_t *ret_tgid, uint32_t *ret_uid)
{
    int64_t tgid = field(text, "Tgid:", 0), uid = field(text, "Uid:", 1); /* the one it acts as */
    if (tgid <= 0 || tgid > UINT32_MAX || uid < 0 || uid > UINT32_MAX)
        return -SM_EFORMAT;
    *ret_tgid = (uint32_t)tgid;
    *ret_uid = (uint32_t)uid;
    return 0;
}

#define CUT "…"
/* The end of ret, which has n bytes, becomes the sign that there was more; no character of UTF-8 is left in half. */
static void cut(char *ret, size_t n)
{
    size_t at = n - sizeof CUT;
    while (at > 0 && n - at < sizeof CUT + 4 && ((uint8_t)ret[at] & 0xC0) == 0x80)
        at--;
    memcpy(ret + at, CUT, sizeof CUT);
}

void procinfo_join(struct sm_span args, char *ret, size_t n)
{
    while (args.n && args.p[args.n - 1] == 0)
        args.n--;
    size_t k = args.n < n ? args.n : n - 1;
    for (size_t i = 0; i < k; i++)
        ret[i] = args.p[i] ? (char)args.p[i] : ' ';
    ret[k] = 0;
    if (args.n > k && n > sizeof CUT + 4)
        cut(ret, n);
}

/* ---- programs ---- */

/* A star at the end: what begins so, then a digit, a dot, a minus or nothing. */
static const char *const shells[] = {
    "sh", "bash", "dash", "zsh*", "ksh*", "mksh", "fish", "tcsh", "csh", "ash", "rbash", NULL};
static const char *const interpreters[] = {"python*", "pypy*", "perl*", "ruby*", "node", "nodejs", "php*", "lua*",
    "tclsh*", "wish*", "java", "mono", "dotnet", "awk", "gawk", "mawk", "Rscript", "R", "pwsh", "expect", "guile*",
    "deno", "bun", "busybox", "gjs*", NULL};

static bool is_named(const char *const *list, const char *name)
{
    for (size_t i = 0; list[i]; i++) {
        size_t n = strlen(list[i]);
        bool star = list[i][n - 1] == '*';
        if (!star && strcmp(list[i], name) == 0)
            return true;
        if (!star || strncmp(list[i], name, n - 1) != 0)
            continue;
        size_t rest = strspn(name + n - 1, "0123456789.-");
        if (!name[n - 1 + rest])
            return true;
    }
    return false;
}

uint32_t procinfo_program_name(const char *exe)
{
    const char *slash = strrchr(exe, '/'), *name = slash ? slash + 1 : exe;
    uint32_t bits = is_named(shells, name) ? PROCINFO_SHELL | PROCINFO_INTERPRETER : 0;
    return is_named(interpreters, name) ? bits | PROCINFO_INTERPRETER : bits;
}

/* Root's, and nobody else may write it. */
static bool is_roots(const struct stat *st)
{
    return st->st_uid == 0 && !(st->st_mode & S_IWOTH) && (!(st->st_mode & S_IWGRP) || st->st_gid == 0);
}

static bool in_system(const char *exe)
{
    static const char *const places[] = {"/usr/", "/bin/", "/sbin/", "/lib", "/opt/"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strncmp(exe, places[i], strlen(places[i])) == 0)
            return !strstr(exe, "/../");
    return false;
}

static bool folders_are_roots(const char *exe)
{
    char path[PROCINFO_PATH];
    struct stat st;
    snprintf(path, sizeof path, "%s", exe);
    for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
        *slash = 0;
        if (stat(slash == path ? "/" : path, &st) || !is_roots(&st))
            return false;
    }
    return true;
}

static bool is_fresh(const char *at, const struct stat *st)
{
    struct statx x;
    int64_t now = plat_clock_wall().s, changed = st->st_ctim.tv_sec;
    if (!statx(AT_FDCWD, at, 0, STATX_BTIME, &x) && (x.stx_mask & STATX_BTIME) && x.stx_btime.tv_sec > changed)
        changed = x.stx_btime.tv_sec;
    return changed > now - FRESH_S;
}

static struct answer {
    char exe[PROCINFO_PATH];
    dev_t dev;
    ino_t ino;
    struct timespec changed;
    uint64_t until_ms;
    uint32_t bits;
} answers[ANSWERS]; /* one process, one thread that looks: the parts that use this have no other */

/* exe: its name; at: a path to the file itself, which st is of; there: the name leads to that very file. */
static uint32_t judge(const char *exe, const char *at, const struct stat *st, bool there)
{
    uint32_t hash = 2166136261u;
    for (const char *p = exe; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    struct answer *a = &answers[hash % ANSWERS];
    uint64_t now = plat_clock_mono_ms();
    if (there && a->until_ms > now && a->ino == st->st_ino && a->dev == st->st_dev &&
        a->changed.tv_sec == st->st_ctim.tv_sec && a->changed.tv_nsec == st->st_ctim.tv_nsec &&
        strcmp(a->exe, exe) == 0)
        return a->bits;
    uint32_t bits = procinfo_program_name(exe);
    if (there && in_system(exe) && S_ISREG(st->st_mode) && is_roots(st) && folders_are_roots(exe))
        bits |= PROCINFO_PACKAGED;
    if (is_fresh(at, st))
        bits |= PROCINFO_FRESH;
    if (there) {
        snprintf(a->exe, sizeof a->exe, "%s", exe);
        a->dev = st->st_dev;
        a->ino = st->st_ino;
        a->changed = st->st_ctim;
        a->until_ms = now + ANSWER_MS;
        a->bits = bits;
    }
    return bits;
}

uint32_t procinfo_program(const char *exe)
{
    struct stat st;
    if (strlen(exe) >= PROCINFO_PATH || stat(exe, &st))
        return procinfo_program_name(exe);
    return judge(exe, exe, &st, true);
}

/* ---- a look ---- */

static int open_proc(uint32_t id)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%u", id);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

/* What is there of a file of /proc, at most n bytes. */
static ssize_t read_some(int dir, const char *name, void *to, size_t n)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t k = 0, got = 0;
    while ((size_t)got < n && (k = plat_fs_read(fd, (char *)to + got, n - (size_t)got)) > 0)
        got += k;
    close(fd);
    return k < 0 ? k : got;
}

static int ended(ssize_t err)
{
    return err == -ENOENT || err == -ESRCH || err >= 0 ? -ESRCH : (int)err;
}

/* Was a removed file where its name says?  Only where it is seen as we see it. */
static bool in_our_mounts(int dir)
{
    struct stat theirs, ours;
    return !fstatat(dir, "ns/mnt", &theirs, 0) && !stat("/proc/self/ns/mnt", &ours) && theirs.st_ino == ours.st_ino;
}

static void look_program(int dir, struct procinfo *p)
{
    static const char removed[] = " (deleted)";
    char path[4096], at[64];
    struct stat st, named;
    ssize_t n = readlinkat(dir, "exe", path, sizeof path - 1);
    if (n <= 0)
        return;
    path[n] = 0;
    bool gone = (size_t)n > sizeof removed - 1 && strcmp(path + n - (sizeof removed - 1), removed) == 0;
    if (fstatat(dir, "exe", &st, 0))
        st = (struct stat){0};
    bool there = !stat(path, &named) && named.st_ino == st.st_ino && named.st_dev == st.st_dev;
    if (gone && !there) {
        path[(size_t)n - (sizeof removed - 1)] = 0;
        there = st.st_nlink == 0 && in_our_mounts(dir);
    }
    p->ino = st.st_ino;
    p->changed_ns = st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    snprintf(at, sizeof at, "/proc/self/fd/%d/exe", dir);
    size_t whole = strlen(path);
    memcpy(p->exe, path, whole < sizeof p->exe ? whole + 1 : sizeof p->exe);
    if (whole >= sizeof p->exe) {
        cut(p->exe, sizeof p->exe);
        p->bits |= procinfo_program_name(path);
    } else if (st.st_ino) {
        p->bits |= judge(p->exe, at, &st, there);
    }
}

static void look_line(int dir, struct sm_span stat_text, struct procinfo *p)
{
    char args[PROCINFO_LINE + 64];
    ssize_t n = read_some(dir, "cmdline", args, sizeof args);
    if (n > 0) {
        procinfo_join(SM_SPAN(args, n), p->line, sizeof p->line);
        return;
    }
    const char *open = memchr(stat_text.p, '(', stat_text.n), *close = memrchr(stat_text.p, ')', stat_text.n);
    if ((p->bits & PROCINFO_KERNEL) && open && close && close > open)
        snprintf(p->line, sizeof p->line, "[%.*s]", (int)(close - open - 1), open + 1);
}

/* A shell is talked to through a terminal when that is where its commands come from. */
static bool reads_terminal(int dir)
{
    char to[64];
    ssize_t n = readlinkat(dir, "fd/0", to, sizeof to - 1);
    to[n > 0 ? n : 0] = 0;
    return strncmp(to, "/dev/pts/", 9) == 0 || strncmp(to, "/dev/tty", 8) == 0 || strcmp(to, "/dev/console") == 0;
}

/* dir: of the one asked for, perhaps a thread; own: of its process. */
static int look_at(int dir, int own, struct procinfo *p)
{
    char text[STAT_MAX];
    struct procinfo_stat s;
    ssize_t n = read_some(own, "stat", text, sizeof text);
    if (n <= 0)
        return ended(n);
    int r = procinfo_parse_stat(SM_SPAN(text, n), &s);
    if (r)
        return r;
    if ((s.state == 'Z' || s.state == 'X') && s.threads < 2)
        return -ESRCH; /* a process can outlive its first thread */
    p->parent = s.parent;
    p->session = s.session;
    p->start = s.start;
    p->bits |= s.flags & KTHREAD ? PROCINFO_KERNEL : 0;
    p->bits |= p->uid > 0 && p->uid < 1000 ? PROCINFO_SERVICE_USER : 0;
    if (!(p->bits & PROCINFO_KERNEL))
        look_program(dir, p);
    look_line(dir, SM_SPAN(text, n), p);
    if (s.terminal && (s.session == p->pid || ((p->bits & PROCINFO_SHELL) && reads_terminal(dir))))
        p->bits |= PROCINFO_TERMINAL;
    return 0;
}

int procinfo_look(uint32_t id, struct procinfo *ret)
{
    char text[STATUS_MAX];
    struct procinfo p = {0};
    int dir = open_proc(id);
    if (dir < 0)
        return dir;
    ssize_t n = read_some(dir, "status", text, sizeof text);
    int r = n > 0 ? procinfo_parse_status(SM_SPAN(text, n), &p.pid, &p.uid) : ended(n);
    int own = r ? -1 : p.pid == id ? dir : open_proc(p.pid);
    if (!r)
        r = own < 0 ? own : look_at(dir, own, &p);
    if (own >= 0 && own != dir)
        close(own);
    close(dir);
    if (!r)
        *ret = p;
    return r;
}

bool procinfo_reads_terminal(uint32_t pid)
{
    int dir = open_proc(pid);
    bool yes = dir >= 0 && reads_terminal(dir);
    if (dir >= 0)
        close(dir);
    return yes;
}

bool procinfo_stands(uint32_t pid)
{
    char path[64], text[STAT_MAX];
    snprintf(path, sizeof path, "/proc/%u/task", pid);
    DIR *d = opendir(path);
    bool stands = true;
    for (struct dirent *e = d ? readdir(d) : NULL; e && stands; e = readdir(d)) {
        struct procinfo_stat st;
        int dir = e->d_name[0] == '.' ? -1 : openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ssize_t n = dir < 0 ? -1 : read_some(dir, "stat", text, sizeof text);
        if (dir >= 0)
            close(dir);
        if (n > 0 && !procinfo_parse_stat(SM_SPAN(text, n), &st))
            stands = strchr("TtZXx", st.state) != NULL;
    }
    if (d)
        closedir(d);
    return stands;
}

int procinfo_process(uint32_t thread, uint32_t *ret_pid)
{
    char text[STATUS_MAX];
    uint32_t uid;
    int dir = open_proc(thread);
    if (dir < 0)
        return dir;
    ssize_t n = read_some(dir, "status", text, sizeof text);
    close(dir);
    return n > 0 ? procinfo_parse_status(SM_SPAN(text, n), ret_pid, &uid) : ended(n);
}

ssize_t procinfo_list(uint32_t *ret, size_t max)
{
    DIR *d = opendir("/proc");
    if (!d)
        return -errno;
    size_t n = 0;
    for (struct dirent *e = readdir(d); e && n < max; e = readdir(d)) {
        const char *p = e->d_name;
        int64_t pid = number(&p, p + strlen(p));
        if (pid > 0 && pid <= UINT32_MAX && !*p)
            ret[n++] = (uint32_t)pid;
    }
    closedir(d);
    return (ssize_t)n;
}
