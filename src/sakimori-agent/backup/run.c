/* One run of the backup part, from the order to the last word about it. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/facts.h"
#include "sakimori-agent/follow.h"
#include "vault/backup/canary.h"

#define END_PATIENCE_MS ((uint64_t)30 * 60 * 1000)
#define PATTERNS_MAX 1024
#define REREAD_DAYS 30u
#define OWN_NAMES "sakimori:" /* names that begin so are the box's: its own backup is found by one */

const json_t *backupd_source(const struct backupd *b, const char *id)
{
    for (size_t i = 0; i < json_array_size(b->sources); i++) {
        const json_t *s = json_array_get(b->sources, i);
        const char *have = json_string_value(json_object_get(s, "source"));
        if (have && strcmp(have, id) == 0)
            return s;
    }
    return NULL;
}

struct sm_span backupd_label(const json_t *source)
{
    const char *name = json_string_value(json_object_get(source, "name"));
    size_t n = name ? strlen(name) : 0;
    if (!name || strncmp(name, OWN_NAMES, sizeof OWN_NAMES - 1) == 0)
        return SM_SPAN("", 0);
    if (n > BACKUP_LABEL_MAX)
        for (n = BACKUP_LABEL_MAX; n && ((unsigned char)name[n] & 0xc0) == 0x80;) /* never half a character */
            n--;
    return SM_SPAN(name, n);
}

static size_t texts(const json_t *list, const char **ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < max; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && *s)
            ret[n++] = s;
    }
    return n;
}

static int open_session(struct backupd *b, struct backup_config *c)
{
    struct session_answer a;
    int r = backupd_ask_session(b, &a);
    if (r)
        return r;
    c->session = a.id;
    c->number = b->number = a.number;
    c->previous = b->previous = a.previous;
    c->planes = a.planes;
    c->head_seq = b->heads.last.seq;
    memcpy(c->head_hash, b->heads.last.hash, 32);
    sm_hex(a.id.b, 16, b->session);
    b->reopened = 0;
    if (b->followed)
        follow_forget(b->cache);
    b->followed = false;
    return 0;
}

static const char *end_name(const struct backupd *b, int r, const struct backup_result *res)
{
    if (r == -SM_ECANCEL)
        return "cancelled";
    if (r)
        return "failed";
    return res->status == RUN_COMPLETE && !b->partial ? "complete" : "partial";
}

static json_t *counters_json(const struct backupd *b, const struct backup_counts *n)
{
    const struct { const char *name; uint64_t v; } row[] = {{"files", n->files}, {"dirs", n->dirs},
        {"others", n->others}, {"bytes", n->bytes}, {"files_new", n->files_new}, {"files_changed", n->files_changed},
        {"files_deleted", n->files_deleted}, {"bytes_read", n->bytes_read}, {"bytes_new_plain", n->bytes_new_plain},
        {"bytes_new_stored", n->bytes_new_stored}, {"sent", n->sent_bytes}, {"unreadable", n->unreadable},
        {"changed_while_read", n->changed_while_read}, {"reread", n->reread}, {"reread_bytes", n->reread_bytes},
        {"reread_changed", n->reread_changed}, {"cache_bytes", b->kept_bytes}};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        json_object_set_new(o, row[i].name, json_integer((json_int_t)row[i].v));
    json_object_set_new(o, "cache", json_string(b->kept ? b->kept : ""));
    return o;
}

