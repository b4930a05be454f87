#include "vault/store/caches.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define FOLDER "caches"
#define ROOM ((uint64_t)1 << 30) /* of the disk, that caches leave free besides the reserve */
#define NAME_LEN 112
#define STEM 65 /* client-source */

static int folder(struct store *st, bool make)
{
    int fd = plat_fs_open_dir(st->dir, FOLDER);
    if (fd != -ENOENT || !make)
        return fd;
    int e = plat_fs_mkdir(st->dir, FOLDER, 0700);
    return e < 0 && e != -EEXIST ? e : plat_fs_open_dir(st->dir, FOLDER);
}

static void stem_of(const struct client_id *client, const struct source_id *source, char ret[NAME_LEN])
{
    char c[33], s[33];
    sm_hex(client->b, 16, c);
    sm_hex(source->b, 16, s);
    (void)snprintf(ret, NAME_LEN, "%s-%s", c, s);
}

static void name_of(const char *stem, const uint8_t log[CACHES_LOG_LEN], const char *end, char ret[NAME_LEN])
{
    char l[33];
    sm_hex(log, CACHES_LOG_LEN, l);
    (void)snprintf(ret, NAME_LEN, "%.65s-%s%s", stem, l, end);
}

static bool may_keep(const struct store *st, const struct client_id *id, int *ret_err)
{
    struct store_client c;
    *ret_err = store_client_get(st, id, &c);
    if (*ret_err == 0 && (c.frozen || c.state != STORE_JOINED))
        *ret_err = -SM_EDENIED;
    return *ret_err == 0;
}

/* ---- files of one client or source ---- */

/* end: only names that end so. */
struct sweep { int fd; const char *stem, *but, *end; size_t n; int64_t older_s; int err; };

static bool ends_so(struct sm_span name, const char *end)
{
    size_t n = strlen(end);
    return name.n >= n && memcmp(name.p + name.n - n, end, n) == 0;
}


