/*
 * Signals: a rule that matched.  The same rule about the same machine, account and address is told at once and then, as long as it goes on, every FOLD_MS with how
 * often it did: a flood of matches is a few lines.  Nothing is told before what it rests on is kept.
 */
#include <errno.h>
#include "core/log.h"
#include "plat/clock.h"
#include "decide/decide.h"
#include "sakimorid/watch/watch.h"

enum { VALUE_MAX = 300, ALIAS_AGAIN_S = 3600, FIELDS_TOLD = 16 };

/* What people see of the event. */
static const uint16_t told[] = { EVENT_F_Computer, EVENT_F_EventID, EVENT_F_User, EVENT_F_SubjectUserName, EVENT_F_TargetUserName, EVENT_F_IpAddress,
    EVENT_F_SourceIp, EVENT_F_DestinationIp, EVENT_F_src_ip, EVENT_F_dst_ip, EVENT_F_Image, EVENT_F_ParentImage, EVENT_F_CommandLine,
    EVENT_F_TargetFilename, EVENT_F_Message };
/* What joins signals into one story, the most particular first. */
static const struct { const char *kind; uint16_t field; } joins[] = { { "process", EVENT_F_ProcessGuid }, { "account", EVENT_F_TargetUserName },
    { "account", EVENT_F_username }, { "account", EVENT_F_User }, { "account", EVENT_F_SubjectUserName }, { "address", EVENT_F_IpAddress },
    { "address", EVENT_F_src_ip }, { "address", EVENT_F_SourceIp }, { "address", EVENT_F_c_ip },
    { "address", EVENT_F_tunnel_ip }, { "host", EVENT_F_Computer } };
enum { ENTITIES_MAX = DECIDE_ENTITIES_MAX };

static json_t *text_of(struct sm_span s, size_t max)
{
    size_t n = s.n < max ? s.n : max;

    while (n && n < s.n && (s.p[n] & 0xc0) == 0x80)
        n--;
    return json_stringn((const char *)s.p, n);
}

static json_t *fields_of(const struct event *e)
{
    json_t *o = json_object();

    for (size_t i = 0; o && i < sizeof told / sizeof told[0]; i++) {
        const struct event_field *f = event_get(e, told[i]);
        const struct event_field_doc *doc = event_field_doc(told[i]);
        if (f && f->n && doc)
            (void)json_object_set_new(o, doc->name, text_of(event_value(f), VALUE_MAX)); /* one less when memory is short */
    }
    return o;
}

static void entity(json_t *list, const char *kind, struct sm_span text)
{
    json_t *one = text.n && json_array_size(list) < ENTITIES_MAX ? json_pack("[so]", kind, text_of(text, DECIDE_TEXT_MAX - 1)) : NULL;
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v)
        if (one && !strcmp(json_string_value(json_array_get(v, 0)), kind) &&
            !strcasecmp(json_string_value(json_array_get(v, 1)), json_string_value(json_array_get(one, 1)))) {
            json_decref(one);
            return;
        }
    if (one)
        (void)json_array_append_new(list, one); /* one less when memory is short */
}

/* A device of the network tells of others: that two things went through one firewall joins nothing. */
static bool tells_of_others(const struct event *e)
{
    return e->product == EVENT_W_fortigate || e->product == EVENT_W_yamaha || e->product == EVENT_W_nec || e->product == EVENT_W_cisco;
}

static json_t *entities_of(const struct event *e, const struct source *s)
{
    json_t *list = json_array();
    struct sm_span host = e->host;

    for (size_t i = 0; list && i < sizeof joins / sizeof joins[0]; i++)
        entity(list, joins[i].kind, event_text(e, joins[i].field));
    if (!host.n && s)
        host = SM_SPAN_STR(s->origin->address);
    if (list && (!tells_of_others(e) || !json_array_size(list)))
        entity(list, "host", host);
    return list;
}

static const char *stage_of(const struct sigma_rule *rule)
{
    for (size_t i = 0; rule->tags[i]; i++)
        if (decide_stage_of(rule->tags[i]) != DECIDE_STAGE_none)
            return decide_stage_tag(decide_stage_of(rule->tags[i]));
    return "";
}

static bool is_tagged(const struct sigma_rule *rule, const char *tag)
{
    for (size_t i = 0; rule->tags[i]; i++)
        if (!strcmp(rule->tags[i], tag))
            return true;
    return false;
}

