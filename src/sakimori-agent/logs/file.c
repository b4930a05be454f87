/*
 * Files: followed through renaming, truncation and removal, new ones of a pattern as they appear.  Linux audit's log is
 * one: its records go as they are written, and the box joins those of one serial number (src/normalise/audit.c).
 */
#include <errno.h>
#include <fnmatch.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/logs/cut.h"
#include "sakimori-agent/logs/tail.h"

#define LAST_MS 5000u     /* the end of a renamed file without a line end is a line after so long */
#define GONE_MS 600000u   /* so long after its last byte a renamed file is let go */
#define REMOVED_MS 10000u /* a removed one */
#define GONE_KEPT 2u      /* as long as no more than so many newer ones of the path are there */
#define DROPS_MAX 1024u   /* pieces of one line that are dropped in one go */

struct files {
    struct tail *t[LOG_FILES_MAX];
    size_t n;
    uint64_t k;
    bool known;     /* the first look is over: what is new from now on is read from its beginning */
    int64_t seen_s; /* of the last save */
};

static void insert(struct files *f, size_t at, struct tail *t)
{
    memmove(&f->t[at + 1], &f->t[at], (f->n - at) * sizeof f->t[0]);
    f->t[at] = t;
    f->n++;
}

static void drop(struct files *f, size_t at)
{
    tail_free(f->t[at]);
    memmove(&f->t[at], &f->t[at + 1], (--f->n - at) * sizeof f->t[0]);
}

static struct tail *find(const struct files *f, uint64_t dev, uint64_t ino)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->t[i]->fd >= 0 && f->t[i]->dev == dev && f->t[i]->ino == ino)
            return f->t[i];
    return NULL;
}

