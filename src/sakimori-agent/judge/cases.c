#include "sakimori-agent/judge/cases.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "core/log.h"
#include "core/time.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori-agent/judge/form.h"

enum { ID_HEX = 16, ACTS_MAX = 60, REASONS_MAX = 40, TEXT_MAX = FORM_TEXT_MAX, FILE_MAX = 384 << 10,
    BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 30000, AGAIN_MS = 1000, ASK_AGAIN_MS = 5000, QUIET_MS = 86400000 };
enum { SEEN = 1, STOPPED = 2 };
enum act { KILL = 1, GIVE_BACK = 2, ISOLATE = 4, QUARANTINE = 8 };
static const struct {
    unsigned act;
    const char *name;
} acts[] = {{KILL, "kill"}, {GIVE_BACK, "give_back"}, {ISOLATE, "isolate"}, {QUARANTINE, "quarantine"}}; /* in this order */

static const char *const kinds[] = {"ransomware", "rule", "malware", "blocked", "tamper", "media", NULL};
static const char *const states[] = {"seen", "stopped", "killed", "gone_on", "ended", NULL};

struct one {
    char id[ID_HEX + 1];
    uint64_t tree;
    int64_t rev, told; /* told: the box has it */
    json_t *view;      /* as its finder told it last, in form */
    json_t *acts, *files;
    char state[12];
    unsigned asked, todo, doing; /* acts by the policy: asked ever; to be asked; being done */
    uint64_t stops;
    int64_t told_after_ms; /* the first harmful act, until the box was told for the first time; -1: not yet */
    unsigned said; /* facts that were said: bits of SEEN, STOPPED */
    bool dirty, soon, unsaved, sending; /* soon: the change need not wait for others */
    uint64_t not_before_ms, backoff_ms, ask_at_ms, touched;
};
struct cases {
    int folder;
    const struct cases_ways *ways;
    const struct endpoint_policy *policy;
    struct one *one[CASES_MAX];
    size_t n;
    uint64_t clock, lost;
};

void cases_time(int64_t wall_ms, char ret[40])
{
    sm_time_rfc3339((struct sm_time){.s = wall_ms / 1000, .ns = (uint32_t)(wall_ms % 1000) * 1000000u}, ret);
}

static bool is_one(const char *s, const char *const *list)
{
    for (size_t i = 0; s && list[i]; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

/* ---- the list ---- */

static struct one *find(const struct cases *c, const char *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->one[i]->id, id) == 0)
            return c->one[i];
    return NULL;
}

static void file_of(const struct one *o, char ret[32])
{
    snprintf(ret, 32, "%.16s.json", o->id);
}

static void one_free(struct one *o)
{
    json_decref(o->view);
    json_decref(o->acts);
    json_decref(o->files);
    free(o);
}

static void let_go(struct cases *c, size_t i)
{
    char file[32];
    file_of(c->one[i], file);
    (void)!plat_fs_unlink(c->folder, file); /* else it is there at the next start, and told once more */
    one_free(c->one[i]);
    c->one[i] = c->one[--c->n];
}

static bool settled(const struct one *o)
{
    return !o->dirty && !o->sending && o->told >= o->rev && !o->todo && !o->doing;
}

/* Room for another: the one that was quiet longest, of those the box has; an open stop only when nothing else is left. */
static bool make_room(struct cases *c)
{
    if (c->n < CASES_MAX)
        return true;
    size_t best = CASES_MAX;
    for (int pass = 0; pass < 2 && best == CASES_MAX; pass++)
        for (size_t i = 0; i < c->n; i++) {
            const struct one *o = c->one[i];
            bool may = settled(o) && (pass || strcmp(o->state, "stopped") != 0);
            if (may && (best == CASES_MAX || o->touched < c->one[best]->touched))
                best = i;
        }
    if (best < CASES_MAX)
        let_go(c, best);
    return c->n < CASES_MAX;
}

