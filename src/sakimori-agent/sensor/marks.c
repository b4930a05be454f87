/* Which folders are watched: the roots, the walk that marks all below them, and new folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/procinfo.h"
#include "sakimori-agent/sensor/internal.h"
#include "vault/backup/canary.h"

#define WALKS_MAX 1024u
#define DECOYS_S 20
#define PACE 256u       /* folders, then a pause */
#define FILES_PACE 4096u
#define PACE_MS 5
#define STACK_BYTES ((size_t)64 << 20)
#define DEPTH_MAX 120

struct walk {
    struct walk *next;
    bool on;
    char path[];
};

/* ---- roots ---- */

static bool is_below(const char *path, const struct root *r)
{
    return strncmp(path, r->path, r->n) == 0 && (path[r->n] == 0 || path[r->n] == '/' || r->n == 1);
}

/* ---- what they are ---- */

static int add_root(struct root *list, size_t *n, const char *path)
{
    char real[PLAT_PATH_MAX];
    size_t there;
    if (*n == ROOTS_MAX || path[0] != '/' || plat_real_path(path, real, &there))
        return 0; /* one more than is taken, or none */
    size_t len = strlen(real);
    while (len > 1 && real[len - 1] == '/')
        real[--len] = 0;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(list[i].path, real) == 0)
            return 0;
    list[*n] = (struct root){strdup(real), len};
    return list[*n].path ? (++*n, 0) : -ENOMEM;
}

struct finding_roots {
    struct sensor *s;
    int err;
};

/* Everything that stands in "/" but the system's own. */
static int on_top(void *arg, struct sm_span name, unsigned char type)
{
    static const char *const own[] = {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc", "run",
        "sbin", "sys", "usr", "var", "snap"};
    struct finding_roots *f = arg;
    char path[300];
    if ((type != DT_DIR && type != DT_UNKNOWN) || name.n > 255)
        return 0;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp((const char *)name.p, own[i]) == 0)
            return 0;
    snprintf(path, sizeof path, "/%s", (const char *)name.p);
    f->err = add_root(f->s->root, &f->s->root_n, path);
    return f->err;
}

static int add_auto(struct sensor *s)
{
    static const char *const also[] = {
        "/var/lib/postgresql", "/var/lib/mysql", "/var/lib/samba", "/var/mail", "/var/www", "/opt/jma"};
    struct finding_roots f = {.s = s};
    int top = plat_fs_open_dir(AT_FDCWD, "/");
    if (top >= 0 && plat_fs_list(top, on_top, &f) < 0 && !f.err)
        f.err = -EIO;
    if (top >= 0)
        close(top);
    for (size_t i = 0; i < sizeof also / sizeof also[0] && !f.err; i++)
        f.err = add_root(s->root, &s->root_n, also[i]);
    return f.err;
}

uint64_t roots_sum(const struct sensor *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->root_n; i++)
        sum = sum * 31 + held_hash(SM_SPAN_STR(s->root[i].path));
    for (size_t i = 0; i < s->out_n; i++)
        sum = sum * 37 + held_hash(SM_SPAN_STR(s->out[i].path));
    return sum;
}

void roots_free(struct sensor *s)
{
    for (size_t i = 0; i < s->root_n; i++)
        free(s->root[i].path);
    for (size_t i = 0; i < s->out_n; i++)
        free(s->out[i].path);
    s->root_n = s->out_n = 0;
}

/* The folders of sources stand first: they are marked first. */
int roots_set(struct sensor *s, const struct endpoint_policy *p, const char *const *sources, size_t n)
{
    int r = 0;
    roots_free(s);
    for (size_t i = 0; i < n && p->protect_auto && !r; i++)
        r = add_root(s->root, &s->root_n, sources[i]);
    for (size_t i = 0; i < p->protect.n && !r; i++)
        r = add_root(s->root, &s->root_n, p->protect.at[i]);
    if (!r && p->protect_auto && s->setup.everywhere)
        r = add_auto(s);
    for (size_t i = 0; i < p->exclude.n && !r; i++)
        r = add_root(s->out, &s->out_n, p->exclude.at[i]);
    if (!r && s->setup.data)
        r = add_root(s->out, &s->out_n, s->setup.data);
    return r;
}

static bool in_list(const char *path, const struct root *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_below(path, &list[i]))
            return true;
    return false;
}