static int open_path(const struct log *l, const char *path)
{
    char folder[AGENT_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int dir = log_roots_open_dir(&l->all->roots, folder);
    int fd = dir < 0 ? dir : log_roots_open_file(&l->all->roots, dir, path);
    if (dir >= 0)
        close(dir);
    return fd;
}

/* ---- found again ---- */

/* Take what stands beside for t, or (t NULL) as a file of its own, read from its beginning. */
static struct tail *take_beside(
    struct log *l, struct files *f, size_t at, struct tail *t, struct tail_beside *b, const char *of)
{
    int fd = f->n < LOG_FILES_MAX || t ? open_path(l, b->path) : -SM_ELIMIT;
    struct tail *own = fd < 0 ? NULL : t ? t : tail_new(++f->k, b->path, of);
    char *path = own && t ? strdup(b->path) : NULL;
    if (!own || (t && !path) || tail_open(own, fd, b->gz)) {
        if (fd >= 0)
            close(fd);
        free(path);
        if (!t)
            tail_free(own);
        return NULL;
    }
    if (path) {
        free(own->path);
        own->path = path;
    }
    own->gone = true;
    own->size = b->gz ? own->at + 1 : b->size; /* of a packed one nobody knows before the end */
    own->changed_ms = l->all->now_ms();
    b->taken = true;
    if (!t)
        insert(f, at, own);
    return own;
}

/* Which of those beside is (a copy of) what t was: by its inode, else by its mark. */
static struct tail_beside *find_beside(struct log *l, const struct tail *t, struct tail_beside *b, size_t n)
{
    for (unsigned pass = t->ino ? 0 : 1; pass < 2; pass++)
        for (size_t i = n; i-- > 0;) {
            if (b[i].taken || b[i].packed || (pass == 0 && (b[i].ino != t->ino || b[i].dev != t->dev || b[i].gz)) ||
                (pass == 1 && !t->mark_n) || (!b[i].gz && b[i].size < t->at))
                continue;
            int fd = open_path(l, b[i].path);
            bool same = fd >= 0 && tail_is(fd, b[i].gz, t);
            if (fd >= 0)
                close(fd);
            if (same)
                return &b[i];
        }
    return NULL;
}

/* The file was cut while it stayed where it is.  Its copy, when there is one, has what was not read. */
static void truncated(struct log *l, struct files *f, size_t at)
{
    struct tail_beside b[TAIL_BESIDE_MAX];
    struct tail *t = f->t[at], was = *t;
    size_t n = tail_besides(&l->all->roots, t->of, b);
    for (size_t i = 0; i < n; i++)
        b[i].taken = find(f, b[i].dev, b[i].ino) != NULL;
    was.ino = 0; /* a copy has another */
    struct tail_beside *copy = find_beside(l, &was, b, n);
    struct tail *rest = copy ? take_beside(l, f, at, NULL, copy, t->of) : NULL;
    if (rest) {
        rest->at = was.at;
        rest->inside = was.inside;
        memcpy(rest->mark, was.mark, sizeof rest->mark);
        rest->mark_n = was.mark_n;
        rest->size = rest->gz ? rest->at + 1 : rest->size;
    } else {
        log_gap(l, 1, was.size > was.at ? was.size - was.at : 0, "truncated");
    }
    t->at = t->size = 0;
    t->inside = false;
    t->mark_n = 0;
    tail_besides_free(b, n);
}

/* Those of one path, after a start: each is found again or lost, and what came into being after them is read whole. */
static void resume_beside(struct log *l, struct files *f, const char *of)
{
    struct tail_beside b[TAIL_BESIDE_MAX];
    size_t n = tail_besides(&l->all->roots, of, b), last = 0;
    int64_t newest_ns = 0;
    bool lost = false, live = false;
    for (size_t i = 0; i < n; i++)
        b[i].taken = find(f, b[i].dev, b[i].ino) != NULL;
    for (size_t i = 0; i < f->n; i++) {
        struct tail *t = f->t[i];
        if (strcmp(t->of, of) != 0)
            continue;
        live |= t->fd >= 0 && !t->gone;
        struct tail_beside *is = t->fd >= 0 ? NULL : find_beside(l, t, b, n);
        if (is && take_beside(l, f, 0, t, is, of) && is->mtime_ns > newest_ns)
            newest_ns = is->mtime_ns;
        if (t->fd < 0) {
            lost |= !t->gone || t->at < t->size;
            drop(f, i--);
        } else {
            last = i + 1;
        }
    }
    if (lost)
        log_gap(l, 1, 0, "rotated away");
    if (lost && newest_ns < f->seen_s * INT64_C(1000000000))
        newest_ns = f->seen_s * INT64_C(1000000000);
    for (size_t i = 0; i < n && !live && newest_ns; i++) {
        if (b[i].taken || b[i].mtime_ns <= newest_ns)
            continue;
        if (!b[i].packed && take_beside(l, f, last, NULL, &b[i], of))
            last++;
        else
            log_gap(l, 1, b[i].size, "packed");
    }
    tail_besides_free(b, n);
}

static void resume(struct log *l, struct files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct tail *t = f->t[i];
        struct stat st;
        int fd = open_path(l, t->path);
        if (fd < 0)
            continue;
        bool same = fstat(fd, &st) == 0 && (uint64_t)st.st_ino == t->ino && (uint64_t)st.st_dev == t->dev;
        size_t len = strlen(t->path);
        bool gz = t->gone && len > 3 && strcmp(t->path + len - 3, ".gz") == 0;
        if (!same || (!gz && (uint64_t)st.st_size < t->at) || !tail_is(fd, gz, t) || tail_open(t, fd, gz))
            close(fd);
    }
    for (size_t i = 0; i < f->n; i++) /* a path's group is dealt with at its first file that was not found */
        if (f->t[i]->fd < 0) {
            char of[AGENT_PATH_MAX];
            snprintf(of, sizeof of, "%s", f->t[i]->of);
            resume_beside(l, f, of);
            i = (size_t)-1;
        }
}

/* ---- what is there ---- */

static void new_file(struct log *l, struct files *f, const char *path, int fd /* taken */, const struct stat *st)
{
    struct tail *t = f->n < LOG_FILES_MAX ? tail_new(++f->k, path, path) : NULL;
    uint8_t end = '\n';
    if (!t || tail_open(t, fd, false)) {
        close(fd);
        tail_free(t);
        log_state(l, "error", "more than %u files", LOG_FILES_MAX);
        return;
    }
    if (!f->known && !l->from_start && st->st_size > 0) {
        t->at = (uint64_t)st->st_size;
        t->inside = plat_fs_pread_all(fd, &end, 1, t->at - 1) == 0 && end != '\n';
        tail_mark(t, t->at, SM_SPAN(NULL, 0));
        l->unsaved = true;
    }
    t->size = t->at;
    t->here = true;
    t->changed_ms = l->all->now_ms();
    insert(f, f->n, t);
}

static int try_file(struct log *l, struct files *f, int dir, const char *path)
{
    struct stat st;
    int fd = log_roots_open_file(&l->all->roots, dir, path);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (fd >= 0)
            close(fd);
        return fd < 0 ? fd : -EIO;
    }
    struct tail *t = find(f, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
    if (!t) {
        new_file(l, f, path, fd, &st);
        return 0;
    }
    close(fd);
    char *now = strcmp(t->path, path) ? strdup(path) : NULL;
    if (now) {
        free(t->path);
        t->path = now;
    }
    t->here = true;
    t->gone = false;
    return 0;
}