static struct one *add(struct cases *c, const char *id)
{
    struct one *o = make_room(c) ? calloc(1, sizeof *o) : NULL;
    if (!o) {
        c->lost++;
        return NULL;
    }
    snprintf(o->id, sizeof o->id, "%.16s", id);
    o->acts = json_array();
    o->files = json_object();
    o->told_after_ms = -1;
    snprintf(o->state, sizeof o->state, "seen");
    c->one[c->n++] = o;
    return o;
}

static void changed(struct cases *c, struct one *o)
{
    o->dirty = o->soon = o->unsaved = true;
    o->touched = ++c->clock;
    if (!o->backoff_ms)
        o->not_before_ms = 0;
}

/* ---- on disk ---- */

static void save(struct cases *c, struct one *o)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    char file[32];
    json_t *j = json_pack("{s:i,s:s,s:I,s:I,s:I,s:s,s:I,s:i,s:i,s:i,s:I,s:O,s:O,s:O}", "v", 1, "id", o->id, "tree", (json_int_t)o->tree, "rev",
        (json_int_t)o->rev, "told", (json_int_t)o->told, "state", o->state, "stops", (json_int_t)o->stops, "asked", (int)o->asked, "todo",
        (int)(o->todo | o->doing), "said", (int)o->said, "told_after_ms", (json_int_t)o->told_after_ms, "view", o->view, "acts", o->acts, "files", o->files);
    file_of(o, file);
    int r = j ? sm_json_dump(j, &text) : -ENOMEM;
    if (!r)
        r = plat_replace(c->folder, file, sm_buf_span(&text), 0600);
    if (r)
        sm_warn("a finding could not be written down: %s", sm_strerror(r)); /* it goes on in memory */
    o->unsaved = false;
    json_decref(j);
    sm_buf_wipe(&text);
}

static int load_one(struct cases *c, const json_t *j)
{
    struct sm_obj f = SM_OBJ(j);
    const char *id = sm_obj_str(&f, "id", ID_HEX, ID_HEX), *state = sm_obj_str(&f, "state", 1, 10);
    struct one got = {.rev = sm_obj_int(&f, "rev", 0, INT64_MAX / 2), .told = sm_obj_int(&f, "told", 0, INT64_MAX / 2),
        .tree = (uint64_t)sm_obj_int(&f, "tree", 0, INT64_MAX), .stops = (uint64_t)sm_obj_int(&f, "stops", 0, INT64_MAX),
        .asked = (unsigned)sm_obj_int(&f, "asked", 0, 7), .todo = (unsigned)sm_obj_int(&f, "todo", 0, 7),
        .said = (unsigned)sm_obj_int(&f, "said", 0, 3), .told_after_ms = sm_obj_int(&f, "told_after_ms", -1, INT64_MAX)};
    const json_t *view = sm_obj_obj(&f, "view"), *list = sm_obj_arr(&f, "acts", ACTS_MAX), *files = sm_obj_obj(&f, "files");
    if (f.err || !view || !files || !is_one(state, states) || strspn(id, "0123456789abcdef") != ID_HEX || find(c, id))
        return -SM_EFORMAT;
    struct one *o = add(c, id);
    if (!o)
        return -ENOMEM;
    json_decref(o->acts);
    json_decref(o->files);
    memcpy(got.id, o->id, sizeof got.id);
    snprintf(got.state, sizeof got.state, "%s", state);
    got.view = form_finding(view);
    got.acts = form_list(list, ACTS_MAX);
    got.files = form_flat(files);
    got.dirty = got.told < got.rev;
    *o = got;
    return 0;
}

static int found(void *arg, struct sm_span name, unsigned char type)
{
    struct cases *c = arg;
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    sm_cleanup(sm_json_free) json_t *j = NULL;
    (void)type;
    if (name.n != ID_HEX + 5 || memcmp(name.p + ID_HEX, ".json", 5) != 0)
        return 0;
    int r = plat_fs_read_file(c->folder, (const char *)name.p, FILE_MAX, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), FILE_MAX, &j, NULL);
    if (!r)
        r = load_one(c, j);
    if (r)
        sm_warn("a finding of before cannot be read");
    sm_buf_wipe(&text);
    return 0;
}

