/* Log files for `rules test`: events of EVTX, or of any format the box reads. */
#include "sakimori/rules.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "normalise/evtx.h"
#include "normalise/normalise.h"
#include "plat/fs.h"

#define LOG_BYTES ((size_t)1 << 30)

struct walk {
    struct cli *c;
    struct event_names *names;
    const char *file;
    rules_each *each;
    void *ctx;
    uint64_t record;
};

static int walk_evtx(struct walk *w, struct sm_span bytes, struct event *e)
{
    struct evtx *x = NULL;
    int r = evtx_new(w->names, &x);

    if (r == 0)
        r = evtx_open(x, bytes, 0);
    while (r >= 0 && (r = evtx_next(x, e)) == 1)
        r = w->each(w->ctx, w->file, ++w->record, e);
    evtx_free(x);
    return r;
}

static int walk_more(struct walk *w, struct normalise *n, const struct normalise_hint *hint, struct event *more)
{
    int r;

    while ((r = normalise_more(n, hint, more)) == 1) {
        r = w->each(w->ctx, w->file, w->record, more);
        if (r < 0)
            return r;
    }
    return r;
}

static int walk_records(struct walk *w, struct normalise *n, struct normalise_hint *hint, struct sm_span bytes,
    struct event *e, struct event *more)
{
    const struct event_time now = { .s = (int64_t)time(NULL) };

    if (!hint->format)
        hint->frame = normalise_guess(n, bytes); /* each record is looked at by itself */
    for (int r = 0; bytes.n;) {
        struct sm_span record;
        size_t used = normalise_next(hint, bytes, true, &record);
        if (!used)
            break;
        bytes.p += used;
        bytes.n -= used;
        w->record++;
        r = normalise_record(n, hint, record, now, e);
        if (r == 0)
            r = w->each(w->ctx, w->file, w->record, e);
        if (r >= 0)
            r = walk_more(w, n, hint, more);
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_text(struct walk *w, struct sm_span bytes, struct event *e)
{
    struct normalise_hint hint = NORMALISE_HINT;
    struct normalise *n = NULL;
    struct event more;
    int r = event_init(&more);

    if (r < 0)
        return r;
    hint.format = cli_opt(w->c, "format");
    hint.state = normalise_state_new();
    r = hint.state ? normalise_new(w->names, &n) : -ENOMEM;
    if (r == 0)
        r = walk_records(w, n, &hint, bytes, e, &more);
    normalise_free(n);
    normalise_state_free(hint.state);
    event_wipe(&more);
    return r;
}

int rules_log(struct cli *c, struct event_names *names, const char *file, rules_each *each, void *ctx)
{
    struct walk w = { c, names, file, each, ctx, 0 };
    struct sm_buf bytes = SM_BUF_INIT(LOG_BYTES);
    struct event e;
    int r = event_init(&e);

    if (r < 0)
        return r;
    r = plat_fs_read_file(AT_FDCWD, file, LOG_BYTES, &bytes);
    if (r >= 0)
        r = evtx_is(sm_buf_span(&bytes)) ? walk_evtx(&w, sm_buf_span(&bytes), &e)
                                         : walk_text(&w, sm_buf_span(&bytes), &e);
    event_wipe(&e);
    sm_buf_wipe(&bytes);
    return r;
}
