#include "sakimori-agent/logs/tail.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/fs.h"

#define GZ_IN ((size_t)32 << 10)
#define GZ_OUT (LOG_READ + ((size_t)64 << 10))

/* Unpacked bytes [from, from + n) of the file; what is before them is forgotten, and unpacked anew when it is asked
 * for. */
struct tail_gz {
    struct inflate_state z;
    uint64_t in_at, from;
    size_t n, in_n;
    bool end;
    uint8_t in[GZ_IN], out[GZ_OUT];
};

struct tail *tail_new(uint64_t k, const char *path, const char *of)
{
    struct tail *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct tail){.k = k, .path = strdup(path), .of = strdup(of), .fd = -1};
    if (t->path && t->of)
        return t;
    tail_free(t);
    return NULL;
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t->of);
    free(t->gz);
    free(t);
}

/* ---- what gzip made ---- */

static void gz_member(struct tail_gz *g)
{
    uint8_t *in = g->z.next_in;
    uint32_t n = g->z.avail_in;
    isal_inflate_init(&g->z);
    g->z.crc_flag = ISAL_GZIP;
    g->z.next_in = in;
    g->z.avail_in = n;
}

static void gz_begin(struct tail_gz *g)
{
    memset(&g->z, 0, sizeof g->z);
    gz_member(g);
    g->in_at = g->from = 0;
    g->n = g->in_n = 0;
    g->end = false;
}

static int gz_fill(struct tail_gz *g, int fd)
{
    if (g->z.avail_in)
        return 0;
    ssize_t n = pread(fd, g->in, sizeof g->in, (off_t)g->in_at);
    if (n < 0)
        return -errno;
    g->z.next_in = g->in;
    g->z.avail_in = (uint32_t)n;
    g->in_at += (uint64_t)n;
    g->end = n == 0; /* also of a file that breaks off: what there was is what there is */
    return 0;
}

/* Unpack until out holds what is at `at` and n bytes behind it, or the end. */
static int gz_to(struct tail_gz *g, int fd, uint64_t at, size_t n)
{
    int r = 0;
    if (at < g->from)
        gz_begin(g);
    while (!r && !g->end && g->from + g->n < at + n) {
        size_t drop = at > g->from ? (size_t)(at - g->from < g->n ? at - g->from : g->n) : 0;
        if (drop) {
            memmove(g->out, g->out + drop, g->n - drop);
            g->from += drop;
            g->n -= drop;
        }
        if (g->n == sizeof g->out)
            break;
        r = gz_fill(g, fd);
        if (r || g->end)
            break;
        size_t room = sizeof g->out - g->n;
        g->z.next_out = g->out + g->n;
        g->z.avail_out = (uint32_t)room;
        int e = isal_inflate(&g->z);
        g->n += room - g->z.avail_out;
        if (e != ISAL_DECOMP_OK && e != ISAL_END_INPUT)
            g->end = true; /* damaged from here on */
        else if (g->z.block_state == ISAL_BLOCK_FINISH)
            gz_member(g); /* another may follow */
    }
    return r;
}

static ssize_t gz_read(struct tail *t, uint8_t *to, size_t n, bool *ret_end)
{
    struct tail_gz *g = t->gz;
    int r = gz_to(g, t->fd, t->at, n);
    if (r)
        return r;
    size_t skip = t->at < g->from + g->n ? (size_t)(t->at - g->from) : g->n, have = g->n - skip;
    if (have > n)
        have = n;
    memcpy(to, g->out + skip, have);
    *ret_end = g->end && skip + have == g->n;
    return (ssize_t)have;
}

static bool gz_is(int fd, const struct tail *t)
{
    struct tail_gz *g = malloc(sizeof *g);
    uint8_t hash[32];
    bool same = false;
    if (!g)
        return false;
    gz_begin(g);
    uint64_t from = t->at ? t->at - t->mark_n : 0;
    if (!gz_to(g, fd, from, t->mark_n) && g->from <= from && g->from + g->n >= from + t->mark_n) {
        crypto_sha256(SM_SPAN(g->out + (from - g->from), t->mark_n), hash);
        same = memcmp(hash, t->mark, TAIL_MARK_HASH) == 0;
    }
    free(g);
    return same;
}

/* ---- reading ---- */

int tail_open(struct tail *t, int fd, bool gz)
{
    struct stat st;
    struct tail_gz *g = NULL;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (gz && !(g = malloc(sizeof *g)))
        return -ENOMEM;
    if (g)
        gz_begin(g);
    if (t->fd >= 0)
        close(t->fd);
    free(t->gz);
    t->gz = g;
    t->fd = fd;
    t->dev = (uint64_t)st.st_dev;
    t->ino = (uint64_t)st.st_ino;
    return 0;
}