int cases_open(int folder, const struct cases_ways *ways, const struct endpoint_policy *policy, struct cases **ret)
{
    struct cases *c = calloc(1, sizeof *c);
    if (!c) {
        close(folder);
        return -ENOMEM;
    }
    c->folder = folder;
    c->ways = ways;
    c->policy = policy;
    int r = plat_fs_list(folder, found, c);
    if (r)
        cases_free(c);
    else
        *ret = c;
    return r;
}

void cases_free(struct cases *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++) {
        if (c->one[i]->unsaved)
            save(c, c->one[i]);
        one_free(c->one[i]);
    }
    close(c->folder);
    free(c);
}

/* ---- what is done about it ---- */

static const char *act_name(unsigned act)
{
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (acts[i].act == act)
            return acts[i].name;
    return "";
}

static void note(struct cases *c, struct one *o, const char *action, const char *by, const char *state, const char *detail)
{
    char at[SM_TIME_TEXT];
    cases_time(c->ways->wall_ms(), at);
    if (json_array_size(o->acts) >= ACTS_MAX)
        json_array_remove(o->acts, 1); /* the first one stays: it says how it began */
    json_array_append_new(o->acts,
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "at", at, "action", action, "by", by, "state", state, "detail", detail));
    changed(c, o);
}

/* The last line of that act that waits for its end. */
static json_t *waiting(const struct one *o, const char *action)
{
    for (size_t i = json_array_size(o->acts); i-- > 0;) {
        json_t *a = json_array_get(o->acts, i);
        const char *name = json_string_value(json_object_get(a, "action")), *state = json_string_value(json_object_get(a, "state"));
        if (name && state && strcmp(name, action) == 0)
            return strcmp(state, "asked") == 0 ? a : NULL;
    }
    return NULL;
}

/* The file that was found, and only with that content; or the tree. */
static json_t *args_of(const struct one *o, unsigned act)
{
    const json_t *path = json_object_get(json_array_get(json_object_get(o->view, "paths"), 0), "path"),
                 *object = json_object_get(o->view, "object");
    if (act != QUARANTINE)
        return json_pack("{s:I}", "tree", (json_int_t)o->tree);
    return json_pack("{s:O*,s:O*,s:O*}", "path64", path, "sha256", json_object_get(object, "sha256"), "reason", json_object_get(object, "name"));
}

/* One act after the other: what is killed first cannot write again into what is given back. */
static void step(struct cases *c, struct one *o)
{
    struct sm_buf b = SM_BUF_INIT(E_DO_MAX);
    if (o->doing || !o->todo || c->ways->now_ms() < o->ask_at_ms)
        return;
    size_t i = 0;
    while (!(o->todo & acts[i].act))
        i++;
    unsigned act = acts[i].act;
    json_t *j = json_pack("{s:s,s:s,s:o}", "action", acts[i].name, "finding", o->id, "args", args_of(o, act));
    if (!waiting(o, acts[i].name))
        note(c, o, acts[i].name, "policy", "asked", "");
    int r = j ? sm_json_dump(j, &b) : -ENOMEM;
    if (!r) {
        o->todo &= ~act;
        o->doing = act;
        r = c->ways->ask(c->ways->ctx, o->id, act, sm_buf_span(&b));
    }
    if (r) { /* asked when actor is there */
        o->doing = 0;
        o->todo |= act;
        o->ask_at_ms = c->ways->now_ms() + ASK_AGAIN_MS;
    }
    json_decref(j);
    sm_buf_wipe(&b);
}

void cases_acted(struct cases *c, const char *id, unsigned act, int err, bool gone, const json_t *answer)
{
    struct one *o = find(c, id);
    if (!o || o->doing != act)
        return;
    o->doing = 0;
    if (err && gone) {
        o->todo |= act;
        o->ask_at_ms = c->ways->now_ms() + ASK_AGAIN_MS;
        return;
    }
    const char *state = json_string_value(json_object_get(answer, "state")), *detail = json_string_value(json_object_get(answer, "detail"));
    json_t *line = waiting(o, act_name(act)), *files = form_flat(json_object_get(answer, "files"));
    state = err ? "refused" : is_one(state, (const char *const[]){"done", "failed", "refused", NULL}) ? state : "failed";
    if (line) {
        json_object_set_new(line, "state", json_string(state));
        json_object_set_new(line, "detail", json_string(detail && strlen(detail) < TEXT_MAX ? detail : ""));
    }
    if (files)
        json_object_update(o->files, files);
    json_decref(files);
    if (act == KILL && strcmp(state, "done") == 0)
        snprintf(o->state, sizeof o->state, "killed");
    changed(c, o);
    step(c, o);
}

