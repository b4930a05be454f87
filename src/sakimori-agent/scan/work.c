/* The worker: reads files and asks the scanners, one file at a time. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/scan/scan.h"

enum { VERSION_MS = 60000, LIST_MS = 60000, WINDOW = 256 << 10, SEEN = 8192 };

struct worker {
    struct worker_ways ways;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool stop, cancel, fresh_yara;
    char *look[SCAN_LOOKS_MAX];
    size_t looks;
    struct scan_found *found;
    size_t founds;
    struct worker_now now;
    struct scan_job job;
    int yara_fd;
    /* of the thread alone */
    struct sm_ipc *yara;
    uint64_t version_ms, list_ms;
    uint64_t rules_stamp;           /* of the files of rules and lists as they were read */
    struct indicators *list;        /* read by the loop, too: under the lock */
    bool in_job;
    uint64_t seen[SEEN];            /* files looked at as they were started */
};

void scan_found_free(struct scan_found *f)
{
    while (f) {
        struct scan_found *next = f->next;
        free(f->path);
        free(f);
        f = next;
    }
}

static void wake(struct worker *w)
{
    (void)!write(w->ways.wake, "!", 1); /* a full pipe wakes as well */
}

/* ---- what it asks ---- */

static void look_for_yara(struct worker *w)
{
    const struct sm_ipc_config c = {.body_max = 4096, .queue_max = 65536};
    pthread_mutex_lock(&w->lock);
    bool fresh = w->fresh_yara;
    int fd = w->yara_fd;
    w->fresh_yara = false;
    w->yara_fd = -1;
    pthread_mutex_unlock(&w->lock);
    if (!fresh)
        return;
    sm_ipc_free(w->yara);
    w->yara = NULL;
    if (fd >= 0 && sm_ipc_new(NULL, fd, &c, &w->yara) < 0)
        w->yara = NULL; /* without it until the next one */
    pthread_mutex_lock(&w->lock);
    w->now.yara = w->yara != NULL;
    pthread_mutex_unlock(&w->lock);
}

static void ask_version(struct worker *w)
{
    struct clamd_version v;
    uint64_t now = plat_clock_mono_ms();
    if (w->version_ms && now - w->version_ms < VERSION_MS)
        return;
    w->version_ms = now;
    bool there = clamd_version(w->ways.clamd, 5000, &v) == 0;
    pthread_mutex_lock(&w->lock);
    bool news = there != w->now.clamd;
    w->now.clamd = there;
    if (there) {
        w->now.version = v;
        w->now.old = v.has_made && plat_clock_wall().s - v.made.s > (int64_t)SCAN_OLD_DAYS * 86400;
    }
    pthread_mutex_unlock(&w->lock);
    if (news)
        wake(w);
}

struct lists { struct sm_buf all; size_t faults; int dir; uint64_t stamp; };

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static bool ends(struct sm_span s, const char *with)
{
    size_t n = strlen(with);
    return s.n > n && memcmp(s.p + s.n - n, with, n) == 0;
}