static int sweep_one(void *arg, struct sm_span name, unsigned char type)
{
    struct sweep *s = arg;
    char text[NAME_LEN];
    struct stat st;
    (void)type;
    if (name.n >= sizeof text || (s->stem && (name.n < s->n || memcmp(name.p, s->stem, s->n) != 0)))
        return 0;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (text[0] == '.' || (s->end && !ends_so(name, s->end)) || (s->but && strcmp(text, s->but) == 0))
        return 0;
    if (s->older_s && (fstatat(s->fd, text, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtim.tv_sec >= s->older_s))
        return 0;
    int e = plat_fs_unlink(s->fd, text);
    s->err = s->err ? s->err : e == -ENOENT ? 0 : e;
    return 0;
}

static int sweep(int fd, const char *stem, size_t n, const char *but, int64_t older_s)
{
    struct sweep s = { .fd = fd, .stem = stem, .n = n, .but = but, .older_s = older_s };
    int e = plat_fs_list(fd, sweep_one, &s);
    return e < 0 ? e : s.err;
}

struct find { const char *stem; char name[NAME_LEN]; };

static int find_one(void *arg, struct sm_span name, unsigned char type)
{
    struct find *f = arg;
    (void)type;
    if (name.n != STEM + 1 + 32 + 4 || memcmp(name.p, f->stem, STEM) != 0 ||
        memcmp(name.p + name.n - 4, ".skc", 4) != 0)
        return 0;
    memcpy(f->name, name.p, name.n);
    f->name[name.n] = 0;
    return 0;
}

/* ---- writing ---- */

/* Above the vault's own reserve: caches are the first that find no room. */
static int room_for(struct store *st, uint64_t n)
{
    struct plat_fs_space s;
    int e = plat_fs_space(st->dir, ".", &s);
    if (e < 0)
        return e;
    return s.avail_bytes < st->limits.reserve_bytes || s.avail_bytes - st->limits.reserve_bytes < ROOM + n ? -ENOSPC : 0;
}

/* One log that is begun is all a source has: the names of them are the client's to choose. */
static int drop_begun(int dir, const char *stem, const char *but)
{
    struct sweep s = { .fd = dir, .stem = stem, .n = STEM, .but = but, .end = ".part" };
    int e = plat_fs_list(dir, sweep_one, &s);
    return e < 0 ? e : s.err;
}

static int write_at(int fd, uint64_t at, struct sm_span bytes, bool last)
{
    uint64_t size = 0;
    int e = plat_fs_size(fd, &size);
    if (!e && at > size)
        e = -SM_EMISMATCH;
    if (!e && at < size)
        e = plat_fs_truncate(fd, at);
    e = e ? e : plat_fs_pwrite_all(fd, bytes, at);
    return e || !last ? e : plat_fs_datasync(fd);
}

static int put_in(int dir, const struct caches_put *p, struct sm_span bytes)
{
    char stem[NAME_LEN], name[NAME_LEN], part[NAME_LEN];
    stem_of(&p->client, &p->source, stem);
    name_of(stem, p->log, ".skc", name);
    name_of(stem, p->log, ".part", part);
    int fd = plat_fs_create(dir, name, PLAT_FS_RW | PLAT_FS_EXISTING, 0600);
    bool fresh = fd == -ENOENT;
    if (fresh && !p->at && (fd = drop_begun(dir, stem, part)) < 0)
        return fd;
    if (fresh)
        fd = plat_fs_create(dir, part, PLAT_FS_RW | (p->at ? PLAT_FS_EXISTING : 0), 0600);
    if (fd < 0)
        return fd == -ENOENT ? -SM_EMISMATCH : fd;
    int e = write_at(fd, p->at, bytes, p->last);
    (void)close(fd); /* synced when it counts */
    if (!e && fresh && p->last) {
        e = plat_fs_rename(dir, part, dir, name, true);
        e = e ? e : plat_fs_sync_dir(dir);
        e = e ? e : sweep(dir, stem, STEM, name, 0); /* the one it takes the place of */
    }
    return e;
}

int caches_put(struct store *st, const struct caches_put *p, struct sm_span bytes)
{
    int e;
    if (!may_keep(st, &p->client, &e))
        return e;
    if (p->at > CACHES_LOG_MAX || bytes.n > CACHES_LOG_MAX - p->at)
        return -SM_ELIMIT;
    e = room_for(st, bytes.n);
    if (e)
        return e;
    int dir = folder(st, true);
    if (dir < 0)
        return dir;
    e = put_in(dir, p, bytes);
    (void)close(dir);
    return e;
}

/* ---- reading ---- */

static int get_in(int dir, const char *stem, uint64_t at, size_t max, uint8_t ret_log[CACHES_LOG_LEN],
    uint64_t *ret_total, struct sm_buf *ret)
{
    struct find f = { .stem = stem };
    uint64_t size = 0;
    int e = plat_fs_list(dir, find_one, &f);
    if (e < 0 || !f.name[0])
        return e < 0 ? e : -SM_ENOTFOUND;
    e = sm_unhex(f.name + STEM + 1, 32, ret_log, CACHES_LOG_LEN);
    if (e)
        return -SM_ENOTFOUND; /* not a name that was made here */
    int fd = plat_fs_open_read(dir, f.name);
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    e = plat_fs_size(fd, &size);
    size_t n = e || at >= size ? 0 : size - at < max ? (size_t)(size - at) : max;
    e = e ? e : sm_buf_reserve(ret, n);
    e = e || !n ? e : plat_fs_pread_all(fd, ret->p + ret->n, n, at);
    if (!e) {
        ret->n += n;
        *ret_total = size;
    }
    (void)close(fd); /* was only read */
    return e;
}

int caches_get(struct store *st, const struct client_id *client, const struct source_id *source, uint64_t at,
    size_t max, uint8_t ret_log[CACHES_LOG_LEN], uint64_t *ret_total, struct sm_buf *ret)
{
    char stem[NAME_LEN];
    int e;
    if (!may_keep(st, client, &e))
        return e == -SM_EDENIED ? -SM_ENOTFOUND : e;
    int dir = folder(st, false);
    if (dir < 0)
        return dir == -ENOENT ? -SM_ENOTFOUND : dir;
    stem_of(client, source, stem);
    e = get_in(dir, stem, at, max, ret_log, ret_total, ret);
    (void)close(dir);
    return e;
}

int caches_drop(struct store *st, const struct client_id *client)
{
    char hex[33];
    int dir = folder(st, false);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    sm_hex(client->b, 16, hex);
    int e = sweep(dir, hex, 32, NULL, 0);
    (void)close(dir);
    return e;
}

int caches_tidy(struct store *st, int64_t now_s)
{
    int dir = folder(st, false);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    int e = sweep(dir, NULL, 0, NULL, now_s - (int64_t)CACHES_DAYS * 86400);
    (void)close(dir);
    return e;
}