static void want(struct cases *c, struct one *o, unsigned act)
{
    if (o->asked & act)
        return;
    o->asked |= act;
    o->todo |= act;
    step(c, o);
}

/* The fact for the record and the rules of the box: once when it is seen, once when it is stopped. */
static void say(struct cases *c, struct one *o)
{
    const char *kind = json_string_value(json_object_get(o->view, "kind")), *program = json_string_value(json_object_get(o->view, "program"));
    bool stopped = strcmp(o->state, "stopped") == 0 || strcmp(o->state, "killed") == 0, seen = strcmp(o->state, "seen") == 0;
    const json_t *process = json_array_get(json_object_get(o->view, "processes"), 0);
    const char *line = json_string_value(json_object_get(process, "line"));
    unsigned what = stopped ? STOPPED : SEEN;
    char at[SM_TIME_TEXT];
    if (o->said >= what || (!stopped && !seen) || !kind || strcmp(kind, "ransomware") != 0)
        return;
    o->said |= what;
    cases_time(c->ways->wall_ms(), at);
    json_t *e = json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:O*,s:O*}", "v", 1, "at", at, "service", "sakimori", "action",
        stopped ? "ransomware_stopped" : "ransomware_seen", "Finding", o->id, "Image", program ? program : "", "CommandLine", line ? line : "",
        "Tree", (json_int_t)o->tree, "Score", json_object_get(o->view, "score"), "Touched",
        json_object_get(json_object_get(o->view, "files"), "touched"));
    if (e)
        c->ways->event(c->ways->ctx, e);
    json_decref(e);
}

static void decide(struct cases *c, struct one *o)
{
    const struct endpoint_policy *p = c->policy;
    const char *kind = json_string_value(json_object_get(o->view, "kind"));
    say(c, o);
    if (kind && strcmp(kind, "malware") == 0 && p->answer != ENDPOINT_ANSWER_TELL)
        want(c, o, QUARANTINE);
    if (!kind || strcmp(kind, "ransomware") != 0 || strcmp(o->state, "stopped") != 0)
        return;
    if (p->ransom == ENDPOINT_KILL)
        want(c, o, KILL);
    if (p->give_back)
        want(c, o, GIVE_BACK);
    if (p->isolate_by_rule)
        want(c, o, ISOLATE);
}

/* ---- what finders tell ---- */

static int more_of(struct cases *c, struct one *o, const json_t *j)
{
    const json_t *a = json_object_get(j, "act");
    const char *action = json_string_value(json_object_get(a, "action")), *by = json_string_value(json_object_get(a, "by")),
               *how = json_string_value(json_object_get(a, "state")), *detail = json_string_value(json_object_get(a, "detail")),
               *state = json_string_value(json_object_get(j, "state"));
    json_t *files = form_flat(json_object_get(j, "files"));
    if (files)
        json_object_update(o->files, files);
    json_decref(files);
    if (is_one(state, states))
        snprintf(o->state, sizeof o->state, "%s", state);
    if (action && how && strlen(action) < 40 && strlen(how) < 20)
        note(c, o, action, by && strcmp(by, "policy") == 0 ? "policy" : "order", how, detail && strlen(detail) < TEXT_MAX ? detail : "");
    changed(c, o);
    return 0;
}

/* What the finder did at once (it stops before it tells). */
static void take_acts(struct cases *c, struct one *o, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list) && i < ACTS_MAX; i++) {
        json_t *a = form_flat(json_array_get(list, i));
        const char *action = json_string_value(json_object_get(a, "action"));
        bool known = !action;
        for (size_t k = 0; k < json_array_size(o->acts) && !known; k++) {
            const char *have = json_string_value(json_object_get(json_array_get(o->acts, k), "action"));
            known = have && strcmp(have, action) == 0;
        }
        if (!known && json_array_size(o->acts) < ACTS_MAX)
            json_array_append(o->acts, a);
        json_decref(a);
    }
    changed(c, o);
}