static void tell_end(struct backupd *b, int r, const struct backup_result *res)
{
    char path[L_PATH_MAX], hex[CID_HEX];
    if (b->heads.alarm)
        json_array_append_new(
            b->problems, json_pack("{s:s,s:s,s:s}", "path", "", "error", b->heads.why, "what", "head"));
    if (b->recips.alarm)
        json_array_append_new(
            b->problems, json_pack("{s:s,s:s,s:s}", "path", "", "error", b->recips.why, "what", "recipients"));
    if (r && r != -SM_ECANCEL) /* a run never fails without a reason that a person can read */
        backupd_problem(b, SM_SPAN_STR(""), r, r == -ENOSPC ? "the box's disk is full" : r == -SM_ELIMIT ?
            "over a limit: if the box refused, this machine's quota there is full" : "the run");
    json_t *o = json_pack("{s:s,s:O,s:I,s:o}", "status", end_name(b, r, res), "problems", b->problems, "problems_total",
        (json_int_t)b->problems_total, "counters", counters_json(b, &res->counts));
    if (o && !r) {
        cid_hex(&res->manifest, hex);
        json_object_set_new(o, "manifest", json_string(hex));
    }
    if (o && r && r != -SM_ECANCEL)
        json_object_set_new(o, "error", json_string(sm_strerror(r)));
    snprintf(path, sizeof path, "/agent/v1/runs/%s/end", b->now.run);
    int status = 0;
    atomic_store(&b->cancelled, false);
    if (o && backupd_call(b, path, o, b->stop ? 0 : END_PATIENCE_MS, &status, NULL))
        sm_warn("the end of run %s could not be told", b->now.run);
    json_decref(o);
}

struct run_lists {
    const char *roots[SCAN_ROOTS_MAX], *include[PATTERNS_MAX], *exclude[PATTERNS_MAX], *canaries[BACKUP_CANARIES_MAX];
    struct scan_rules *rules;
    const char *shown[SCAN_ROOTS_MAX];
    struct canary decoys[BACKUP_CANARIES_MAX];
};

/* Decoys that were laid for this source (DATA/decoys, of the decoy part). */
static size_t load_canaries(struct backupd *b, struct run_lists *l, const struct source_id *source)
{
    char path[AGENT_PATH_MAX + 64];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/decoys", b->config.data);
    int folder = plat_fs_open_dir(AT_FDCWD, path);
    if (folder < 0 || canary_list_load(folder, source, l->decoys, BACKUP_CANARIES_MAX, &n))
        n = 0; /* none were laid, or the list cannot be read: as if none were */
    if (folder >= 0)
        close(folder);
    for (size_t i = 0; i < n; i++)
        l->canaries[i] = l->decoys[i].path;
    return n;
}

static int fill_roots(struct backupd *b, const json_t *s, struct run_lists *l, struct backup_config *c)
{
    c->scan.roots = l->roots;
    if (b->ready.served) {
        l->roots[0] = b->ready.root;
        c->scan.roots_n = 1;
        c->scan.remote = &b->share.remote;
        return 0;
    }
    if (b->ready.folder[0]) { /* made for this run: stands for what it was made of */
        l->roots[0] = b->ready.folder;
        l->shown[0] = b->ready.root;
        c->scan.shown = l->shown;
        c->scan.roots_n = 1;
        return 0;
    }
    c->scan.roots_n = texts(json_object_get(s, "paths"), l->roots, SCAN_ROOTS_MAX);
    for (size_t i = 0; i < c->scan.roots_n; i++) {
        if (!policy_may_read(&b->policy, l->roots[i])) {
            backupd_problem(b, SM_SPAN_STR(l->roots[i]), -SM_EDENIED, "this machine's policy");
            return -SM_EDENIED;
        }
    }
    return 0;
}

