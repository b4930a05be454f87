#include "sakimori-agent/logs/cut.h"

int log_cut_record(struct sm_buf *to, int64_t seen_ns, bool cut, struct sm_span bytes)
{
    size_t before = to->n;
    int r = sm_buf_put_u32(to, (uint32_t)bytes.n | (cut ? 0x80000000u : 0));
    if (!r)
        r = sm_buf_put_u64(to, (uint64_t)seen_ns);
    if (!r)
        r = sm_buf_put_span(to, bytes);
    if (r)
        to->n = before;
    return r;
}

static struct sm_span trim(struct sm_span line)
{
    while (line.n && *line.p == 0) {
        line.p++;
        line.n--;
    }
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r' || line.p[line.n - 1] == 0))
        line.n--;
    return line;
}

int log_cut_lines(const struct log_cut *how, struct sm_span bytes, struct sm_buf *to, struct log_cut_done *ret)
{
    struct log_cut_done d = {.inside = how->inside};
    const size_t before = to->n;
    while (d.used < bytes.n) {
        struct sm_span rest = SM_SPAN(bytes.p + d.used, bytes.n - d.used);
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        /* A line without end: whole when nothing follows, cut when it fills all that can be read, else not there yet.
         * What is dropped need not be whole. */
        bool cut = !nl && !how->last;
        if (cut && !d.inside && !(how->full && d.used == 0))
            break;
        struct sm_span raw = nl ? SM_SPAN(rest.p, (size_t)(nl - rest.p) + 1) : rest, line = trim(raw);
        bool drop = d.inside || !line.n;
        if (!drop && d.n && how->limit && to->n - before + line.n > how->limit)
            break;
        int r = drop ? 0 : log_cut_record(to, how->seen_ns, cut, line);
        if (r) {
            to->n = before;
            return r;
        }
        d.n += !drop;
        d.cut += !drop && cut;
        d.used += raw.n;
        d.inside = cut && (d.inside || line.n); /* a hole of NUL bytes is no beginning of a line */
    }
    *ret = d;
    return 0;
}

int log_export_field(struct sm_buf *to, struct sm_span field)
{
    const uint8_t *eq = field.n ? memchr(field.p, '=', field.n) : NULL;
    size_t before = to->n, name = eq ? (size_t)(eq - field.p) : 0;
    if (!name)
        return 0; /* none */
    struct sm_span value = SM_SPAN(eq + 1, field.n - name - 1);
    bool plain = sm_utf8_valid(value);
    for (size_t i = 0; i < value.n && plain; i++)
        plain = value.p[i] >= ' ' || value.p[i] == '\t';
    int r = sm_buf_put(to, field.p, plain ? field.n : name);
    if (!r && !plain)
        r = sm_buf_put_u8(to, '\n');
    if (!r && !plain)
        r = sm_buf_put_u64(to, value.n);
    if (!r && !plain)
        r = sm_buf_put_span(to, value);
    if (!r)
        r = sm_buf_put_u8(to, '\n');
    if (r)
        to->n = before;
    return r;
}