/* A killed tree does not become a stopped one by a view that is older. */
static void take_state(struct one *o, const char *state)
{
    bool ended = strcmp(o->state, "killed") == 0 && (strcmp(state, "stopped") == 0 || strcmp(state, "seen") == 0);
    if (!ended)
        snprintf(o->state, sizeof o->state, "%s", state);
}

static int take(struct cases *c, const json_t *j)
{
    struct sm_obj f = SM_OBJ(j);
    const char *id = sm_obj_str(&f, "id", ID_HEX, ID_HEX);
    struct one *o = f.err ? NULL : find(c, id);
    if (f.err || strspn(id, "0123456789abcdef") != ID_HEX)
        return -SM_EINVAL;
    if (json_object_get(j, "act"))
        return o ? more_of(c, o, j) : -SM_ENOTFOUND;
    const char *kind = sm_obj_str(&f, "kind", 1, 16), *state = sm_obj_str(&f, "state", 1, 10);
    int64_t tree = sm_obj_int_opt(&f, "tree", 0, INT64_MAX, 0), stops = sm_obj_int_opt(&f, "stops", 0, INT64_MAX, 1);
    (void)sm_obj_str(&f, "at", 20, 39);
    if (f.err || !is_one(kind, kinds) || !is_one(state, states))
        return -SM_EINVAL;
    json_t *view = form_finding(j);
    o = o ? o : add(c, id);
    if (!o || !view) {
        json_decref(view);
        return -ENOMEM;
    }
    json_decref(o->view);
    o->view = view;
    o->tree = (uint64_t)tree;
    take_state(o, state);
    if ((uint64_t)stops > o->stops && o->stops) /* it moved again: what it wrote since is given back too */
        o->asked &= ~(unsigned)GIVE_BACK;
    o->stops = (uint64_t)stops;
    take_acts(c, o, json_object_get(j, "acts"));
    decide(c, o);
    return 0;
}

int cases_told(struct cases *c, struct sm_span body)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    int r = sm_json_parse(body, E_FINDING_MAX, &j, NULL);
    if (!r && json_is_object(json_object_get(j, "finding"))) /* as it is told to the box */
        return take(c, json_object_get(j, "finding"));
    return r ? r : take(c, j);
}

/* ---- what rules match ---- */

static void put_text(json_t *o, const char *key, struct sm_span s)
{
    size_t n = s.n < TEXT_MAX ? s.n : TEXT_MAX;
    while (n && !sm_utf8_valid(SM_SPAN(s.p, n)))
        n--;
    if (n)
        json_object_set_new(o, key, json_stringn((const char *)s.p, n));
}

static json_t *rule_view(const struct cases *c, const struct cases_hit *h)
{
    char at[SM_TIME_TEXT];
    cases_time(c->ways->wall_ms(), at);
    json_t *view = json_pack("{s:s,s:s,s:I,s:[],s:[]}", "kind", "rule", "at", at, "tree", (json_int_t)h->tree, "reasons", "processes");
    put_text(view, "program", h->program);
    return view;
}

/* What no tree holds together (a line of a log) is one case for each rule. */
static bool is_first_reason(const struct one *o, const struct sigma_rule *rule)
{
    const char *id = json_string_value(json_object_get(json_array_get(json_object_get(o->view, "reasons"), 0), "id"));
    return id && strcmp(id, rule->id[0] ? rule->id : rule->name) == 0;
}