ssize_t tail_read(struct tail *t, uint8_t *to, size_t n, bool *ret_end)
{
    *ret_end = false;
    if (t->gz)
        return gz_read(t, to, n, ret_end);
    size_t got = 0;
    while (got < n) {
        ssize_t k = pread(t->fd, to + got, n - got, (off_t)(t->at + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            break;
        got += (size_t)k;
    }
    return (ssize_t)got;
}

void tail_mark(struct tail *t, uint64_t at, struct sm_span bytes)
{
    uint8_t hash[32], buf[TAIL_MARK];
    uint64_t all = at ? at : t->size;
    unsigned n = all < TAIL_MARK ? (unsigned)all : TAIL_MARK;
    t->mark_n = 0;
    bytes.n = at ? bytes.n : 0;
    if (!n || (t->gz && bytes.n < n))
        return;
    if (bytes.n >= n)
        bytes = SM_SPAN(bytes.p + bytes.n - n, n);
    else if (plat_fs_pread_all(t->fd, buf, n, at ? at - n : 0) == 0)
        bytes = SM_SPAN(buf, n);
    else
        return;
    crypto_sha256(bytes, hash);
    memcpy(t->mark, hash, TAIL_MARK_HASH);
    t->mark_n = n;
}

bool tail_is(int fd, bool gz, const struct tail *t)
{
    uint8_t buf[TAIL_MARK], hash[32];
    if (!t->mark_n)
        return true;
    if (gz)
        return gz_is(fd, t);
    if (plat_fs_pread_all(fd, buf, t->mark_n, t->at ? t->at - t->mark_n : 0))
        return false;
    crypto_sha256(SM_SPAN(buf, t->mark_n), hash);
    return memcmp(hash, t->mark, TAIL_MARK_HASH) == 0;
}

/* ---- what stands beside ---- */

static bool ends(const char *s, size_t n, const char *end)
{
    size_t k = strlen(end);
    return n >= k && memcmp(s + n - k, end, k) == 0;
}

static bool is_packed(const char *name)
{
    static const char *const other[] = {".xz", ".zst", ".bz2", ".lz4", ".Z"};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (ends(name, strlen(name), other[i]))
            return true;
    return false;
}

bool tail_is_rotated(const char *name, const char *base)
{
    size_t n = strlen(name), from = base ? strlen(base) : 1;
    if (n <= from || (base && memcmp(name, base, from) != 0))
        return false;
    if (base)
        return ((name[from] == '.' || name[from] == '-') && name[from + 1] >= '0' && name[from + 1] <= '9') ||
               strncmp(name + from, ".old", 4) == 0;
    if (ends(name, n, ".gz") || is_packed(name) || ends(name, n, ".old") || name[n - 1] == '~')
        return true;
    size_t digits = 0;
    while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
        digits++;
    return digits && digits < n - 1 && (name[n - 1 - digits] == '.' || (name[n - 1 - digits] == '-' && digits >= 8));
}

struct collect {
    const struct log_roots *roots;
    const char *path, *base;
    struct tail_beside *to;
    size_t n;
    int dir;
};

static int collect_one(void *arg, struct sm_span name, unsigned char type)
{
    struct collect *c = arg;
    char text[256], path[AGENT_PATH_MAX];
    struct stat st;
    (void)type;
    if (c->n == TAIL_BESIDE_MAX || name.n >= sizeof text)
        return 0;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (!tail_is_rotated(text, c->base) || fstatat(c->dir, text, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode) || (size_t)(c->base - c->path) + name.n >= sizeof path)
        return 0;
    snprintf(path, sizeof path, "%.*s%s", (int)(c->base - c->path), c->path, text);
    struct tail_beside b = {.path = strdup(path),
        .dev = (uint64_t)st.st_dev,
        .ino = (uint64_t)st.st_ino,
        .size = (uint64_t)st.st_size,
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .gz = ends(text, name.n, ".gz"),
        .packed = is_packed(text)};
    if (!b.path)
        return -ENOMEM;
    size_t i = c->n++;
    for (; i > 0 && c->to[i - 1].mtime_ns > b.mtime_ns; i--)
        c->to[i] = c->to[i - 1];
    c->to[i] = b;
    return 0;
}

size_t tail_besides(const struct log_roots *r, const char *path, struct tail_beside ret[TAIL_BESIDE_MAX])
{
    char folder[AGENT_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int dir = log_roots_open_dir(r, folder);
    if (dir < 0)
        return 0;
    struct collect c = {.roots = r, .path = path, .base = slash + 1, .to = ret, .dir = dir};
    (void)plat_fs_list(dir, collect_one, &c); /* what was found until then */
    close(dir);
    return c.n;
}

void tail_besides_free(struct tail_beside *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(b[i].path);
}