/* A file of rules that came, went or was written makes another sum; the order in which a folder names them does not matter. */
static void stamp_file(struct lists *l, struct sm_span name)
{
    struct stat st;
    if (fstatat(l->dir, (const char *)name.p, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    const uint64_t part[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec,
        (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec};
    uint64_t h = 1;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        h = mix(h, part[i]);
    for (size_t i = 0; i < name.n; i++)
        h = mix(h, name.p[i]);
    l->stamp += h;
}

static int add_list(void *arg, struct sm_span name, unsigned char type)
{
    struct lists *l = arg;
    struct sm_buf b = SM_BUF_INIT(INDICATORS_BYTES + 1);
    struct indicators *one = NULL;
    unsigned line;
    (void)type;
    bool list = ends(name, ".indicators");
    if (list || ends(name, ".yar") || ends(name, ".yara"))
        stamp_file(l, name);
    if (!list)
        return 0;
    int r = plat_fs_read_file(l->dir, (const char *)name.p, INDICATORS_BYTES, &b);
    if (r == 0)
        r = indicators_parse(sm_buf_span(&b), &one, &line);
    indicators_free(one);
    const uint8_t *nl = r == 0 ? memchr(b.p, '\n', b.n) : NULL;
    if (r == 0 && nl) /* its first line stands once for all */
        r = sm_buf_put(&l->all, nl, b.n - (size_t)(nl - b.p));
    l->faults += r != 0;
    sm_buf_wipe(&b);
    return 0;
}

static void read_lists(struct worker *w)
{
    struct lists l = {.all = SM_BUF_INIT(INDICATORS_BYTES)};
    struct indicators *fresh = NULL, *old;
    unsigned line;
    uint64_t now = plat_clock_mono_ms();
    if (w->list_ms && now - w->list_ms < LIST_MS)
        return;
    w->list_ms = now;
    int r = sm_buf_put(&l.all, "sakimori-indicators 1\n", 22);
    for (size_t i = 0; i < w->ways.rules_n && r == 0; i++) {
        l.dir = plat_fs_open_dir(AT_FDCWD, w->ways.rules[i]);
        if (l.dir < 0)
            continue;
        r = plat_fs_list(l.dir, add_list, &l);
        close(l.dir);
    }
    if (r == 0)
        r = indicators_parse(sm_buf_span(&l.all), &fresh, &line);
    sm_buf_wipe(&l.all);
    w->rules_stamp = l.stamp;
    pthread_mutex_lock(&w->lock);
    old = r == 0 ? w->list : NULL;
    if (r == 0)
        w->list = fresh;
    w->now.indicators = indicators_count(w->list);
    w->now.faults = l.faults + (r != 0);
    pthread_mutex_unlock(&w->lock);
    indicators_free(old);
}

/* ---- one file ---- */

static bool is_skipped(const struct worker *w, const char *path)
{
    for (size_t i = 0; i < w->ways.skip_n; i++) {
        size_t n = strlen(w->ways.skip[i]);
        if (strncmp(path, w->ways.skip[i], n) == 0 && (path[n] == '/' || !path[n]))
            return true;
    }
    return false;
}

static int hash_of(int fd, uint8_t ret[32])
{
    struct crypto_sha256_ctx *c;
    uint8_t *window = malloc(WINDOW);
    int r = window ? crypto_sha256_new(&c) : -ENOMEM;
    for (uint64_t off = 0; r == 0;) {
        ssize_t n = pread(fd, window, WINDOW, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0) {
            crypto_sha256_final(c, ret);
            crypto_sha256_free(c);
            break;
        }
        crypto_sha256_put(c, SM_SPAN(window, (size_t)n));
        off += (uint64_t)n;
    }
    free(window);
    return r;
}

static void note_found(struct worker *w, const char *path, const char *engine, const char *name, const uint8_t *hash, uint64_t size)
{
    struct scan_found *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path))) {
        free(f);
        return;
    }
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)snprintf(f->engine, sizeof f->engine, "%s", engine);
    sm_hex(hash, 32, f->sha256);
    f->size = size;
    pthread_mutex_lock(&w->lock);
    w->job.found += w->in_job;
    if (w->founds < SCAN_FOUND_MAX) {
        f->next = w->found;
        w->found = f;
        w->founds++;
        f = NULL;
    }
    pthread_mutex_unlock(&w->lock);
    scan_found_free(f);
    wake(w);
}

static bool by_indicator(struct worker *w, const uint8_t hash[32], char *ret)
{
    pthread_mutex_lock(&w->lock);
    const char *words = indicators_file(w->list, hash);
    if (words)
        (void)snprintf(ret, SCAN_NAME, "%.150s", *words ? words : "indicator");
    pthread_mutex_unlock(&w->lock);
    return words != NULL;
}

static bool by_yara(struct worker *w, int fd, char *ret)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    if (!w->yara)
        return false;
    uint64_t stamp = w->rules_stamp; /* other than last time: yara reads its rules anew before it answers */
    int r = sm_ipc_call_fd(w->yara, Y_SCAN, SM_SPAN(&stamp, sizeof stamp), fd, (SCAN_YARA_S + 30) * 1000, &b);
    if (r == -SM_EPEER || r == -SM_EPROTO || r == -SM_ETIME) { /* it died: a new one is attached */
        sm_ipc_free(w->yara);
        w->yara = NULL;
        pthread_mutex_lock(&w->lock);
        w->now.yara = false;
        w->now.errors++;
        pthread_mutex_unlock(&w->lock);
    }
    bool yes = r == 0 && b.n > 0;
    if (yes)
        (void)snprintf(ret, SCAN_NAME, "%.*s", (int)b.n, (const char *)b.p);
    sm_buf_wipe(&b);
    return yes;
}

