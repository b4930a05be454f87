#include "vault/snapshot/meta.h"

#include <errno.h>

int meta_begin(struct sm_span list, struct meta_it *ret)
{
    struct meta_it it = {.rd = SM_RD(list)};
    uint8_t version;
    if (list.n > VAULT_META_MAX)
        return -SM_ELIMIT;
    version = sm_rd_u8(&it.rd);
    if (it.rd.err)
        return -SM_EFORMAT;
    if (version != 1)
        return -SM_EVERSION;
    *ret = it;
    return 0;
}

static int entry_cmp(const struct meta_entry *a, const struct meta_entry *b)
{
    if (a->os != b->os)
        return a->os < b->os ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return sm_span_cmp(a->value, b->value);
}

int meta_next(struct meta_it *it, struct meta_entry *ret)
{
    struct meta_entry e;
    if (it->rd.err)
        return -SM_EFORMAT;
    if (it->rd.n == 0)
        return 0;
    if (++it->count > META_ENTRIES_MAX)
        return -SM_ELIMIT;
    e.os = sm_rd_u8(&it->rd);
    e.type = sm_rd_varint(&it->rd);
    e.value = sm_rd_blob(&it->rd, VAULT_META_MAX);
    if (it->rd.err || (it->any && entry_cmp(&it->last, &e) >= 0))
        return -SM_EFORMAT;
    it->last = e;
    it->any = true;
    *ret = e;
    return 1;
}

int meta_check(struct sm_span list)
{
    struct meta_it it;
    struct meta_entry e;
    int r = meta_begin(list, &it);
    if (r < 0)
        return r;
    while ((r = meta_next(&it, &e)) > 0)
        ;
    return r;
}

/* ---- writing ---- */

static int put_entry(struct sm_buf *b, uint8_t os, uint64_t type, struct sm_span value)
{
    int r;
    if ((r = sm_buf_put_u8(b, os)) < 0 || (r = sm_buf_put_varint(b, type)) < 0)
        return r;
    return sm_buf_put_blob(b, value);
}

