/* First byte: 0 a sealed page, 1 a directory body, 2 a body of roots, 3 a stream page body; then u8 refs and the body. */
#include "vault/snapshot/dirpage.h"
#include "vault/snapshot/streampage.h"

static void walk(const struct dirpage *d)
{
    struct dirpage_it it;
    struct entry_view e;
    struct stream_view s;
    uint32_t n = 0;
    dirpage_begin(d, &it);
    while (dirpage_next(&it, &e)) {
        struct sm_buf parts = {0};
        n++;
        for (uint32_t i = 0; i < e.nstreams; i++) {
            if (stream_at(&e, i, &s) < 0)
                abort();
            sm_buf_clear(&parts);
            if (s.layout != LAYOUT_NONE && stream_parts(&s, &parts) < 0)
                abort();
        }
        sm_buf_wipe(&parts);
    }
    if (n != d->count)
        abort(); /* a body once accepted reads to its end */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cid refs[256];
    struct page_refs r;
    struct dirpage d;
    struct streampage s;
    struct sm_span body;
    if (size < 2)
        return 0;
    if (data[0] == 0) {
        if (page_refs(SM_SPAN(data + 1, size - 1), NULL, &r) == 0 && r.n > 0 && page_refs_find(&r, &r.ref[r.n - 1]) < 0)
            abort();
        return 0;
    }
    for (unsigned i = 0; i < 256; i++)
        refs[i].b[0] = (uint8_t)i;
    r = (struct page_refs){.ref = refs, .n = data[1]};
    body = SM_SPAN(data + 2, size - 2);
    if (data[0] == 3) {
        if (streampage_parse(&r, body, &s) == 0) {
            struct part *p = malloc(s.nparts * sizeof *p);
            if (p)
                parts_decode(s.parts_raw, &r, s.nparts, p);
            free(p);
        }
    } else if (dirpage_parse(&r, body, data[0] == 2, &d) == 0) {
        walk(&d);
    }
    return 0;
}