static int fill(struct backupd *b, const json_t *s, struct run_lists *l, struct backup_config *c)
{
    const char *bad = NULL;
    int r = fill_roots(b, s, l, c);
    if (r)
        return r;
    size_t inc = texts(json_object_get(s, "include"), l->include, PATTERNS_MAX / 2);
    size_t exc = texts(json_object_get(s, "exclude"), l->exclude, PATTERNS_MAX / 2);
    r = scan_rules_new(l->include, inc, l->exclude, exc, &l->rules, &bad);
    if (r && bad)
        backupd_problem(b, SM_SPAN_STR(bad), r, "pattern");
    c->scan.rules = l->rules;
    c->scan.one_file_system = json_is_true(json_object_get(s, "one_file_system"));
    c->scan.skip = b->policy.skip;
    c->scan.skip_n = b->policy.skip_n;
    c->scan.tmp_dir = -1;
    const char *reread = backupd_option(s, NULL, "reread");
    c->reread_days = strcmp(reread, "off") == 0 || b->ready.served ? 0 : REREAD_DAYS; /* not over a network */
    json_int_t mib = json_integer_value(json_object_get(json_object_get(s, "options"), "reread_mib"));
    c->reread_bytes_max = mib > 0 && mib <= INT32_MAX ? (uint64_t)mib << 20 : 0;
    c->canaries = l->canaries;
    c->canaries_n = load_canaries(b, l, &c->source);
    return r;
}

static uint8_t run_kind(const char *reason)
{
    return strcmp(reason, "adhoc") == 0 ? RUN_ADHOC : strcmp(reason, "made-up") == 0 ? RUN_MADE_UP : RUN_SCHEDULED;
}

/* Files of a share belong, once given back, to whom the agent's own folder belongs. */
static void share_open(struct backupd *b, const json_t *s)
{
    json_int_t limit = json_integer_value(json_object_get(json_object_get(s, "options"), "limit_s"));
    struct stat st = {.st_uid = 0};
    (void)!stat(b->config.data, &st); /* root's, if it cannot be told */
    b->share = (struct share){.ipc = b->assist.ipc,
        .stopped = backupd_cancelled,
        .arg = b,
        .until_ms = plat_clock_mono_ms() + (uint64_t)(limit > 0 && limit <= 86400 ? limit : 86400) * 1000,
        .uid = st.st_uid,
        .gid = st.st_gid};
    share_begin(&b->share);
}

/* What came beside answers, and why the share could not be read to its end. */
static int share_close(struct backupd *b, int r)
{
    assist_words(&b->assist);
    if (b->share.over != -SM_EPEER && b->share.over != -SM_ETIME)
        return r;
    backupd_problem_text(b, b->ready.root, "", b->share.over == -SM_EPEER ?
        "the server stopped answering; the next run goes on from here" : "the time limit of this source");
    return r == -SM_EPEER ? -ECONNRESET : r;
}

/* What a source needs before its first file is read: where, for whom, under which session. */
static int ready_source(struct backupd *b, const json_t *s, struct run_lists *l, struct backup_config *c)
{
    int r = sm_unhex(b->now.source, 32, c->source.b, 16);
    if (!r)
        r = sm_unhex(b->now.run, 32, c->run_id.b, 16);
    if (b->ready.served)
        share_open(b, s);
    if (!r)
        r = fill(b, s, l, c);
    if (!r)
        r = backupd_ask_recipients(b);
    c->recipients = SM_SPAN(b->recips.s.set, b->recips.s.set_n);
    return r ? r : open_session(b, c);
}