static int put_le(struct sm_buf *b, uint8_t os, uint64_t type, uint64_t v, size_t n)
{
    uint8_t le[8];
    for (size_t i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    return put_entry(b, os, type, SM_SPAN(le, n));
}

static int put_time(struct sm_buf *b, uint64_t type, struct sm_time t)
{
    uint8_t v[13];
    for (int i = 0; i < 8; i++)
        v[i] = (uint8_t)((uint64_t)t.s >> (8 * i));
    for (int i = 0; i < 4; i++)
        v[8 + i] = (uint8_t)(t.ns >> (8 * i));
    v[12] = 9;
    return put_entry(b, META_ANY, type, SM_SPAN(v, sizeof v));
}

static int put_link(struct sm_buf *b, const struct meta_extra *x)
{
    uint8_t v[16];
    for (int i = 0; i < 8; i++) {
        v[i] = (uint8_t)(x->link_group >> (8 * i));
        v[8 + i] = (uint8_t)(x->link_count >> (8 * i));
    }
    return put_entry(b, META_ANY, META_LINK, SM_SPAN(v, sizeof v));
}

static int put_any(const struct plat_meta *m, const struct meta_extra *x, unsigned flags, struct sm_buf *b)
{
    const uint8_t one = 1;
    int r = put_time(b, META_MTIME, m->mtime);
    if (r == 0 && flags & META_WITH_CTIME)
        r = put_time(b, META_CTIME, m->ctime);
    if (r == 0 && flags & META_WITH_ATIME)
        r = put_time(b, META_ATIME, m->atime);
    if (r == 0 && m->has_btime)
        r = put_time(b, META_BTIME, m->btime);
    if (r == 0 && x->has_link)
        r = put_link(b, x);
    if (r == 0 && m->type == PLAT_SYMLINK)
        r = put_entry(b, META_ANY, META_TARGET, sm_buf_span(&m->target));
    if (r == 0 && x->sparse)
        r = put_entry(b, META_ANY, META_SPARSE, SM_SPAN(NULL, 0));
    if (r == 0 && x->changed_while_read)
        r = put_entry(b, META_ANY, META_READ_NOTE, SM_SPAN(&one, 1));
    if (r == 0 && x->canary)
        r = put_entry(b, META_ANY, META_CANARY, SM_SPAN(NULL, 0));
    return r;
}

static int span_cmp(const void *a, const void *b)
{
    return sm_span_cmp(*(const struct sm_span *)a, *(const struct sm_span *)b);
}

/* Order is that of the encoded values, lengths first, and not that of the names. */
static int put_xattrs(const struct plat_meta *m, struct sm_buf *b)
{
    struct sm_buf enc = SM_BUF_INIT(VAULT_META_MAX + (size_t)16 * PLAT_XATTR_MAX);
    struct sm_span at[PLAT_XATTR_MAX];
    size_t off[PLAT_XATTR_MAX + 1] = {0};
    int r = 0;
    if (m->xattr_n > PLAT_XATTR_MAX)
        return -SM_ELIMIT;
    for (size_t i = 0; r == 0 && i < m->xattr_n; i++) {
        r = sm_buf_put_blob(&enc, SM_SPAN_STR(m->xattr[i].name));
        if (r == 0)
            r = sm_buf_put_blob(&enc, SM_SPAN(m->xattr[i].value, m->xattr[i].value_n));
        off[i + 1] = enc.n;
    }
    if (r == 0) {
        for (size_t i = 0; i < m->xattr_n; i++)
            at[i] = SM_SPAN(enc.p + off[i], off[i + 1] - off[i]);
        qsort(at, m->xattr_n, sizeof at[0], span_cmp);
    }
    for (size_t i = 0; r == 0 && i < m->xattr_n; i++)
        r = put_entry(b, META_LINUX, META_XATTR, at[i]);
    sm_buf_wipe(&enc);
    return r;
}

/* What chattr sets; statx gives these attributes the numbers of the inode flags (linux/stat.h). */
#define FLAGS_KEPT ((uint32_t)(0x4 | 0x10 | 0x20 | 0x40 | 0x800))

static int put_linux(const struct plat_meta *m, struct sm_buf *b)
{
    uint32_t flags = (uint32_t)m->attr_flags & FLAGS_KEPT;
    int r;
    if ((r = put_le(b, META_LINUX, META_MODE, m->mode, 4)) < 0 ||
        (r = put_le(b, META_LINUX, META_UID, m->uid, 4)) < 0 ||
        (r = put_le(b, META_LINUX, META_GID, m->gid, 4)) < 0)
        return r;
    if (m->user[0])
        r = put_entry(b, META_LINUX, META_USER, SM_SPAN_STR(m->user));
    if (r == 0 && m->group[0])
        r = put_entry(b, META_LINUX, META_GROUP, SM_SPAN_STR(m->group));
    if (r == 0 && (m->type == PLAT_CHAR || m->type == PLAT_BLOCK))
        r = put_le(b, META_LINUX, META_RDEV, m->rdev_major | (uint64_t)m->rdev_minor << 32, 8);
    if (r == 0 && m->xattr_n)
        r = put_xattrs(m, b);
    if (r == 0 && flags)
        r = put_le(b, META_LINUX, META_FLAGS, flags, 4);
    return r;
}

int meta_from_plat(const struct plat_meta *m, const struct meta_extra *extra, unsigned flags, struct sm_buf *ret)
{
    static const struct meta_extra none;
    size_t before = ret->n;
    int r = sm_buf_put_u8(ret, 1);
    if (r == 0)
        r = put_any(m, extra ? extra : &none, flags, ret);
    if (r == 0)
        r = put_linux(m, ret);
    if (r == 0 && m->dos_attributes)
        r = put_le(ret, META_WINDOWS, META_DOS, m->dos_attributes, 4);
    if (r == 0 && ret->n - before > VAULT_META_MAX)
        r = -SM_ELIMIT;
    if (r < 0)
        ret->n = before;
    return r;
}

/* ---- reading ---- */

struct into { struct plat_meta *m; struct meta_extra *x; };

static uint64_t get_le(struct sm_span v)
{
    uint64_t n = 0;
    for (size_t i = v.n; i > 0; i--)
        n = n << 8 | v.p[i - 1];
    return n;
}

static int get_time(struct sm_span v, struct sm_time *ret)
{
    struct sm_time t = {.s = (int64_t)get_le(SM_SPAN(v.p, 8)), .ns = (uint32_t)get_le(SM_SPAN(v.p + 8, 4))};
    if (t.ns >= 1000000000u || v.p[12] > 9)
        return -SM_EFORMAT;
    *ret = t;
    return 0;
}

static int get_mtime(struct into *to, struct sm_span v)
{
    return get_time(v, &to->m->mtime);
}

static int get_ctime(struct into *to, struct sm_span v)
{
    return get_time(v, &to->m->ctime);
}

static int get_atime(struct into *to, struct sm_span v)
{
    return get_time(v, &to->m->atime);
}

static int get_btime(struct into *to, struct sm_span v)
{
    to->m->has_btime = true;
    return get_time(v, &to->m->btime);
}

static int get_link(struct into *to, struct sm_span v)
{
    to->x->has_link = true;
    to->x->link_group = get_le(SM_SPAN(v.p, 8));
    to->x->link_count = get_le(SM_SPAN(v.p + 8, 8));
    return 0;
}

static int get_target(struct into *to, struct sm_span v)
{
    if (memchr(v.p, 0, v.n))
        return -SM_EFORMAT;
    return sm_buf_put_span(&to->m->target, v);
}

static int get_sparse(struct into *to, struct sm_span v)
{
    to->x->sparse = true;
    return 0;
}

static int get_note(struct into *to, struct sm_span v)
{
    to->x->changed_while_read = v.p[0] == 1;
    return 0;
}

static int get_canary(struct into *to, struct sm_span v)
{
    to->x->canary = true;
    return 0;
}

static int get_mode(struct into *to, struct sm_span v)
{
    uint64_t mode = get_le(v);
    if (mode > 07777)
        return -SM_EFORMAT;
    to->m->mode = (uint32_t)mode;
    return 0;
}

static int get_uid(struct into *to, struct sm_span v)
{
    to->m->uid = (uint32_t)get_le(v);
    return 0;
}

static int get_gid(struct into *to, struct sm_span v)
{
    to->m->gid = (uint32_t)get_le(v);
    return 0;
}

static int get_name(struct sm_span v, char ret[PLAT_NAME_MAX])
{
    if (memchr(v.p, 0, v.n))
        return -SM_EFORMAT;
    memcpy(ret, v.p, v.n);
    ret[v.n] = '\0';
    return 0;
}

static int get_user(struct into *to, struct sm_span v)
{
    return get_name(v, to->m->user);
}

static int get_group(struct into *to, struct sm_span v)
{
    return get_name(v, to->m->group);
}

static int get_rdev(struct into *to, struct sm_span v)
{
    to->m->rdev_major = (uint32_t)get_le(SM_SPAN(v.p, 4));
    to->m->rdev_minor = (uint32_t)get_le(SM_SPAN(v.p + 4, 4));
    return 0;
}

#define XATTR_NAME_MAX 255

static int get_xattr(struct into *to, struct sm_span v)
{
    char name[XATTR_NAME_MAX + 1];
    struct sm_rd rd = SM_RD(v);
    struct sm_span n = sm_rd_blob(&rd, XATTR_NAME_MAX), value = sm_rd_blob(&rd, VAULT_META_MAX);
    int r;
    if (sm_rd_done(&rd) < 0 || n.n == 0 || memchr(n.p, 0, n.n))
        return -SM_EFORMAT;
    memcpy(name, n.p, n.n);
    name[n.n] = '\0';
    r = plat_meta_add_xattr(to->m, name, value);
    return r == -SM_EEXISTS ? -SM_EFORMAT : r;
}

static int get_flags(struct into *to, struct sm_span v)
{
    to->m->attr_flags = get_le(v);
    return 0;
}

/* One row a known entry: how long its value is, whether it may stand more than once, and where it goes. */
static const struct meta_row {
    uint8_t os;
    uint64_t type;
    size_t min, max;
    bool many, extra;
    int (*get)(struct into *to, struct sm_span value);
} rows[] = {
    {META_ANY, META_MTIME, 13, 13, false, false, get_mtime},
    {META_ANY, META_CTIME, 13, 13, false, false, get_ctime},
    {META_ANY, META_ATIME, 13, 13, false, false, get_atime},
    {META_ANY, META_BTIME, 13, 13, false, false, get_btime},
    {META_ANY, META_LINK, 16, 16, false, true, get_link},
    {META_ANY, META_TARGET, 1, VAULT_NAME_MAX, false, false, get_target},
    {META_ANY, META_SPARSE, 0, 0, false, true, get_sparse},
    {META_ANY, META_READ_NOTE, 1, 1, false, true, get_note},
    {META_ANY, META_CANARY, 0, 0, false, true, get_canary},
    {META_LINUX, META_MODE, 4, 4, false, false, get_mode},
    {META_LINUX, META_UID, 4, 4, false, false, get_uid},
    {META_LINUX, META_GID, 4, 4, false, false, get_gid},
    {META_LINUX, META_USER, 1, PLAT_NAME_MAX - 1, false, false, get_user},
    {META_LINUX, META_GROUP, 1, PLAT_NAME_MAX - 1, false, false, get_group},
    {META_LINUX, META_RDEV, 8, 8, false, false, get_rdev},
    {META_LINUX, META_XATTR, 2, VAULT_META_MAX, true, false, get_xattr},
    {META_LINUX, META_FLAGS, 4, 4, false, false, get_flags},
};

static const struct meta_row *row_of(const struct meta_entry *e)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].os == e->os && rows[i].type == e->type)
            return &rows[i];
    return NULL;
}