static struct one *rule_case(struct cases *c, const struct cases_hit *h)
{
    for (size_t i = 0; i < c->n; i++) {
        const char *kind = json_string_value(json_object_get(c->one[i]->view, "kind"));
        if (c->one[i]->tree == h->tree && kind && strcmp(kind, "rule") == 0 && strcmp(c->one[i]->state, "ended") != 0 &&
            (h->tree || is_first_reason(c->one[i], h->rule)))
            return c->one[i];
    }
    uint8_t id[ID_HEX / 2];
    char hex[ID_HEX + 1];
    crypto_random(id, sizeof id);
    sm_hex(id, sizeof id, hex);
    struct one *o = add(c, hex);
    if (!o)
        return NULL;
    o->tree = h->tree;
    o->view = rule_view(c, h);
    return o;
}

/* True when this rule is new to the case. */
static bool add_reason(struct one *o, const struct sigma_rule *rule)
{
    json_t *list = json_object_get(o->view, "reasons"), *v;
    const char *id = rule->id[0] ? rule->id : rule->name;
    size_t i;
    json_array_foreach(list, i, v) {
        const char *have = json_string_value(json_object_get(v, "id"));
        if (!have || strcmp(have, id) != 0)
            continue;
        json_object_set_new(v, "times", json_integer(json_integer_value(json_object_get(v, "times")) + 1));
        return false;
    }
    if (json_array_size(list) < REASONS_MAX)
        json_array_append_new(list, json_pack("{s:s,s:i,s:i,s:s,s:s}", "id", id, "points", rule->level == SIGMA_CRITICAL ? 100 : 60, "times", 1,
                                        "ja", rule->title_ja[0] ? rule->title_ja : rule->title, "en", rule->title));
    return true;
}

static void add_process(struct one *o, const struct cases_hit *h)
{
    json_t *list = json_object_get(o->view, "processes"), *p = json_object();
    put_text(p, "pid", h->pid);
    put_text(p, "parent", h->parent);
    put_text(p, "user", h->user);
    put_text(p, "exe", h->program);
    put_text(p, "line", h->line);
    if (json_array_size(list) < REASONS_MAX)
        json_array_append(list, p);
    json_decref(p);
}

void cases_hit(struct cases *c, const struct cases_hit *h)
{
    struct one *o = h->tree || h->log ? rule_case(c, h) : NULL;
    if (!o)
        return;
    bool fresh = add_reason(o, h->rule);
    if (fresh)
        add_process(o, h);
    if (fresh && h->tree && c->policy->answer == ENDPOINT_ANSWER_STOP && strcmp(o->state, "seen") == 0) {
        int r = c->ways->tree(c->ways->ctx, o->tree, "stop");
        note(c, o, "stop", "policy", r ? "failed" : "done", r ? sm_strerror(r) : "");
        if (!r)
            snprintf(o->state, sizeof o->state, "stopped");
    }
    if (fresh && h->tree && c->policy->answer == ENDPOINT_ANSWER_KILL)
        want(c, o, KILL);
    if (fresh && h->rule->level == SIGMA_CRITICAL && c->policy->isolate_by_rule)
        want(c, o, ISOLATE);
    o->dirty = o->unsaved = true;
    o->touched = ++c->clock;
}

/* ---- to the box ---- */

static json_t *body_of(struct cases *c, struct one *o)
{
    json_t *f = json_deep_copy(o->view), *timing = json_object_get(f, "timing"), *files = json_object_get(f, "files");
    json_int_t first = json_integer_value(json_object_get(timing, "first_ms"));
    json_object_set_new(f, "id", json_string(o->id));
    json_object_set_new(f, "rev", json_integer(o->rev));
    json_object_set_new(f, "state", json_string(o->state));
    json_object_set(f, "acts", o->acts);
    if (first > 0 && o->told_after_ms < 0) { /* the first telling counts */
        json_int_t ms = c->ways->wall_ms() - first;
        o->told_after_ms = ms > 0 ? ms : 0;
    }
    if (o->told_after_ms >= 0)
        json_object_set_new(timing, "told_ms", json_integer(o->told_after_ms));
    if (!files && json_object_size(o->files)) {
        files = json_object();
        json_object_set_new(f, "files", files);
    }
    json_object_update(files, o->files);
    return json_pack("{s:o}", "finding", f);
}