bool roots_have(struct sensor *s, const char *path)
{
    pthread_mutex_lock(&s->settings_lock);
    bool yes = in_list(path, s->root, s->root_n) && !in_list(path, s->out, s->out_n);
    pthread_mutex_unlock(&s->settings_lock);
    return yes;
}

static bool is_out(struct sensor *s, const char *path)
{
    pthread_mutex_lock(&s->settings_lock);
    bool yes = in_list(path, s->out, s->out_n);
    pthread_mutex_unlock(&s->settings_lock);
    return yes;
}

/* File systems of this machine's own disks; others tell nothing of what is done to them elsewhere, or hold no files of people. */
static bool is_local(int fd)
{
    static const unsigned long kinds[] = {0xef53 /* ext */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0x01021994 /* tmpfs */,
        0xf2f52010 /* f2fs */, 0x4d44 /* vfat */, 0x2011bab0 /* exfat */, 0x7366746e /* ntfs3 */, 0x5346544e /* ntfs */,
        0x794c7630 /* overlay */, 0x2fc12fc1 /* zfs */, 0xf15f /* ecryptfs */, 0xca451a4e /* bcachefs */, 0x52654973 /* reiserfs */};
    struct statfs fs;
    for (size_t i = 0; !fstatfs(fd, &fs) && i < sizeof kinds / sizeof kinds[0]; i++)
        if ((unsigned long)fs.f_type == kinds[i])
            return true;
    return false;
}

/* ---- the walk ---- */

struct stack {
    char *at; /* paths below the start, each behind its depth, each with its NUL; the last is taken first */
    size_t n, room;
};

static int push(struct stack *k, const char *path, const char *name, uint8_t depth)
{
    size_t need = 1 + strlen(path) + 1 + strlen(name) + 1 + sizeof(uint32_t);
    if (k->n + need > STACK_BYTES)
        return -SM_ELIMIT;
    if (k->n + need > k->room) {
        size_t room = k->room ? 2 * k->room : 65536;
        room = room < k->n + need ? k->n + need : room;
        char *more = realloc(k->at, room);
        if (!more)
            return -ENOMEM;
        k->at = more;
        k->room = room;
    }
    char *p = k->at + k->n;
    p[0] = (char)depth;
    int len = snprintf(p + 1, need - 1, "%s%s%s", path, path[0] ? "/" : "", name);
    uint32_t whole = (uint32_t)len + 2;
    memcpy(p + whole, &whole, sizeof whole);
    k->n += whole + sizeof whole;
    return 0;
}

/* The path on top, copied to ret. */
static bool pop(struct stack *k, char ret[FSWATCH_PATH], uint8_t *ret_depth)
{
    uint32_t whole;
    if (!k->n)
        return false;
    memcpy(&whole, k->at + k->n - sizeof whole, sizeof whole);
    k->n -= whole + sizeof whole;
    *ret_depth = (uint8_t)k->at[k->n];
    snprintf(ret, FSWATCH_PATH, "%s", k->at + k->n + 1);
    return true;
}

struct walking {
    struct sensor *s;
    struct stack stack;
    const char *start, *here;
    int root, here_fd;
    uint8_t depth;
    bool on, files; /* files: the second time over, when all folders are marked */
    size_t file_n;
};

void marks_file(struct sensor *s, int dirfd, const char *name)
{
    bool pinned = atomic_load(&s->files) < FILES_PINNED;
    if (!fswatch_file(s->w, dirfd, name, pinned) && pinned)
        atomic_fetch_add(&s->files, 1);
}

static int on_name(void *arg, struct sm_span name, unsigned char type)
{
    struct walking *w = arg;
    if (w->files && type == DT_REG && w->file_n < FILES_MAX) {
        marks_file(w->s, w->here_fd, (const char *)name.p);
        if (++w->file_n % FILES_PACE == 0)
            plat_clock_sleep_ms(PACE_MS);
        return 0;
    }
    if (type != DT_DIR && type != DT_UNKNOWN)
        return 0;
    return push(&w->stack, w->here, (const char *)name.p, (uint8_t)(w->depth + 1));
}

static void fall_back(struct sensor *s, int fd)
{
    int r = fswatch_filesystem(s->w, fd, true);
    if (r)
        return;
    if (s->setup.data) {
        int own = plat_fs_open_dir(AT_FDCWD, s->setup.data);
        if (own >= 0) {
            (void)fswatch_leave_out(s->w, own); /* its own programs are answered first in any case */
            close(own);
        }
    }
    atomic_store(&s->filesystem, true);
}