/* m NULL: only what belongs to extra. */
static int read_list(struct sm_span list, struct plat_meta *m, struct meta_extra *x)
{
    struct into to = {m, x};
    const struct meta_row *last = NULL, *row;
    struct meta_entry e;
    struct meta_it it;
    int r = meta_begin(list, &it);
    if (r < 0)
        return r;
    while ((r = meta_next(&it, &e)) > 0) {
        row = row_of(&e);
        if (!row)
            continue;
        if (e.value.n < row->min || e.value.n > row->max || (row == last && !row->many))
            return -SM_EFORMAT;
        last = row;
        if ((m || row->extra) && (r = row->get(&to, e.value)) < 0)
            return r;
    }
    return r;
}

int meta_to_plat(struct sm_span list, uint8_t kind, struct plat_meta *ret, struct meta_extra *ret_extra)
{
    struct plat_meta m = {.type = (enum plat_type)kind};
    struct meta_extra x = {0};
    int r = read_list(list, &m, &x);
    if (r < 0) {
        plat_meta_wipe(&m);
        return r;
    }
    *ret = m;
    if (ret_extra)
        *ret_extra = x;
    return 0;
}

int meta_extra_of(struct sm_span list, struct meta_extra *ret)
{
    struct meta_extra x = {0};
    int r = read_list(list, NULL, &x);
    if (r == 0)
        *ret = x;
    return r;
}