struct glob {
    struct log *l;
    struct files *f;
    const char *folder, *pattern;
    int dir, err;
};

static int glob_one(void *arg, struct sm_span name, unsigned char type)
{
    struct glob *g = arg;
    char text[256], path[AGENT_PATH_MAX + 256];
    (void)type;
    if (name.n >= sizeof text)
        return 0;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (tail_is_rotated(text, NULL) || fnmatch(g->pattern, text, FNM_PERIOD) != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", strcmp(g->folder, "/") ? g->folder : "", text);
    if (strlen(path) < AGENT_PATH_MAX) {
        int r = try_file(g->l, g->f, g->dir, path);
        g->err = r == -EACCES || r == -ELOOP ? r : g->err;
    }
    return 0;
}

static int look_path(struct log *l, struct files *f, const char *path)
{
    char folder[AGENT_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int dir = log_roots_open_dir(&l->all->roots, folder);
    if (dir < 0)
        return dir;
    logs_watch_dir(l->all, dir, folder);
    struct glob g = {.l = l, .f = f, .folder = folder, .pattern = slash + 1, .dir = dir};
    if (strpbrk(slash + 1, "*?[")) {
        int r = plat_fs_list(dir, glob_one, &g);
        g.err = r ? r : g.err;
    } else {
        g.err = try_file(l, f, dir, path);
    }
    close(dir);
    return g.err;
}

/* Renamed and removed files are let go when they have been read and nothing came for long. */
static void let_go(struct log *l, struct files *f)
{
    uint64_t now = l->all->now_ms();
    for (size_t i = 0; i < f->n; i++) {
        struct tail *t = f->t[i];
        struct stat st;
        if (!t->gone || fstat(t->fd, &st) < 0 || (!t->gz && t->at < (uint64_t)st.st_size) ||
            (t->gz && t->size != t->at))
            continue;
        unsigned newer = 0;
        for (size_t k = i + 1; k < f->n; k++)
            newer += strcmp(f->t[k]->of, t->of) == 0 && f->t[k]->gone;
        uint64_t idle = now - t->changed_ms;
        if (idle > GONE_MS || t->gz || (st.st_nlink == 0 && idle > REMOVED_MS) || newer > GONE_KEPT) {
            drop(f, i--);
            l->unsaved = true;
        }
    }
}

static void look(struct log *l)
{
    struct files *f = l->in;
    int err = 0;
    for (size_t i = 0; i < f->n; i++)
        f->t[i]->here = false;
    size_t had = f->n;
    for (size_t i = 0; i < l->path_n; i++) {
        int r = look_path(l, f, l->path[i]);
        if (r && (!err || r == -EACCES))
            err = r;
    }
    for (size_t i = 0; i < had; i++)
        if (!f->t[i]->here && !f->t[i]->gone) {
            f->t[i]->gone = true;
            f->t[i]->changed_ms = l->all->now_ms();
        }
    l->unsaved |= !f->known;
    f->known = true;
    let_go(l, f);
    l->files = 0;
    l->soon = false;
    for (size_t i = 0; i < f->n; i++) {
        l->files += !f->t[i]->gone;
        l->soon |= f->t[i]->gone && f->t[i]->at < f->t[i]->size;
    }
    if (l->files)
        log_state(l, "ok", "%s", "");
    else if (err == -EACCES || err == -ELOOP || err == -EPERM)
        log_state(l, "refused", "%s", l->path[0]);
    else
        log_state(l, "absent", "%s", l->path[0]);
}

/* ---- records ---- */

static json_t *range_of(const struct tail *t, const struct log_cut_done *d, struct sm_span bytes)
{
    uint8_t hash[32];
    char hex[33];
    crypto_sha256(bytes, hash);
    sm_hex(hash, 16, hex);
    return json_pack("{s:I,s:I,s:I,s:b,s:s,s:I,s:I}", "k", (json_int_t)t->k, "from", (json_int_t)t->at, "to",
        (json_int_t)(t->at + d->used), "inside", d->inside, "hash", hex, "n", (json_int_t)d->n, "cut",
        (json_int_t)d->cut);
}

static struct log_cut how_of(const struct tail *t)
{
    struct sm_time now = plat_clock_wall();
    return (struct log_cut){.inside = t->inside, .limit = LOG_BATCH, .seen_ns = now.s * INT64_C(1000000000) + now.ns};
}

static void move(struct tail *t, uint64_t to, bool inside, struct sm_span bytes)
{
    t->inside = inside;
    tail_mark(t, to, bytes);
    t->at = to;
}

/* Does an earlier file of the same path come first?  One whose end may still be a line is waited for. */
static bool is_behind(const struct files *f, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (f->t[i]->gone && f->t[i]->at < f->t[i]->size && strcmp(f->t[i]->of, f->t[at]->of) == 0)
            return true;
    return false;
}

/* 1: records were appended; 0: nothing to read now; -SM_EAGAIN: the files are not what they were, look again. */
static int next_of(struct log *l, struct files *f, size_t i, json_t **ret_range)
{
    struct tail *t = f->t[i];
    struct stat st;
    uint64_t now = l->all->now_ms();
    if (fstat(t->fd, &st) < 0)
        return -errno;
    if (!t->gz && t->size != (uint64_t)st.st_size)
        t->changed_ms = now;
    if (!t->gz && ((uint64_t)st.st_size < t->at || !tail_is(t->fd, false, t))) {
        truncated(l, f, i);
        return -SM_EAGAIN;
    }
    if (!t->gz)
        t->size = (uint64_t)st.st_size;
    for (unsigned round = 0; round < DROPS_MAX; round++) {
        bool end;
        ssize_t n = tail_read(t, l->all->buf, LOG_READ, &end);
        if (n < 0)
            return (int)n;
        if (t->gz)
            t->size = t->at + (uint64_t)n + !end; /* there is more unless it ended */
        struct log_cut how = how_of(t);
        struct log_cut_done d;
        how.full = (size_t)n == LOG_READ;
        how.last = t->gone && !how.full && (end || (!t->gz && now - t->changed_ms >= LAST_MS));
        int r = log_cut_lines(&how, SM_SPAN(l->all->buf, (size_t)n), &l->batch, &d);
        struct sm_span used = SM_SPAN(l->all->buf, d.used);
        if (r || !d.used)
            return r;
        if (d.n) {
            *ret_range = range_of(t, &d, used);
            l->batch_n += d.n;
            return *ret_range ? 1 : -ENOMEM;
        }
        move(t, t->at + d.used, d.inside, used); /* empty lines, the rest of a line that went cut */
        l->unsaved = true;
    }
    l->dirty = true;
    return 0;
}

static int next(struct log *l, json_t **ret_range)
{
    struct files *f = l->in;
    for (size_t i = 0; i < f->n; i++) {
        int r = is_behind(f, i) ? 0 : next_of(l, f, i, ret_range);
        if (r == -SM_EAGAIN) {
            i = (size_t)-1; /* each time one file is back at its beginning: no more often than there are files */
            continue;
        }
        if (r)
            return r;
    }
    return 0;
}

static struct tail *range_tail(const struct files *f, const json_t *range)
{
    json_int_t k = json_integer_value(json_object_get(range, "k"));
    for (size_t i = 0; i < f->n; i++)
        if (f->t[i]->k == (uint64_t)k)
            return f->t[i];
    return NULL;
}

static int again(struct log *l, const json_t *range)
{
    struct files *f = l->in;
    struct tail *t = range_tail(f, range);
    struct sm_obj o = SM_OBJ(range);
    uint64_t from = (uint64_t)sm_obj_int(&o, "from", 0, INT64_MAX),
             to = (uint64_t)sm_obj_int(&o, "to", (int64_t)from, INT64_MAX);
    uint8_t said[16], hash[32];
    bool end;
    sm_obj_hex(&o, "hash", said, 16);
    if (o.err || !t || t->at != from || to - from > LOG_READ)
        return -SM_ENOTFOUND;
    ssize_t n = tail_read(t, l->all->buf, (size_t)(to - from), &end);
    if (n < 0)
        return (int)n;
    crypto_sha256(SM_SPAN(l->all->buf, (size_t)n), hash);
    if ((uint64_t)n != to - from || memcmp(hash, said, 16) != 0)
        return -SM_ENOTFOUND;
    struct log_cut how = how_of(t);
    struct log_cut_done d;
    how.limit = 0;
    how.full = json_is_true(json_object_get(range, "inside"));
    how.last = !how.full;
    int r = log_cut_lines(&how, SM_SPAN(l->all->buf, (size_t)n), &l->batch, &d);
    l->batch_n += r ? 0 : d.n;
    return r;
}

static void took(struct log *l, const json_t *range)
{
    struct tail *t = range_tail(l->in, range);
    uint64_t to = (uint64_t)json_integer_value(json_object_get(range, "to"));
    if (!t || (uint64_t)json_integer_value(json_object_get(range, "from")) != t->at)
        return;
    move(t, to, json_is_true(json_object_get(range, "inside")), SM_SPAN(NULL, 0));
    l->at.counts.cut += (uint64_t)json_integer_value(json_object_get(range, "cut"));
}

/* ---- kept ---- */

static json_t *save(const struct log *l)
{
    const struct files *f = l->in;
    json_t *list = json_array();
    for (size_t i = 0; i < f->n && list; i++) {
        struct tail *t = f->t[i];
        char mark[2 * TAIL_MARK_HASH + 1];
        if (!t->at && !t->gz && t->mark_n < TAIL_MARK && t->mark_n < t->size)
            tail_mark(t, 0, SM_SPAN(NULL, 0));
        sm_hex(t->mark, TAIL_MARK_HASH, mark);
        json_t *o = json_pack("{s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:b,s:b,s:s,s:i}", "k", (json_int_t)t->k, "path", t->path,
            "of", t->of, "dev", (json_int_t)t->dev, "ino", (json_int_t)t->ino, "at", (json_int_t)t->at, "size",
            (json_int_t)t->size, "inside", t->inside, "gone", t->gone, "mark", mark, "mark_n", (int)t->mark_n);
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            return NULL;
        }
    }
    return json_pack("{s:I,s:b,s:I,s:o}", "k", (json_int_t)f->k, "known", f->known, "seen_s",
        (json_int_t)plat_clock_wall().s, "files", list);
}

static int load_one(struct files *f, const json_t *row)
{
    struct sm_obj o = SM_OBJ(row);
    const char *path = sm_obj_str(&o, "path", 2, AGENT_PATH_MAX - 1), *of = sm_obj_str(&o, "of", 2, AGENT_PATH_MAX - 1);
    struct tail *t =
        path[0] == '/' && of[0] == '/' ? tail_new((uint64_t)sm_obj_int(&o, "k", 1, INT64_MAX), path, of) : NULL;
    if (!t)
        return o.err ? o.err : -SM_EFORMAT;
    t->dev = (uint64_t)sm_obj_int(&o, "dev", INT64_MIN, INT64_MAX);
    t->ino = (uint64_t)sm_obj_int(&o, "ino", INT64_MIN, INT64_MAX);
    t->at = (uint64_t)sm_obj_int(&o, "at", 0, INT64_MAX);
    t->size = (uint64_t)sm_obj_int(&o, "size", 0, INT64_MAX);
    t->inside = sm_obj_bool(&o, "inside", false);
    t->gone = sm_obj_bool(&o, "gone", false);
    sm_obj_hex(&o, "mark", t->mark, TAIL_MARK_HASH);
    t->mark_n = (unsigned)sm_obj_int(&o, "mark_n", 0, TAIL_MARK);
    if (o.err || (t->at && t->mark_n > t->at)) {
        tail_free(t);
        return -SM_EFORMAT;
    }
    insert(f, f->n, t);
    return 0;
}

static void close_files(struct log *l)
{
    struct files *f = l->in;
    while (f && f->n)
        drop(f, f->n - 1);
    free(f);
    l->in = NULL;
}

static int open_files(struct log *l, const json_t *state)
{
    struct files *f = calloc(1, sizeof *f);
    struct sm_obj o = SM_OBJ(state);
    int r = f ? 0 : -ENOMEM;
    l->in = f;
    if (r || !state)
        return r;
    const json_t *list = sm_obj_arr(&o, "files", LOG_FILES_MAX);
    f->k = (uint64_t)sm_obj_int(&o, "k", 0, INT64_MAX);
    f->known = sm_obj_bool(&o, "known", true);
    f->seen_s = sm_obj_int(&o, "seen_s", 0, INT64_MAX / 1000000000);
    r = o.err;
    for (size_t i = 0; i < json_array_size(list) && !r; i++)
        r = load_one(f, json_array_get(list, i));
    if (!r)
        resume(l, f);
    else
        close_files(l);
    return r;
}

static int no_fd(const struct log *l)
{
    (void)l;
    return -1;
}

const struct log_input log_input_file = {"file", true, open_files, close_files, look, next, again, took, save, no_fd};
const struct log_input log_input_audit = {
    "audit", false, open_files, close_files, look, next, again, took, save, no_fd};