/* One folder: marked, and what stands in it put on the stack. */
static void walk_folder(struct walking *w, const char *below, uint8_t depth)
{
    struct sensor *s = w->s;
    char path[FSWATCH_PATH];
    int fd = below[0] ? plat_fs_open_beneath(w->root, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
                      : fcntl(w->root, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return; /* no folder, or gone again */
    snprintf(path, sizeof path, "%s%s%s", w->start, below[0] && strcmp(w->start, "/") != 0 ? "/" : "", below);
    bool skip = is_out(s, path) || !is_local(fd);
    int r = skip || w->files ? 0 : fswatch_folder(s->w, fd, w->on);
    if (!skip && !r && w->on && !w->files)
        atomic_fetch_add(&s->folders, 1);
    else if (!skip && r)
        atomic_fetch_add(&s->folders_failed, 1);
    if (!skip && w->on && atomic_load(&s->folders) > FOLDERS_MAX && !atomic_load(&s->filesystem))
        fall_back(s, fd);
    w->here = below;
    w->here_fd = fd;
    w->depth = depth;
    if (!skip && depth < DEPTH_MAX && !atomic_load(&s->filesystem) && plat_fs_list(fd, on_name, w))
        atomic_fetch_add(&s->folders_failed, 1);
    close(fd);
}

/* Files only after all folders: marking one reads what the disk has of it, and the folders' marks stand for all but other names. */
static void walk(struct sensor *s, const char *path, bool on, bool files)
{
    struct walking w = {.s = s, .start = path, .on = on, .files = files};
    char below[FSWATCH_PATH];
    uint8_t depth;
    unsigned n = 0;
    w.root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (w.root < 0)
        return;
    walk_folder(&w, "", 0);
    while (!atomic_load(&s->over) && pop(&w.stack, below, &depth)) {
        walk_folder(&w, below, depth);
        if (++n % PACE == 0)
            plat_clock_sleep_ms(PACE_MS);
    }
    free(w.stack.at);
    close(w.root);
}

void walk_add(struct sensor *s, const char *path, bool on)
{
    size_t n = strlen(path) + 1;
    struct walk *w = malloc(sizeof *w + n);
    if (w) {
        *w = (struct walk){.on = on};
        memcpy(w->path, path, n);
    }
    pthread_mutex_lock(&s->walk_lock);
    if (!w || s->walk_n >= WALKS_MAX) {
        s->walk_anew = true; /* too many at once: everything is walked again instead */
    } else {
        *(s->walk_last ? &s->walk_last->next : &s->walk_first) = w;
        s->walk_last = w;
        s->walk_n++;
        w = NULL;
    }
    pthread_cond_signal(&s->walk_cond);
    pthread_mutex_unlock(&s->walk_lock);
    free(w);
}

void marks_anew(struct sensor *s)
{
    pthread_mutex_lock(&s->walk_lock);
    s->walk_anew = true;
    pthread_cond_signal(&s->walk_cond);
    pthread_mutex_unlock(&s->walk_lock);
}

static void walk_roots(struct sensor *s, bool flush)
{
    char *list[ROOTS_MAX];
    size_t n = 0;
    decoys_load(s);
    programs_arm(s);
    pthread_mutex_lock(&s->settings_lock);
    for (size_t i = 0; i < s->root_n; i++)
        if ((list[n] = strdup(s->root[i].path)))
            n++;
    pthread_mutex_unlock(&s->settings_lock);
    if (flush) {
        fswatch_forget(s->w);
        atomic_store(&s->filesystem, false);
        atomic_store(&s->files, 0);
    }
    atomic_store(&s->folders, 0);
    atomic_store(&s->folders_failed, 0);
    for (size_t i = 0; i < n; i++)
        if (fswatch_has(s->w, FSWATCH_OPENS) && atomic_load(&s->mode) != ENDPOINT_OFF)
            walk(s, list[i], true, false);
    atomic_store(&s->armed, atomic_load(&s->folders) > 0);
    atomic_store(&s->walked, true);
    for (size_t i = 0; i < n; i++) {
        if (fswatch_has(s->w, FSWATCH_OPENS) && atomic_load(&s->mode) != ENDPOINT_OFF && !atomic_load(&s->filesystem))
            walk(s, list[i], true, true);
        free(list[i]);
    }
}

/* Until there is something to walk; meanwhile decoys may be laid. */
static void rest(struct sensor *s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DECOYS_S;
    if (pthread_cond_timedwait(&s->walk_cond, &s->walk_lock, &until) != ETIMEDOUT)
        return;
    pthread_mutex_unlock(&s->walk_lock);
    decoys_load(s);
    pthread_mutex_lock(&s->walk_lock);
}

void *walker_main(void *sensor)
{
    struct sensor *s = sensor;
    atomic_store(&s->tid[1], (uint64_t)gettid());
    pthread_mutex_lock(&s->walk_lock);
    while (!atomic_load(&s->over)) {
        bool anew = s->walk_anew;
        struct walk *w = s->walk_first;
        if (!anew && !w) {
            rest(s);
            continue;
        }
        bool flush = s->walk_flush;
        s->walk_anew = s->walk_flush = false;
        if (!anew) {
            s->walk_first = w->next;
            s->walk_n--;
        }
        if (!s->walk_first)
            s->walk_last = NULL;
        pthread_mutex_unlock(&s->walk_lock);
        if (anew)
            walk_roots(s, flush);
        else
            walk(s, w->path, w->on, false);
        if (!anew && w->on && !atomic_load(&s->filesystem))
            walk(s, w->path, true, true);
        if (!anew)
            free(w);
        pthread_mutex_lock(&s->walk_lock);
    }
    while (s->walk_first) {
        struct walk *w = s->walk_first;
        s->walk_first = w->next;
        free(w);
    }
    pthread_mutex_unlock(&s->walk_lock);
    return NULL;
}

/* ---- decoys ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct decoys {
    int folder;
    uint64_t *at;
    size_t n;
    struct canary *row;
};

static int on_list(void *arg, struct sm_span name, unsigned char type)
{
    struct decoys *d = arg;
    struct source_id id;
    size_t n = 0, head = strlen("canaries-");
    (void)type;
    if (name.n != head + 2 * sizeof id.b || memcmp(name.p, "canaries-", head) != 0 ||
        sm_unhex((const char *)name.p + head, name.n - head, id.b, sizeof id.b) ||
        canary_list_load(d->folder, &id, d->row, BACKUP_CANARIES_MAX, &n))
        return 0;
    for (size_t i = 0; i < n && d->n < DECOYS_MAX; i++)
        d->at[d->n++] = held_hash(SM_SPAN_STR(d->row[i].path));
    return 0;
}

void decoys_load(struct sensor *s)
{
    char path[AGENT_PATH_MAX + 16];
    struct decoys d = {.folder = -1};
    if (s->setup.data) {
        snprintf(path, sizeof path, "%s/decoys", s->setup.data);
        d.folder = plat_fs_open_dir(AT_FDCWD, path);
    }
    struct stat st;
    if (d.folder < 0 || fstat(d.folder, &st) || (st.st_mtim.tv_sec == s->decoys_at.tv_sec && st.st_mtim.tv_nsec == s->decoys_at.tv_nsec)) {
        if (d.folder >= 0)
            close(d.folder);
        return; /* none, or those that are known */
    }
    s->decoys_at = st.st_mtim;
    d.at = calloc(DECOYS_MAX, sizeof *d.at);
    d.row = calloc(BACKUP_CANARIES_MAX, sizeof *d.row);
    if (d.at && d.row && !plat_fs_list(d.folder, on_list, &d)) {
        qsort(d.at, d.n, sizeof *d.at, by_number);
        pthread_mutex_lock(&s->settings_lock);
        uint64_t *old = s->decoy;
        s->decoy = d.at;
        s->decoy_n = d.n;
        d.at = old;
        pthread_mutex_unlock(&s->settings_lock);
    }
    free(d.at);
    free(d.row);
    close(d.folder);
}

bool decoy_is(struct sensor *s, struct sm_span path)
{
    uint64_t h = held_hash(path);
    pthread_mutex_lock(&s->settings_lock);
    bool yes = s->decoy_n && bsearch(&h, s->decoy, s->decoy_n, sizeof h, by_number);
    pthread_mutex_unlock(&s->settings_lock);
    return yes;
}
