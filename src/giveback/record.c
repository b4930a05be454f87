/* Records and metadata as bytes; names of the folder. */
#include <errno.h>
#include "giveback/internal.h"
#include "plat/clock.h"
#include "plat/fs.h"

int put_zigzag(struct sm_buf *b, int64_t v)
{
    return sm_buf_put_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

int64_t get_zigzag(struct sm_rd *r)
{
    uint64_t v = sm_rd_varint(r);
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static int put_time(struct sm_buf *b, struct sm_time t)
{
    int r = put_zigzag(b, t.s);
    return r < 0 ? r : sm_buf_put_varint(b, t.ns);
}

static struct sm_time get_time(struct sm_rd *r)
{
    struct sm_time t = {.s = get_zigzag(r)};
    uint64_t ns = sm_rd_varint(r);
    if (ns > 999999999 && r->err == 0)
        r->err = -SM_EFORMAT;
    t.ns = (uint32_t)(ns % 1000000000);
    return t;
}

int put_object(struct sm_buf *b, const struct plat_object *o)
{
    int r = sm_buf_put_varint(b, o->dev);
    if (r == 0)
        r = sm_buf_put_varint(b, o->ino);
    return r < 0 ? r : put_time(b, (struct sm_time){o->born_s, o->born_ns});
}

void get_object(struct sm_rd *r, struct plat_object *ret)
{
    struct plat_object o = {.dev = sm_rd_varint(r)};
    o.ino = sm_rd_varint(r);
    struct sm_time t = get_time(r);
    o.born_s = t.s;
    o.born_ns = t.ns;
    *ret = o;
}

int record_put(struct sm_buf *b, const struct record *k)
{
    int r = sm_buf_put_u8(b, R_KEPT);
    const uint64_t head[] = {k->id, k->tree, k->pid};
    for (size_t i = 0; i < 3 && r == 0; i++)
        r = sm_buf_put_varint(b, head[i]);
    if (r == 0)
        r = sm_buf_put_u8(b, k->kind);
    if (r == 0)
        r = put_zigzag(b, k->at);
    if (r == 0)
        r = sm_buf_put_blob(b, k->path);
    if (r == 0)
        r = sm_buf_put_blob(b, k->was);
    if (r == 0)
        r = put_object(b, &k->object);
    if (r == 0)
        r = sm_buf_put_varint(b, k->from);
    if (r == 0)
        r = sm_buf_put_varint(b, k->room);
    return r < 0 ? r : sm_buf_put_blob(b, k->meta);
}

bool path_ok(struct sm_span p)
{
    if (p.n < 2 || p.n > GIVEBACK_PATH_MAX - 1 || p.p[0] != '/' || memchr(p.p, 0, p.n))
        return false;
    for (size_t at = 1; at <= p.n;) {
        const uint8_t *slash = at < p.n ? memchr(p.p + at, '/', p.n - at) : NULL;
        size_t n = slash ? (size_t)(slash - p.p) - at : p.n - at;
        if (!plat_fs_name_ok(SM_SPAN(p.p + at, n)))
            return false;
        at += n + 1;
    }
    return true;
}

bool path_within(struct sm_span path, struct sm_span top)
{
    return path.n >= top.n && memcmp(path.p, top.p, top.n) == 0 && (path.n == top.n || path.p[top.n] == '/');
}

int record_get(struct sm_span p, struct record *ret)
{
    struct sm_rd r = SM_RD(p);
    struct record k = {.id = sm_rd_varint(&r), .tree = sm_rd_varint(&r)};
    uint64_t pid = sm_rd_varint(&r);
    k.pid = (uint32_t)pid;
    k.kind = sm_rd_u8(&r);
    k.at = get_zigzag(&r);
    k.path = sm_rd_blob(&r, GIVEBACK_PATH_MAX);
    k.was = sm_rd_blob(&r, GIVEBACK_PATH_MAX);
    get_object(&r, &k.object);
    k.from = sm_rd_varint(&r);
    k.room = sm_rd_varint(&r);
    k.meta = sm_rd_blob(&r, META_MAX);
    if (r.err)
        return r.err;
    if (k.id == 0 || k.tree == 0 || pid > UINT32_MAX || k.kind > GIVEBACK_REMOVED || !path_ok(k.path) || k.from > k.id ||
        (k.kind == GIVEBACK_RENAMED) != (k.was.n > 0) || (k.was.n && !path_ok(k.was)))
        return -SM_EFORMAT;
    *ret = k;
    return 0;
}

int meta_put(struct sm_buf *b, const struct plat_meta *m)
{
    int r = sm_buf_put_u8(b, (uint8_t)m->type);
    const uint64_t head[] = {m->mode, m->uid, m->gid, m->size};
    for (size_t i = 0; i < 4 && r == 0; i++)
        r = sm_buf_put_varint(b, head[i]);
    const struct sm_time times[] = {m->atime, m->mtime, m->ctime};
    for (size_t i = 0; i < 3 && r == 0; i++)
        r = put_time(b, times[i]);
    if (r == 0)
        r = sm_buf_put_blob(b, sm_buf_span(&m->target));
    if (r == 0)
        r = sm_buf_put_varint(b, m->xattr_n);
    for (size_t i = 0; i < m->xattr_n && r == 0; i++) {
        r = sm_buf_put_blob(b, SM_SPAN_STR(m->xattr[i].name));
        if (r == 0)
            r = sm_buf_put_blob(b, SM_SPAN(m->xattr[i].value, m->xattr[i].value_n));
    }
    return r;
}

static int get_xattrs(struct sm_rd *r, struct plat_meta *m)
{
    uint64_t n = sm_rd_varint(r);
    int err = r->err ? r->err : n > PLAT_XATTR_MAX ? -SM_ELIMIT : 0;
    for (uint64_t i = 0; i < n && err == 0; i++) {
        char name[256];
        struct sm_span s = sm_rd_blob(r, sizeof name - 1), value = sm_rd_blob(r, PLAT_XATTR_BYTES);
        if (r->err || s.n == 0 || memchr(s.p, 0, s.n))
            return r->err ? r->err : -SM_EFORMAT;
        memcpy(name, s.p, s.n);
        name[s.n] = 0;
        err = plat_meta_add_xattr(m, name, value);
    }
    return err == -SM_EEXISTS ? -SM_EFORMAT : err;
}

int meta_get(struct sm_span p, struct plat_meta *ret)
{
    struct sm_rd r = SM_RD(p);
    struct plat_meta m = {.type = sm_rd_u8(&r)};
    uint64_t mode = sm_rd_varint(&r), uid = sm_rd_varint(&r), gid = sm_rd_varint(&r);
    m.size = sm_rd_varint(&r);
    m.atime = get_time(&r);
    m.mtime = get_time(&r);
    m.ctime = get_time(&r);
    struct sm_span target = sm_rd_blob(&r, GIVEBACK_PATH_MAX);
    m.mode = (uint32_t)mode;
    m.uid = (uint32_t)uid;
    m.gid = (uint32_t)gid;
    int err = r.err ? r.err : mode > 07777 || uid > UINT32_MAX || gid > UINT32_MAX ? -SM_EFORMAT : 0;
    if (err == 0 && target.n) {
        m.target.max = GIVEBACK_PATH_MAX + 1;
        err = sm_buf_put_span(&m.target, target);
    }
    if (err == 0)
        err = get_xattrs(&r, &m);
    if (err < 0) {
        plat_meta_wipe(&m);
        return err;
    }
    *ret = m;
    return 0;
}

void id_name(uint64_t id, char *ret)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(id >> (8 * (7 - i)));
    sm_hex(b, 8, ret);
}

int id_of_name(struct sm_span name, uint64_t *ret)
{
    uint8_t b[8];
    uint64_t v = 0;
    if (name.n != 16 || sm_unhex((const char *)name.p, 16, b, 8) < 0)
        return -SM_EFORMAT;
    for (int i = 0; i < 8; i++)
        v = v << 8 | b[i];
    *ret = v;
    return 0;
}

int folder_below(int folder, const char *name)
{
    int fd = plat_fs_open_dir(folder, name);
    if (fd != -ENOENT)
        return fd;
    int r = plat_fs_mkdir(folder, name, 0700);
    if (r == 0 || r == -EEXIST)
        r = plat_fs_sync_dir(folder);
    return r < 0 ? r : plat_fs_open_dir(folder, name);
}

int boot_now(char ret[16])
{
    char text[PLAT_BOOT_ID_TEXT], hex[33];
    size_t n = 0;
    int r = plat_clock_boot_id(text);
    if (r < 0)
        return r;
    for (const char *p = text; *p && n < 32; p++) {
        if (*p != '-')
            hex[n++] = *p;
    }
    return n == 32 ? sm_unhex(hex, 32, ret, 16) : -SM_EFORMAT;
}