static int fit(json_t *body, struct sm_buf *ret)
{
    static const char *const lists[] = {"processes", "paths", "reasons"};
    json_t *f = json_object_get(body, "finding");
    int r = sm_json_dump(body, ret);
    for (size_t i = 0; r == -SM_ELIMIT && i < sizeof lists / sizeof lists[0];) {
        json_t *list = json_object_get(f, lists[i]);
        size_t n = json_array_size(list);
        if (n < 2)
            i++;
        for (size_t k = n; k > n / 2 && k > 1; k--)
            json_array_remove(list, k - 1);
        sm_buf_clear(ret);
        r = sm_json_dump(body, ret);
    }
    return r;
}

static void send_one(struct cases *c, struct one *o)
{
    struct sm_buf b = SM_BUF_INIT(CASES_BODY_MAX);
    int64_t wall = c->ways->wall_ms();
    if (o->dirty)
        o->rev = o->rev + 1 > wall ? o->rev + 1 : wall; /* rises over a crash too */
    o->dirty = o->soon = false;
    o->sending = true;
    json_t *body = body_of(c, o);
    int r = body ? fit(body, &b) : -ENOMEM;
    char id[ID_HEX + 1];
    memcpy(id, o->id, sizeof id);
    if (!r)
        r = c->ways->post(c->ways->ctx, id, sm_buf_span(&b));
    if (r)
        cases_answered(c, id, r);
    json_decref(body);
    sm_buf_wipe(&b);
}

/* What a rule only told of, and nothing followed: it ends by itself.  A rev is the moment of its telling. */
static void grow_old(struct cases *c, struct one *o)
{
    const char *kind = json_string_value(json_object_get(o->view, "kind"));
    if (!settled(o) || strcmp(o->state, "seen") != 0 || !kind || strcmp(kind, "rule") != 0 || c->ways->wall_ms() - o->rev < QUIET_MS)
        return;
    snprintf(o->state, sizeof o->state, "ended");
    changed(c, o);
}

uint64_t cases_go(struct cases *c)
{
    uint64_t now = c->ways->now_ms(), next = UINT64_MAX;
    for (size_t i = 0; i < c->n; i++) {
        struct one *o = c->one[i];
        grow_old(c, o);
        bool news = o->dirty || o->told < o->rev;
        step(c, o);
        if (news && !o->sending && now >= o->not_before_ms)
            send_one(c, o);
        if (o->unsaved)
            save(c, o);
        uint64_t at = (o->dirty || o->told < o->rev) && !o->sending ? o->not_before_ms : UINT64_MAX;
        at = o->todo && !o->doing && o->ask_at_ms < at ? o->ask_at_ms : at;
        next = at < next ? at : next;
    }
    return next == UINT64_MAX ? next : next > now ? next - now : 0;
}

void cases_answered(struct cases *c, const char *id, int status)
{
    struct one *o = find(c, id);
    uint64_t now = c->ways->now_ms();
    if (!o || !o->sending)
        return;
    o->sending = false;
    if (status == 200 || status == 400 || status == 409 || status == 413) {
        if (status != 200) {
            sm_error("the box does not take a finding (%d)", status);
            c->lost++;
        }
        o->told = o->rev;
        o->backoff_ms = 0;
        o->not_before_ms = o->soon ? 0 : now + AGAIN_MS;
        o->unsaved = true;
        return;
    }
    o->backoff_ms = !o->backoff_ms ? BACKOFF_MIN_MS : o->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : o->backoff_ms * 2;
    o->not_before_ms = now + o->backoff_ms;
}

void cases_link_here(struct cases *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->one[i]->not_before_ms = c->one[i]->backoff_ms = 0;
}

void cases_actor_here(struct cases *c)
{
    for (size_t i = 0; i < c->n; i++) {
        c->one[i]->ask_at_ms = 0;
        step(c, c->one[i]);
    }
}

void cases_counts(const struct cases *c, struct cases_counts *ret)
{
    *ret = (struct cases_counts){.lost = c->lost};
    for (size_t i = 0; i < c->n; i++) {
        ret->open += strcmp(c->one[i]->state, "ended") != 0;
        ret->untold += c->one[i]->dirty || c->one[i]->told < c->one[i]->rev;
    }
}
