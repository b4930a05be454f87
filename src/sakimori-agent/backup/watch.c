/* How far a run is, and what went wrong in it: for the box, that is for people. */
#include "plat/clock.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/carrier.h"

#define PROBLEMS_MAX 1000
#define PROBLEM_PATH_MAX 1024
#define PROGRESS_MS 1000

static const char *const phases[] = {"scan", "read", "send", "finish"};

/* Paths are bytes; JSON wants UTF-8. */
static json_t *shown_path(const char *p, size_t n)
{
    struct sm_buf b = SM_BUF_INIT(4 * PROBLEM_PATH_MAX);
    int r = 0;
    if (n > PROBLEM_PATH_MAX)
        n = PROBLEM_PATH_MAX;
    if (sm_utf8_valid(SM_SPAN(p, n)))
        return json_stringn(p, n);
    for (size_t i = 0; i < n && !r; i++)
        r = (unsigned char)p[i] < 0x80 && (unsigned char)p[i] >= 0x20 ? sm_buf_put_u8(&b, (uint8_t)p[i])
                                                                      : sm_buf_put(&b, "\xef\xbf\xbd", 3);
    json_t *s = json_stringn((const char *)b.p, b.n);
    sm_buf_wipe(&b);
    return s;
}

void backupd_tell_progress(struct backupd *b, const struct backup_progress *p)
{
    uint64_t now = plat_clock_mono_ms();
    if (!b->link || now - b->told_ms < PROGRESS_MS)
        return;
    b->told_ms = now;
    char path[L_PATH_MAX];
    json_t *got = NULL,
           *o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "phase", phases[p->phase <= BACKUP_FINISH ? p->phase : 0],
               "files", (json_int_t)p->files, "files_total", (json_int_t)p->files_total, "bytes", (json_int_t)p->bytes,
               "bytes_total", (json_int_t)p->bytes_total, "sent", (json_int_t)p->sent_bytes);
    if (!o)
        return;
    json_object_set_new(o, "now", shown_path(p->now, strlen(p->now)));
    snprintf(path, sizeof path, "/agent/v1/runs/%s/progress", b->now.run);
    int status = 0;
    if (!carrier_json(b->link, path, o, &status, &got) && json_is_true(json_object_get(got, "cancel")))
        atomic_store(&b->cancelled, true);
    json_decref(o);
    json_decref(got);
}

void backupd_progress(void *arg, const struct backup_progress *p)
{
    backupd_serve(arg, 0);
    backupd_tell_progress(arg, p);
}

bool backupd_cancelled(void *arg)
{
    return atomic_load(&((struct backupd *)arg)->cancelled);
}

void backupd_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct backupd *b = arg;
    b->problems_total++;
    if (json_array_size(b->problems) >= PROBLEMS_MAX)
        return;
    json_t *o = json_pack("{s:s,s:s}", "error", sm_strerror(err), "what", what);
    if (o)
        json_object_set_new(o, "path", shown_path((const char *)path.p, path.n));
    json_array_append_new(b->problems, o);
}

void backupd_silent(void *arg, struct sm_span path)
{
    struct backupd *b = arg;
    b->problems_total++;
    if (json_array_size(b->problems) >= PROBLEMS_MAX)
        return;
    json_t *o = json_pack("{s:s,s:s}", "error", "other bytes under the same times", "what", "reread");
    if (o)
        json_object_set_new(o, "path", shown_path((const char *)path.p, path.n));
    json_array_append_new(b->problems, o);
}

void backupd_problem_text(struct backupd *b, const char *path, const char *error, const char *what)
{
    b->problems_total++;
    if (json_array_size(b->problems) < PROBLEMS_MAX)
        json_array_append_new(b->problems, json_pack("{s:s,s:s,s:s}", "path", path, "error", error, "what", what));
}
