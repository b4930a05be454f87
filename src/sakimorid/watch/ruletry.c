/* A rule tried on a line that a person pasted, and a rule that a person wrote looked at before it is kept.  Nothing of it is counted, kept or told. */
#include <errno.h>
#include <strings.h>
#include "plat/clock.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { LINE_MAX_BYTES = 64 << 10, TEXT_MAX = 64 << 10, LINES_MAX = 400, VALUE_MAX = 300, FIELDS_MAX = 80, RULES_MAX = 16, BYTES_MAX = 200 << 10,
    BODY_MAX = 512 << 10 };
static const char candidate[] = "own/ ";

struct try {
    struct watch *w;
    json_t *faults, *rules, *lines, *results;
    size_t bytes;
};

/* UTF-8 of at most VALUE_MAX bytes; what is none stays empty. */
static json_t *cut_text(const char *p, size_t n)
{
    size_t k = n < VALUE_MAX ? n : VALUE_MAX;

    while (k && k < n && ((unsigned char)p[k] & 0xc0) == 0x80)
        k--;
    json_t *j = k ? json_stringn(p, k) : NULL;
    return j ? j : json_string("");
}

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    struct try *t = ctx;

    if (!strcmp(f->file, candidate) && json_array_size(t->faults) < RULES_MAX)
        (void)json_array_append_new(t->faults, json_pack("{si ss}", "line", (int)f->line, "why", f->why)); /* one less when memory is short */
}

static void on_line(void *ctx, const struct sigma_line *l)
{
    struct try *t = ctx;

    if (json_array_size(t->lines) >= LINES_MAX || t->bytes > BYTES_MAX)
        return;
    t->bytes += 200 + (l->have.n < VALUE_MAX ? l->have.n : VALUE_MAX) + strnlen(l->want, VALUE_MAX);
    (void)json_array_append_new(t->lines, json_pack("{si sb so so so sb so}", "depth", (int)l->depth, "truth", (int)l->truth, "what",
        cut_text(l->what, strlen(l->what)), "want", cut_text(l->want, strlen(l->want)), "have", cut_text((const char *)l->have.p, l->have.n),
        "absent", (int)l->absent, "field", cut_text(l->field, strlen(l->field)))); /* as above */
}

/* ---- a text looked at among all the others ---- */

/* The box's own rules without that of this id, and the text in front. */
static json_t *own_with(const struct watch *w, const char *text, const char *instead)
{
    json_t *own = json_pack("[{ss ss}]", "id", candidate + 4, "text", text);
    const json_t *v;
    size_t i;

    json_array_foreach(w->own_rules, i, v) {
        const char *id = json_string_value(json_object_get(v, "id"));
        if (!instead || !id || strcmp(id, instead) != 0)
            (void)json_array_append(own, (json_t *)v); /* one less when memory is short */
    }
    return own;
}

static int look(struct try *t, const char *text, const char *instead)
{
    struct sigma_set *set = NULL;
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";
    size_t files = 0;
    json_t *own = own_with(t->w, text, instead);
    int r = bundles_current(t->w, &b, why) == -ENOMEM || !own ? -ENOMEM : 0;

    if (r >= 0)
        r = rules_gather(t->w, own, b, on_fault, t, &files, &set);
    for (size_t i = 0; r >= 0 && i < sigma_count(set) && json_array_size(t->rules) < RULES_MAX; i++) {
        const struct sigma_rule *rule = sigma_rule_at(set, i);
        if (strcmp(rule->file, candidate) != 0)
            continue;
        json_t *j = rule_json(t->w, rule);
        const struct sigma_rule *old = t->w->set ? rule_by_id(t->w->set, *rule->id ? rule->id : rule->name) : NULL;
        if (j && old && old->layer != LAYER_OWN)
            (void)json_object_set_new(j, "instead_of", json_string(old->title)); /* left out when memory is short */
        (void)json_array_append_new(t->rules, j);
    }
    sigma_set_free(set);
    bundle_free(b);
    json_decref(own);
    return r;
}

/* ---- a line ---- */

static int add_of(struct watch *w, struct sigma_set *set, const struct sigma_rule *rule)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX);
    int r = rule_text(w, rule, &text);

    if (r >= 0)
        r = sigma_add(set, "rule", sm_buf_span(&text), NULL, NULL);
    sm_buf_wipe(&text);
    return r;
}

/* The rule that is meant alone, with those a correlation refers to. */
static int add_rule(struct watch *w, struct sigma_set *set, const char *id)
{
    const struct sigma_rule *rule = w->set ? rule_by_id(w->set, id) : NULL, *to[RULES_MAX];

    if (!rule)
        return -SM_ENOTFOUND;
    int r = add_of(w, set, rule);
    size_t n = sigma_refers(w->set, rule, to, RULES_MAX);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = add_of(w, set, to[i]);
    return r;
}