json_t *signals_json(const struct sigma_rule *rule, const struct event *e, const struct source *s, uint64_t id, uint64_t times)
{
    static const char *const levels[] = { "informational", "informational", "low", "medium", "high", "critical" };
    json_t *j = json_pack("{sI ss% ss ss ss ss ss ss ss so sI sI sI so}", "at_s", (json_int_t)e->time.s, "rule", *rule->id ? rule->id : rule->name,
        strnlen(*rule->id ? rule->id : rule->name, DECIDE_RULE_MAX - 1), "level", levels[rule->level], "stage", stage_of(rule), "title_en",
        rule->title, "title_ja", rule->title_ja, "text_ja", rule->what_ja, "todo_ja", rule->todo_ja, "author", rule->author, "entities",
        entities_of(e, s), "times", (json_int_t)times, "source", (json_int_t)(s ? s->number : 0), "ref", (json_int_t)id, "fields", fields_of(e));

    if (j && rule->references[0])
        (void)json_object_set_new(j, "reference", json_string(rule->references[0])); /* left out when memory is short */
    if (j && is_tagged(rule, "sakimori.maintenance"))
        (void)json_object_set_new(j, "maintenance", json_true());
    return j;
}

/* Whom it is about, as one number: two machines behind one source are two signals. */
uint64_t signals_who(const struct event *e)
{
    uint64_t h = 1469598103934665603u;

    for (size_t i = 0; i <= sizeof joins / sizeof joins[0]; i++) {
        struct sm_span v = i < sizeof joins / sizeof joins[0] ? event_text(e, joins[i].field) : e->host;
        for (size_t k = 0; k < v.n; k++)
            h = (h ^ v.p[k]) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    return h;
}

static bool is_text(const json_t *o, const char *key, struct sm_span text)
{
    const json_t *v = json_object_get(o, key);

    return json_string_length(v) == text.n && !memcmp(json_string_value(v), text.p, text.n);
}

/* Each pair once, as of when it was seen last: a large group has many of the same. */
static void alias(struct watch *w, struct sm_span address, struct sm_span host, int64_t at_s)
{
    size_t i;
    json_t *known;

    json_array_foreach(w->aliases, i, known)
        if (is_text(known, "address", address) && is_text(known, "host", host)) {
            (void)json_object_set_new(known, "at_s", json_integer(at_s)); /* as it was when memory is short */
            return;
        }
    if (!address.n || !host.n || json_array_size(w->aliases) >= ALIASES_MAX)
        return;
    json_t *a = text_of(address, 63), *h = text_of(host, DECIDE_TEXT_MAX - 1);
    json_t *j = a && h ? json_pack("{sO sO sI}", "address", a, "host", h, "at_s", (json_int_t)at_s) : NULL;

    json_decref(a);
    json_decref(h);
    if (j)
        (void)json_array_append_new(w->aliases, j); /* a hint */
}

/* A machine that sends for itself, and who came from where to sign in. */
void signals_aliases(struct watch *w, const struct event *e, const struct source *s)
{
    if (s && s->origin->hosts == 1 && s->host[0])
        alias(w, SM_SPAN_STR(s->origin->address), SM_SPAN_STR(s->host), e->time.s);
    alias(w, event_text(e, EVENT_F_IpAddress), event_text(e, EVENT_F_WorkstationName), e->time.s);
}

static void fold_drop(struct fold *f)
{
    json_decref(f->signal);
    *f = (struct fold){ .rule = 0 };
}

static size_t fold_at(uint32_t rule, uint64_t source, uint64_t who)
{
    return (rule * 2654435761u ^ (size_t)source ^ (size_t)(who >> 16)) % FOLDS_MAX;
}

static struct fold *fold_of(struct watch *w, uint32_t rule, uint64_t source, uint64_t who)
{
    struct fold *f = &w->folds[fold_at(rule, source, who)];

    /* Two that fall together take turns: each is told at once then, which is more, not less. */
    if (f->used && (f->rule != rule || f->source != source || f->who != who))
        fold_drop(f);
    f->rule = rule;
    f->source = source;
    f->who = who;
    f->used = true;
    return f;
}

/* May one more be told apart?  Past the number all the rest is one signal that is counted. */
static bool apart(struct watch *w, uint32_t rule, const struct origin *origin, uint64_t now)
{
    struct budget *b = &w->budgets[(rule * 2654435761u ^ (uintptr_t)origin >> 4) % BUDGETS_MAX];

    if (now >= b->until_ms || b->rule != rule || b->origin != origin)
        *b = (struct budget){ .rule = rule, .origin = origin, .until_ms = now + WHOS_MS };
    return ++b->n <= WHOS_MAX;
}

static bool folds_now(const struct watch *w, uint32_t rule, uint64_t source, uint64_t who, uint64_t now)
{
    const struct fold *f = &w->folds[fold_at(rule, source, who)];

    return f->used && f->rule == rule && f->source == source && f->who == who && now < f->until_ms;
}

static void put(struct watch *w, json_t *signal)
{
    if (!signal || json_array_size(w->signals) >= SIGNALS_MAX || json_array_append_new(w->signals, signal) < 0)
        w->signals_lost++;
}

void signals_add(struct watch *w, const struct sigma_rule *rule, const struct event *e, const struct source *s, uint64_t id)
{
    struct fold *f;
    uint64_t now = plat_clock_mono_ms();

    if (rule->kind == SIGMA_FILTER || rule->off)
        return;
    uint64_t source = s ? s->number : 0, who = signals_who(e);
    if (!folds_now(w, rule->number, source, who, now) && !apart(w, rule->number, s ? s->origin : NULL, now))
        source = who = 0;
    f = fold_of(w, rule->number, source, who);
    if (now < f->until_ms) {
        if (e->time.s - f->last_s > ALIAS_AGAIN_S)
            signals_aliases(w, e, s); /* what was sent late comes fast: hours of it may fold */
        f->more++;
        f->last_id = id;
        f->last_s = e->time.s;
        return;
    }
    json_decref(f->signal);
    signals_aliases(w, e, s);
    f->signal = json_array_size(w->signals) < SIGNALS_MAX ? signals_json(rule, e, s, id, f->more + 1) : NULL;
    put(w, json_incref(f->signal));
    f->more = 0;
    f->last_s = e->time.s;
    f->until_ms = now + FOLD_MS;
}

/* Several events together.  One that its window alone decided has no event: what they had in common stands for it. */
void signals_correlated(void *ctx, const struct correlate_hit *hit)
{
    struct watch *w = ctx;
    const struct event *e = hit->event;

    if (hit->rule->correlated)
        return;
    w->rule_hits[hit->rule->number]++;
    if (!e) {
        event_clear(&w->more);
        w->more.time = w->more.seen = hit->last;
        for (size_t i = 0; i < hit->group_n; i++)
            if (event_add_copy(&w->more, event_names_find(w->names, SM_SPAN_STR(hit->group_name[i])), EVENT_TEXT, hit->group_value[i]) < 0)
                return; /* without memory nothing can be told either */
        e = &w->more;
    }
    signals_add(w, hit->rule, e, hit->event ? w->now_source : NULL, hit->ref_n ? hit->ref[hit->ref_n - 1] : w->now_id);
}

/* As many from `from` on as one message holds, into list; where the next begins.  One by itself always has room. */
static size_t lot(const json_t *signals, size_t from, json_t *list)
{
    size_t bytes = 0, i = from;

    for (; i < json_array_size(signals); i++) {
        bytes += json_dumpb(json_array_get(signals, i), NULL, 0, JSON_COMPACT);
        if (i > from && bytes > LOT_BYTES)
            break;
        (void)json_array_append(list, json_array_get(signals, i)); /* one less when memory is short */
    }
    return i;
}

static void tell(struct watch *w)
{
    size_t n = json_array_size(w->ready);

    if ((!n && !w->signals_lost) || !child_peer(w->c, WHO_BRAIN))
        return;
    for (size_t from = 0, next; from < n || w->signals_lost; from = next) {
        json_t *list = json_array(), *body;
        next = list ? lot(w->ready, from, list) : n;
        body = json_pack("{so sO sI}", "signals", list, "aliases", w->aliases, "lost", (json_int_t)w->signals_lost);
        int r = body ? child_notify_json(w->c, WHO_BRAIN, W_SIGNALS, body) : -ENOMEM;
        json_decref(body);
        if (r < 0) {
            for (size_t i = 0; i < from; i++)
                (void)json_array_remove(w->ready, 0); /* those were told */
            return;
        }
        w->signals_lost = 0;
    }
    (void)json_array_clear(w->ready); /* arrays: cannot fail */
    (void)json_array_clear(w->aliases);
}

/* More than are kept, or than there is memory for, are lost and counted. */
static void move(struct watch *w, json_t *from, json_t *to)
{
    size_t n = json_array_size(from);

    for (size_t i = 0; i < n; i++)
        if (json_array_size(to) >= SIGNALS_MAX || json_array_append(to, json_array_get(from, i)) < 0)
            w->signals_lost++;
    (void)json_array_clear(from); /* an array: cannot fail */
}

void signals_hold(struct watch *w)
{
    move(w, w->signals, w->held);
}

void signals_kept(struct watch *w)
{
    move(w, w->held, w->ready);
    tell(w);
}

/* What was folded is told with its number when its time is over. */
void signals_tick(struct watch *w)
{
    uint64_t now = plat_clock_mono_ms();

    for (size_t i = 0; i < FOLDS_MAX; i++) {
        struct fold *f = &w->folds[i];
        if (!f->used || now < f->until_ms)
            continue;
        json_t *again = f->more && f->signal ? json_deep_copy(f->signal) : NULL;
        if (again) {
            (void)json_object_set_new(again, "times", json_integer((json_int_t)f->more)); /* as it was when memory is short */
            (void)json_object_set_new(again, "at_s", json_integer(f->last_s));
            (void)json_object_set_new(again, "ref", json_integer((json_int_t)f->last_id));
            put(w, again);
        }
        fold_drop(f);
    }
    if (!w->group_open && !w->keeping)
        move(w, w->signals, w->ready);
    tell(w);
}

void signals_forget(struct watch *w)
{
    memset(w->budgets, 0, sizeof w->budgets);
    for (size_t i = 0; i < FOLDS_MAX; i++)
        fold_drop(&w->folds[i]);
}