static void scan_one(struct worker *w, const char *path, int fd)
{
    char name[SCAN_NAME] = "", clam[CLAMD_NAME];
    const char *engine = NULL;
    uint8_t hash[32];
    uint64_t size = 0;
    enum clamd_verdict v = CLAMD_CLEAN;
    if (is_skipped(w, path) || plat_fs_size(fd, &size) < 0 || size == 0 || size > (uint64_t)SCAN_FILE_MAX_MIB << 20)
        return;
    bool hashed = hash_of(fd, hash) == 0;
    if (hashed && by_indicator(w, hash, name))
        engine = "indicator";
    int r = engine || !w->now.clamd ? 0 : clamd_ask(w->ways.clamd, fd, SCAN_CLAMD_MS, &v, clam);
    if (r == 0 && v == CLAMD_FOUND) {
        engine = "clamd";
        (void)snprintf(name, sizeof name, "%s", clam);
    }
    if (!engine && by_yara(w, fd, name))
        engine = "yara";
    plat_fs_forget(fd, 0, size);
    pthread_mutex_lock(&w->lock);
    w->now.looked++;
    w->now.errors += r < 0 && r != -SM_ELIMIT;
    w->job.faults += w->in_job && r < 0;
    w->job.bytes += w->in_job ? size : 0;
    if (r == -SM_EPEER)
        w->version_ms = 0; /* is it still there? */
    pthread_mutex_unlock(&w->lock);
    if (engine && hashed)
        note_found(w, path, engine, name, hash, size);
}

/* A program that runs often is the same file each time: looked at once, until it, the definitions, the rules or the lists change. */
static bool seen_before(struct worker *w, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return false;
    const uint64_t part[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_ctim.tv_sec, (uint64_t)st.st_ctim.tv_nsec,
        (uint64_t)w->now.version.made.s, w->rules_stamp, w->now.clamd, w->now.yara};
    uint64_t h = 1;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        h = mix(h, part[i]);
    bool yes = w->seen[h % SEEN] == h;
    w->seen[h % SEEN] = h;
    return yes;
}

static int scan_look(void *ctx, const char *path, int fd)
{
    if (!seen_before(ctx, fd))
        scan_one(ctx, path, fd);
    return 0;
}

static char *next_look(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    char *path = w->looks ? w->look[0] : NULL;
    if (path)
        memmove(w->look, w->look + 1, --w->looks * sizeof *w->look);
    pthread_mutex_unlock(&w->lock);
    return path;
}

static void do_looks(struct worker *w)
{
    look_for_yara(w);
    ask_version(w);
    read_lists(w);
    for (char *path; (path = next_look(w)) != NULL; free(path)) {
        struct stat st;
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            (void)scan_files(path, NULL, &w->stop, scan_look, w); /* gone by now is no fault */
    }
}

static int scan_of_job(void *ctx, const char *path, int fd)
{
    struct worker *w = ctx;
    do_looks(w);
    w->in_job = true;
    scan_one(w, path, fd);
    w->in_job = false;
    pthread_mutex_lock(&w->lock);
    w->job.files++;
    free(w->job.at);
    w->job.at = strdup(path);
    bool end = w->stop || w->cancel;
    pthread_mutex_unlock(&w->lock);
    return end ? -SM_ECANCEL : 0;
}

/* Folders before the one that was under way are done. */
static size_t first_folder(const struct scan_job *j)
{
    for (size_t i = 0; j->at && i < j->n; i++) {
        size_t n = strlen(j->path[i]);
        if (strncmp(j->at, j->path[i], n) == 0 && (j->at[n] == '/' || !j->at[n] || n == 1))
            return i;
    }
    return 0;
}