static json_t *fields_of(struct try *t, const struct event *e)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < e->n && i < FIELDS_MAX && t->bytes < BYTES_MAX; i++) {
        struct sm_span name = event_names_text(t->w->names, e->fields[i].name);
        struct sm_span value = event_value(&e->fields[i]);
        t->bytes += name.n + 40 + (value.n < VALUE_MAX ? value.n : VALUE_MAX);
        (void)json_array_append_new(list, json_pack("[oo]", cut_text((const char *)name.p, name.n), cut_text((const char *)value.p, value.n)));
    }
    return list;
}

static int explain(struct try *t, struct sigma_set *set, const struct event *e)
{
    struct sigma_matcher *m = NULL;
    struct sigma_options options = { .zone_s = NORMALISE_ZONE_JST };
    int r = sigma_compile(set, &options, &m);
    struct sigma_scratch *s = r < 0 ? NULL : sigma_scratch_new(m);

    if (r >= 0 && !s)
        r = -ENOMEM;
    for (size_t i = 0; r >= 0 && i < sigma_count(set) && json_array_size(t->results) < RULES_MAX; i++) {
        const struct sigma_rule *rule = sigma_rule_at(set, i);
        if (rule->kind != SIGMA_RULE || rule->replaced)
            continue;
        t->lines = json_array();
        r = t->lines ? sigma_explain(m, s, rule, e, on_line, t) : -ENOMEM;
        if (r >= 0)
            (void)json_array_append_new(t->results, json_pack("{ss ss sb sO}", "id", *rule->id ? rule->id : rule->name, "title", rule->title,
                "match", r > 0, "lines", t->lines));
        json_decref(t->lines);
    }
    sigma_scratch_free(s);
    sigma_matcher_free(m);
    return r < 0 ? r : 0;
}

static int try_line(struct try *t, const char *id, const char *text, const char *line, const char *format, json_t *out)
{
    struct normalise_hint hint = NORMALISE_HINT;
    struct sigma_set *set = sigma_set_new(t->w->names);
    struct sm_time now = plat_clock_wall();
    struct bundle *b = NULL;
    struct event e;
    char why[BUNDLE_WHY_MAX] = "";
    int r = set ? event_init(&e) : -ENOMEM;

    if (r < 0) {
        sigma_set_free(set);
        return r;
    }
    hint.format = format && *format ? format : NULL;
    if (bundles_current(t->w, &b, why) == -ENOMEM)
        r = -ENOMEM;
    if (r >= 0)
        r = rules_tables(t->w, b, set, on_fault, t);
    if (r >= 0)
        r = text ? sigma_add(set, "rule", SM_SPAN_STR(text), NULL, NULL) : add_rule(t->w, set, id);
    if (r >= 0)
        r = rules_tune(t->w, set);
    if (r >= 0)
        r = sigma_link(set, on_fault, t);
    if (r >= 0)
        r = normalise_record(t->w->normalise, &hint, SM_SPAN_STR(line), (struct event_time){ .s = now.s, .ns = now.ns }, &e);
    if (r >= 0)
        r = explain(t, set, &e);
    if (r >= 0) {
        struct sm_span read_as = event_names_text(t->w->names, e.format);
        (void)json_object_set_new(out, "fields", fields_of(t, &e)); /* left out when memory is short */
        (void)json_object_set_new(out, "format", cut_text((const char *)read_as.p, read_as.n));
    }
    event_wipe(&e);
    sigma_set_free(set);
    bundle_free(b);
    return r;
}

/* {"id" or "text", "instead"?: id of the own rule it is to replace, "line"?, "format"?} → {"rules", "faults", "results", "fields"}. */
void rules_on_try(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct try t = { .w = c->state, .faults = json_array(), .rules = json_array(), .results = json_array() };
    json_t *in = NULL;
    char why[160] = "";
    int r = msg_json(m->body, BODY_MAX, &in, why);
    struct sm_obj o = SM_OBJ(in);
    const char *text = NULL, *id = NULL, *line = NULL;
    json_t *out = json_pack("{sO sO sO}", "rules", t.rules, "faults", t.faults, "results", t.results);

    if (r >= 0) {
        text = sm_obj_str_opt(&o, "text", TEXT_MAX);
        id = sm_obj_str_opt(&o, "id", 200);
        line = sm_obj_str_opt(&o, "line", LINE_MAX_BYTES);
        r = o.err ? o.err : !text && !id ? -SM_EINVAL : out ? 0 : -ENOMEM;
    }
    if (r >= 0 && text)
        r = look(&t, text, sm_obj_str_opt(&o, "instead", 200));
    if (r >= 0 && line && *line)
        r = try_line(&t, id, text, line, sm_obj_str_opt(&o, "format", 60), out);
    if (r < 0)
        json_decref(out);
    wire_answer(ipc, m, r < 0 ? NULL : out, r, r < 0 && o.err ? o.why : why);
    json_decref(t.faults);
    json_decref(t.rules);
    json_decref(t.results);
    json_decref(in);
}
