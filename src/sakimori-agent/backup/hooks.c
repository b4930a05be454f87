/* Helpers of a run: hooks before and after it, and what makes the files of databases. */
#include "core/log.h"
#include "plat/fs.h"
#include "sakimori-agent/backup/backupd.h"

static void helper_pump(void *arg, int ms)
{
    backupd_serve(arg, ms);
}

static void helper_problem(void *arg, const char *path, const char *error, const char *what)
{
    backupd_problem_text(arg, path, error, what);
}

static void helper_now(void *arg, const char *text, uint64_t bytes)
{
    const struct backup_progress p = {.phase = BACKUP_SCAN, .bytes = bytes, .now = text};
    ((struct backupd *)arg)->told_ms = 0; /* each step is worth telling */
    backupd_tell_progress(arg, &p);
}

void backupd_assist(struct backupd *b)
{
    b->assist = (struct assist){.pump = helper_pump, .stopped = backupd_cancelled, .problem = helper_problem,
        .now = helper_now, .arg = b};
}

const char *backupd_option(const json_t *source, const char *a, const char *key)
{
    const json_t *o = json_object_get(source, "options");
    const char *s = json_string_value(json_object_get(a ? json_object_get(o, a) : o, key));
    return s ? s : "";
}

static uint32_t limit_of(const json_t *o, uint32_t otherwise, uint32_t max)
{
    json_int_t n = json_integer_value(json_object_get(o, "limit_s"));
    return n > 0 && n <= max ? (uint32_t)n : otherwise;
}

static void work_of(const struct backupd *b, const char *kind, const char *name, struct helper_work *w)
{
    memset(w, 0, sizeof *w);
    snprintf(w->kind, sizeof w->kind, "%s", kind);
    snprintf(w->name, sizeof w->name, "%s", name);
    snprintf(w->source, sizeof w->source, "%s", b->now.source);
    snprintf(w->run, sizeof w->run, "%s", b->now.run);
}

/* A hook that stopped something must be followed by the one that starts it again, whatever becomes of this process: its
 * work is kept in a file from before the first until after the second. */
#define PENDING "hook.after"

static void pending_set(struct backupd *b, const struct helper_work *w)
{
    if (plat_replace(b->cache, PENDING, SM_SPAN(w, sizeof *w), 0600))
        sm_warn("the hook after this run could not be noted");
}

static int hook_after(struct backupd *b, const struct helper_work *w)
{
    int r = assist_hook(&b->assist, w);
    if (!b->stop && (r == 0 || r == -SM_EPARTIAL))
        (void)!plat_fs_unlink(b->cache, PENDING); /* run again at the next start, at worst */
    return r;
}

/* One that a crash kept from running. */
void backupd_pending_run(struct backupd *b)
{
    struct sm_buf t = SM_BUF_INIT(4096);
    struct helper_work w;
    if (plat_fs_read_file(b->cache, PENDING, 4096, &t) == 0) {
        if (helper_work_get(sm_buf_span(&t), &w) == 0)
            (void)!hook_after(b, &w); /* the log of the hook's own service tells more */
        else
            (void)!plat_fs_unlink(b->cache, PENDING);
        sm_info("the hook after a run that was cut off was run");
    }
    sm_buf_wipe(&t);
}

/* The hook before a run.  0: go on. */
int backupd_hook_before(struct backupd *b, const json_t *s, struct helper_work *ret_after)
{
    struct helper_work w;
    const json_t *hooks = json_object_get(json_object_get(s, "options"), "hooks");
    const char *before = backupd_option(s, "hooks", "before"), *after = backupd_option(s, "hooks", "after");
    uint32_t limit = limit_of(hooks, HOOK_LIMIT_S, HOOK_LIMIT_MAX_S);
    work_of(b, "after", after, ret_after);
    ret_after->limit_s = limit;
    if (after[0])
        pending_set(b, ret_after);
    if (!before[0])
        return 0;
    work_of(b, "before", before, &w);
    w.limit_s = limit;
    int r = assist_hook(&b->assist, &w);
    if (r && strcmp(backupd_option(s, "hooks", "on_failure"), "partial") == 0) {
        b->partial = true;
        return 0;
    }
    return r;
}

/* Once nothing of the machine is read any more: what was stopped can go on. */
void backupd_hook_end(struct backupd *b, struct helper_work *after, const char *status)
{
    if (!after->name[0])
        return;
    snprintf(after->status, sizeof after->status, "%s", status);
    if (hook_after(b, after))
        b->partial = true;
    after->name[0] = 0;
}

int backupd_prepare(struct backupd *b, const json_t *s, const char *kind)
{
    struct helper_work w;
    const char *access = backupd_option(s, NULL, "access");
    work_of(b, kind, access[0] ? access : "local", &w);
    w.limit_s = limit_of(json_object_get(s, "options"), 86400, 86400);
    int r = assist_prepare(&b->assist, &w, s, &b->ready);
    if (!r)
        b->partial |= b->ready.partial;
    return r;
}
