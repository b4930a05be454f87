#include "sakimori-agent/kinds/sharewire.h"

#include <string.h>

#define SECONDS_MAX ((int64_t)1 << 38) /* 8,700 years either way: FILETIME does not reach as far */

bool share_name_ok(struct sm_span name)
{
    if (name.n == 0 || name.n > SHARE_NAME_MAX || memchr(name.p, '/', name.n) || !sm_utf8_valid(name))
        return false;
    return !(name.p[0] == '.' && (name.n == 1 || (name.n == 2 && name.p[1] == '.')));
}

bool share_path_ok(struct sm_span path)
{
    if (path.n > SHARE_PATH_MAX)
        return false;
    for (size_t at = 0; path.n && at <= path.n;) {
        const uint8_t *end = at < path.n ? memchr(path.p + at, '/', path.n - at) : NULL;
        size_t n = end ? (size_t)(end - path.p) - at : path.n - at;
        if (!share_name_ok(SM_SPAN(path.p + at, n)))
            return false;
        at += n + 1;
    }
    return true;
}

static int put_time(struct sm_buf *b, struct sm_time t)
{
    int r = sm_buf_put_u64(b, (uint64_t)t.s);
    return r ? r : sm_buf_put_u32(b, t.ns);
}

int share_facts_put(struct sm_buf *b, const struct share_facts *f)
{
    size_t before = b->n;
    int r = sm_buf_put_u8(b, f->type);
    if (!r)
        r = sm_buf_put_u32(b, f->attributes);
    if (!r)
        r = sm_buf_put_u64(b, f->size);
    if (!r)
        r = sm_buf_put_u64(b, f->number);
    if (!r)
        r = put_time(b, f->written);
    if (!r)
        r = put_time(b, f->changed);
    if (!r)
        r = put_time(b, f->created);
    if (r)
        b->n = before;
    return r;
}

static struct sm_time get_time(struct sm_rd *rd)
{
    struct sm_time t = {.s = (int64_t)sm_rd_u64(rd)};
    t.ns = sm_rd_u32(rd);
    return t;
}

static bool time_ok(struct sm_time t)
{
    return t.ns < 1000000000u && t.s <= SECONDS_MAX && t.s >= -SECONDS_MAX;
}

static int get_facts(struct sm_rd *rd, struct share_facts *ret)
{
    struct share_facts f = {.type = sm_rd_u8(rd)};
    f.attributes = sm_rd_u32(rd);
    f.size = sm_rd_u64(rd);
    f.number = sm_rd_u64(rd);
    f.written = get_time(rd);
    f.changed = get_time(rd);
    f.created = get_time(rd);
    if (rd->err || (f.type != SHARE_FILE && f.type != SHARE_FOLDER) || f.size > INT64_MAX || !time_ok(f.written) ||
        !time_ok(f.changed) || !time_ok(f.created))
        return -SM_EPROTO;
    *ret = f;
    return 0;
}

int share_facts_get(struct sm_span in, struct share_facts *ret)
{
    struct sm_rd rd = SM_RD(in);
    struct share_facts f;
    if (get_facts(&rd, &f) || sm_rd_done(&rd))
        return -SM_EPROTO;
    *ret = f;
    return 0;
}

int share_row_put(struct sm_buf *b, struct sm_span name, const struct share_facts *f)
{
    size_t before = b->n;
    int r = sm_buf_put_u16(b, (uint16_t)name.n);
    if (!r)
        r = sm_buf_put_span(b, name);
    if (!r)
        r = share_facts_put(b, f);
    if (r)
        b->n = before;
    return r;
}

int share_page_get(struct sm_span in, struct share_page *ret)
{
    struct share_page p = {.rd = SM_RD(in)};
    uint8_t more = sm_rd_u8(&p.rd), unfit = sm_rd_u8(&p.rd);
    if (p.rd.err || more > 1 || unfit > 1 || (more && p.rd.n == 0)) /* without rows it could go on for ever */
        return -SM_EPROTO;
    p.more = more;
    p.unfit = unfit;
    *ret = p;
    return 0;
}

int share_row_next(struct share_page *p, struct sm_span *ret_name, struct share_facts *ret)
{
    if (p->rd.n == 0)
        return 0;
    size_t n = sm_rd_u16(&p->rd);
    struct sm_span name = sm_rd_bytes(&p->rd, n);
    struct share_facts f;
    if (p->rd.err || !share_name_ok(name) || get_facts(&p->rd, &f))
        return -SM_EPROTO;
    *ret_name = name;
    *ret = f;
    return 1;
}
