/*
 * Heads of columns (CSV, W3C) of the streams of agents, kept over a restart of this process: a line is only understood
 * by the head that its file began with, and an agent goes on in the middle.  DATA/watch/heads: {"device/stream": base64
 * of the line}. What is lost here costs fields, never records: the bytes are in the record in any case.
 */
#include <errno.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"

#define HEADS_FILE "heads"
enum { HEAD_MAX = 8 << 10, FILE_MAX = 4 << 20 };

void heads_open(struct watch *w)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    int r = plat_fs_read_file(w->state_dir, HEADS_FILE, FILE_MAX, &text);

    if (r >= 0)
        r = sm_json_parse(sm_buf_span(&text), FILE_MAX, &w->heads, NULL);
    if (r < 0 && r != -ENOENT)
        sm_warn("the heads of columns cannot be read: files that go on are read without them");
    if (!json_is_object(w->heads)) {
        json_decref(w->heads);
        w->heads = json_object();
    }
    sm_buf_wipe(&text);
}

/* A head line of o came by (normalise_record said 1): the last one is what counts.  Other lines that begin with # are
 * none. */
void heads_saw(struct watch *w, const struct origin *o, struct sm_span line)
{
    struct sm_buf text = SM_BUF_INIT(2 * HEAD_MAX);
    size_t blank = 0;

    while (blank < line.n && (line.p[blank] == ' ' || line.p[blank] == '\r' || line.p[blank] == '\n'))
        blank++;
    if (blank == line.n || line.n > HEAD_MAX ||
        (line.p[0] == '#' && (line.n < 8 || memcmp(line.p, "#Fields:", 8) != 0)))
        return;
    if (sm_base64(line, &text) >= 0 && sm_buf_str(&text)) {
        const char *was = json_string_value(json_object_get(w->heads, o->address));
        if (!was || strcmp(was, sm_buf_str(&text)) != 0) {
            if (json_object_size(w->heads) >= STATES_MAX && !was) /* of streams that may be gone: any */
                (void)json_object_del(w->heads, json_object_iter_key(json_object_iter(w->heads)));
            w->heads_dirty |= json_object_set_new(w->heads, o->address, json_string(sm_buf_str(&text))) == 0;
        }
    }
    sm_buf_wipe(&text);
}

/* A stream that is heard for the first time in this life. */
void heads_give(struct watch *w, const struct origin *o)
{
    const char *was = json_string_value(json_object_get(w->heads, o->address));
    struct sm_buf line = SM_BUF_INIT(2 * HEAD_MAX);
    struct sm_time now = plat_clock_wall();

    if (was && sm_unbase64(SM_SPAN_STR(was), &line) >= 0 &&
        normalise_record(w->normalise, &o->hint, sm_buf_span(&line), (struct event_time){now.s, now.ns}, &w->more) < 0)
        sm_warn("out of memory: a stream is read without its head");
    sm_buf_wipe(&line);
}

void heads_tick(struct watch *w)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    int r;

    if (!w->heads_dirty)
        return;
    r = sm_json_dump(w->heads, &text);
    if (r >= 0)
        r = plat_replace(w->state_dir, HEADS_FILE, sm_buf_span(&text), 0600);
    w->heads_dirty = r < 0;
    sm_buf_wipe(&text);
}