static void do_job(struct worker *w)
{
    size_t from = first_folder(&w->job);
    char *after = w->job.at ? strdup(w->job.at) : NULL;
    int r = 0;
    for (size_t i = from; i < w->job.n && r != -SM_ECANCEL; i++)
        r = scan_files(w->job.path[i], i == from ? after : NULL, &w->cancel, scan_of_job, w);
    free(after);
    pthread_mutex_lock(&w->lock);
    if (!w->stop) { /* else it goes on with the next life */
        w->now.ended = true;
        w->now.cancelled = w->cancel;
        w->now.has_job = false;
    }
    w->cancel = false;
    pthread_mutex_unlock(&w->lock);
    wake(w);
}

static void wait_for_work(struct worker *w)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 5;
    pthread_mutex_lock(&w->lock);
    if (!w->stop && !w->looks && !(w->now.has_job && !w->now.ended) && !w->fresh_yara)
        (void)pthread_cond_timedwait(&w->more, &w->lock, &t); /* a time-out is looked at as well */
    pthread_mutex_unlock(&w->lock);
}

static bool ending(struct worker *w, bool *ret_job)
{
    pthread_mutex_lock(&w->lock);
    bool stop = w->stop;
    *ret_job = w->now.has_job && !w->now.ended;
    w->now.busy = *ret_job;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    bool job;
    while (!ending(w, &job)) {
        do_looks(w);
        if (job)
            do_job(w);
        else
            wait_for_work(w);
    }
    return NULL;
}

/* ---- from the loop ---- */

int worker_start(const struct worker_ways *ways, struct worker **ret)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->ways = *ways;
    w->yara_fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    int e = pthread_create(&w->thread, NULL, run, w);
    if (e) {
        free(w);
        return -e;
    }
    *ret = w;
    return 0;
}

void worker_stop(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = w->cancel = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    for (size_t i = 0; i < w->looks; i++)
        free(w->look[i]);
    scan_found_free(w->found);
    scan_job_wipe(&w->job);
    sm_ipc_free(w->yara);
    if (w->yara_fd >= 0)
        close(w->yara_fd);
    indicators_free(w->list);
    free(w);
}

void worker_look(struct worker *w, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return;
    pthread_mutex_lock(&w->lock);
    if (w->looks == SCAN_LOOKS_MAX) {
        free(w->look[0]);
        memmove(w->look, w->look + 1, --w->looks * sizeof *w->look);
        w->now.dropped++;
    }
    w->look[w->looks++] = copy;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

int worker_job(struct worker *w, struct scan_job *take)
{
    int r = 0;
    pthread_mutex_lock(&w->lock);
    if (w->now.has_job || w->now.ended) {
        r = -SM_EAGAIN;
    } else {
        scan_job_wipe(&w->job);
        w->job = *take;
        *take = (struct scan_job){0};
        w->now.has_job = true;
        w->cancel = false;
    }
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    return r;
}

void worker_cancel(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->cancel = w->now.has_job;
    pthread_mutex_unlock(&w->lock);
}

void worker_yara(struct worker *w, int take_fd)
{
    pthread_mutex_lock(&w->lock);
    if (w->yara_fd >= 0)
        close(w->yara_fd);
    w->yara_fd = take_fd;
    w->fresh_yara = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
}

struct scan_found *worker_found(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct scan_found *f = w->found;
    w->found = NULL;
    w->founds = 0;
    pthread_mutex_unlock(&w->lock);
    return f;
}

void worker_now(struct worker *w, struct worker_now *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->now;
    ret->job = w->job;
    memset(ret->job.path, 0, sizeof ret->job.path);
    ret->job.n = 0;
    ret->job.at = w->job.at ? strdup(w->job.at) : NULL;
    w->now.ended = false;
    pthread_mutex_unlock(&w->lock);
}

bool worker_indicator(struct worker *w, const char *to, char *ret_words)
{
    pthread_mutex_lock(&w->lock);
    const char *words = indicators_address(w->list, to);
    if (!words)
        words = indicators_domain(w->list, to);
    if (words)
        (void)snprintf(ret_words, INDICATORS_WORDS + 1, "%s", words);
    pthread_mutex_unlock(&w->lock);
    return words != NULL;
}