static int read_source(struct backupd *b, const json_t *s, bool staged, struct backup_result *res)
{
    struct run_lists *l = calloc(1, sizeof *l);
    struct backup_config c = {
        .vault = b->config.vault,
        .client = b->config.client,
        .run = run_kind(b->now.reason),
        .k_id = b->keys.k_id,
        .k_look = b->keys.k_look,
        .device = &b->keys.device,
        .label = backupd_label(s), /* recovery without a box knows the source by it */
        .state_dir = b->cache,
        .forget = b->now.reindex,
        .denied = b->lends ? backupd_borrow : NULL,
        .denied_arg = b,
        .partial = b->partial,
    };
    const struct backup_sink sink = {.have = backupd_have,
        .put_pack = backupd_put_pack,
        .acked = backupd_acked,
        .window = PACKS_AHEAD,
        .put_manifest = backupd_put_manifest,
        .arg = b};
    const struct backup_watch watch = {
        .progress = backupd_progress, .cancelled = backupd_cancelled, .problem = backupd_problem,
        .silent = backupd_silent, .arg = b};
    if (!l)
        return -ENOMEM;
    int r = ready_source(b, s, l, &c);
    b->pace = (struct pace){0};
    b->kept = "";
    b->kept_bytes = 0;
    bool keeps = !staged; /* what is made anew for each run is read anew for each run: no cache helps there */
    if (!r && keeps) {
        backupd_keep_send(b, &c.source); /* what a run before could not */
        backupd_keep_fetch(b, &c);
    }
    c.keep = keeps;
    struct sm_buf machine = SM_BUF_INIT(FACTS_MAX);
    if (!r && !b->policy.no_facts && facts_collect("", &machine) == 0) /* without them the guide says less */
        c.machine = sm_buf_span(&machine);
    if (!r)
        r = backup_run(&c, &sink, &watch, res);
    if (b->ready.served)
        r = share_close(b, r);
    backupd_packs_drop(b);
    sm_buf_wipe(&machine);
    if (!r && keeps)
        backupd_keep_send(b, &c.source);
    scan_rules_free(l->rules);
    free(l);
    return r;
}

static int run_once(struct backupd *b, struct backup_result *res)
{
    struct helper_work after = {.name = ""};
    sm_cleanup(sm_json_free) json_t *s = json_deep_copy(backupd_source(b, b->now.source)); /* new ones may come */
    const char *kind = json_string_value(json_object_get(s, "kind"));
    if (!s)
        return -SM_ENOTFOUND;
    bool staged = kind && strcmp(kind, "files") != 0;
    int r = backupd_hook_before(b, s, &after);
    if (!r && staged)
        r = backupd_prepare(b, s, kind);
    if (!r && staged && !b->ready.served)
        backupd_hook_end(b, &after, b->partial ? "partial" : "complete");
    if (!r)
        r = read_source(b, s, staged && !b->ready.served, res);
    assist_end(&b->assist);
    share_end(&b->share);
    backupd_hook_end(b, &after, end_name(b, r, res));
    return r;
}

static void save_status(struct backupd *b, int r, const struct backup_result *res)
{
    struct sm_buf t = SM_BUF_INIT(65536);
    char at[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), at);
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:o}", "at", at, "run", b->now.run, "source", b->now.source,
        "status", end_name(b, r, res), "problems", (json_int_t)b->problems_total, "alarm",
        b->heads.alarm ? b->heads.why : b->recips.alarm ? b->recips.why : "", "counters", counters_json(b, &res->counts));
    if (o && !sm_json_dump(o, &t))
        (void)plat_replace(b->cache, "status.json", sm_buf_span(&t), 0644); /* only for `status` */
    json_decref(o);
    sm_buf_wipe(&t);
}

void backupd_run(struct backupd *b)
{
    struct backup_result res = {0};
    b->now = b->queue[0];
    memmove(&b->queue[0], &b->queue[1], --b->queue_n * sizeof b->queue[0]);
    b->running = true;
    atomic_store(&b->cancelled, b->stop);
    b->problems = json_array();
    b->problems_total = 0;
    b->partial = false;
    memset(&b->ready, 0, sizeof b->ready);
    /* The settings with a new source may be a poll behind its first order. */
    for (uint64_t until = plat_clock_mono_ms() + 30000;
         !backupd_source(b, b->now.source) && plat_clock_mono_ms() < until && !b->stop;)
        backupd_serve(b, 200);
    int r = run_once(b, &res);
    if (b->followed) /* in the middle of it: its caches are of the old box */
        follow_forget(b->cache);
    b->followed = false;
    if (r)
        sm_warn("run %s: %s", b->now.run, sm_strerror(r));
    if (heads_save(&b->heads))
        sm_warn("the box's last head could not be kept");
    tell_end(b, r, &res);
    save_status(b, r, &res);
    json_decref(b->problems);
    b->problems = NULL;
    b->running = false;
    (void)malloc_trim(0); /* between runs the machine is its user's */
}
