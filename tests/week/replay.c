/*
 * A week of logs through the real parsers, rules, correlations and decide, by the clock of the logs: as watch and brain do it, without
 * the processes.
 *
 *     replay [--rules DIR]... [--sources FILE] [--known ADDRESS]... [--book ACCOUNT,ADDRESS,FROM,UNTIL]... < RECORDS
 *
 * A record is a line: seconds UTC, TAB, address of the sender, TAB, its bytes.  Out comes one JSON object: hits of each rule,
 * signals, incidents with their signals in order, and how often people were told.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "decide/decide.h"
#include "detect/load.h"
#include "sakimorid/brain/decider.h"
#include "sakimorid/watch/watch.h"

enum { FOLD_S = 10, TICK_S = 30, FOLDS = 1 << 16, BOOKS_MAX = 32, SENDERS_MAX = 512, MACHINES_MAX = 2048 };

struct book { char account[64], address[64]; int64_t from, until; };
struct fold_row { uint32_t rule; uint64_t who; int64_t until; };
struct sender { char address[64]; struct origin origin; };

struct replay {
    struct watch w;             /* names, set, matcher, aliases: what the functions of watch take */
    struct decide *d;
    struct fold_row folds[FOLDS];
    struct book book[BOOKS_MAX];
    size_t books, senders_n, machines_n;
    struct sender sender[SENDERS_MAX];
    struct source machine[MACHINES_MAX];
    const struct source *now;
    uint64_t records, unparsed, lines, signal_id;
    uint64_t *hits, *told;      /* of each rule: matches; signals */
    json_t *kept;               /* signals of each incident, by number as text */
    json_t *open_signals;
};

static void die(const char *what)
{
    fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

static struct source *machine_of(struct replay *r, const char *address, struct sm_span host)
{
    struct sender *from = NULL;

    for (size_t i = 0; i < r->senders_n && !from; i++)
        if (!strcmp(r->sender[i].address, address))
            from = &r->sender[i];
    if (!from) {
        if (r->senders_n == SENDERS_MAX)
            die("too many senders");
        from = &r->sender[r->senders_n++];
        snprintf(from->address, sizeof from->address, "%s", address);
        snprintf(from->origin.address, sizeof from->origin.address, "%s", address);
        from->origin.hint = NORMALISE_HINT;
        from->origin.hint.sender = SM_SPAN_STR(from->address);
        from->origin.hint.state = normalise_state_new();
    }
    for (size_t i = 0; i < r->machines_n; i++)
        if (r->machine[i].origin == &from->origin && strlen(r->machine[i].host) == host.n && !memcmp(r->machine[i].host, host.p, host.n))
            return &r->machine[i];
    if (r->machines_n == MACHINES_MAX || host.n >= sizeof r->machine[0].host)
        return NULL;
    struct source *m = &r->machine[r->machines_n++];
    m->origin = &from->origin;
    m->number = r->machines_n;
    memcpy(m->host, host.p, host.n);
    from->origin.hosts++;
    return m;
}

/* ---- what is booked ---- */

static bool has_entity(const json_t *signal, const char *kind, const char *text)
{
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(signal, "entities"), i, row)
        if (!strcmp(json_string_value(json_array_get(row, 0)), kind) && !strcmp(json_string_value(json_array_get(row, 1)), text))
            return true;
    return false;
}

/* As maintenance.c: filed, or, from another address than was booked, graver. */
static bool booked(const struct replay *r, json_t *signal)
{
    int64_t at = json_integer_value(json_object_get(signal, "at_s"));

    if (!json_is_true(json_object_get(signal, "maintenance")))
        return false;
    for (size_t i = 0; i < r->books; i++) {
        const struct book *b = &r->book[i];
        if (at < b->from || at >= b->until || !has_entity(signal, "account", b->account))
            continue;
        if (!b->address[0] || has_entity(signal, "address", b->address))
            return true;
        json_object_set_new(signal, "level", json_string("high"));
    }
    return false;
}

/* ---- signals ---- */

static void ask(struct replay *r, const char *what, json_t *in /* taken */, json_t **ret)
{
    json_t *out = NULL;

    if (!in || decider_ask(r->d, what, in, &out) < 0)
        die(what);
    json_decref(in);
    if (ret)
        *ret = out;
    else
        json_decref(out);
}

static json_t *list_of(json_t *all, int64_t id)
{
    char key[32];

    snprintf(key, sizeof key, "%lld", (long long)id);
    if (!json_object_get(all, key))
        json_object_set_new(all, key, json_array());
    return json_object_get(all, key);
}

static void move(struct replay *r, const json_t *answer, int64_t incident)
{
    size_t i, k;
    json_t *v, *s;

    json_array_foreach(json_object_get(answer, "adopted"), i, v)
        json_array_foreach(r->open_signals, k, s)
            if (json_integer_value(json_object_get(s, "id")) == json_integer_value(v)) {
                json_array_append(list_of(r->kept, incident), s);
                json_object_set_new(s, "incident", json_integer(incident));
            }
    json_array_foreach(json_object_get(answer, "merged"), i, v)
        json_array_extend(list_of(r->kept, incident), list_of(r->kept, json_integer_value(v)));
}

static void say(struct replay *r, const struct sigma_rule *rule, json_t *signal /* taken */)
{
    json_t *answer = NULL, *a;
    size_t i;

    if (!signal)
        die("memory");
    json_array_foreach(r->w.aliases, i, a)
        ask(r, "alias", json_deep_copy(a), NULL);
    json_array_clear(r->w.aliases);
    json_object_set_new(signal, "id", json_integer((json_int_t)++r->signal_id));
    r->told[rule->number]++;
    if (booked(r, signal)) {
        json_object_set_new(signal, "what", json_string("booked"));
        json_array_append_new(r->open_signals, signal);
        return;
    }
    ask(r, "signal", json_deep_copy(signal), &answer);
    json_object_set(signal, "what", json_object_get(answer, "what"));
    int64_t incident = json_integer_value(json_object_get(answer, "incident"));
    if (incident) {
        json_object_set_new(signal, "incident", json_integer(incident));
        json_object_set(signal, "tell", json_object_get(answer, "tell"));
        json_array_append(list_of(r->kept, incident), signal);
        move(r, answer, incident);
    }
    json_array_append_new(r->open_signals, signal);
    json_decref(answer);
}

static void add(struct replay *r, const struct sigma_rule *rule, const struct event *e, const struct source *s, uint64_t id)
{
    uint64_t who = signals_who(e);
    struct fold_row *f = &r->folds[(who ^ rule->number * 2654435761u) % FOLDS];

    if (rule->kind == SIGMA_FILTER || rule->off || (f->rule == rule->number && f->who == who && e->time.s < f->until))
        return;
    *f = (struct fold_row){ .rule = rule->number, .who = who, .until = e->time.s + FOLD_S };
    signals_aliases(&r->w, e, s);
    say(r, rule, signals_json(rule, e, s, id, 1));
}

static void correlated(void *ctx, const struct correlate_hit *hit)
{
    struct replay *r = ctx;
    const struct event *e = hit->event;

    if (hit->rule->correlated)
        return;
    r->hits[hit->rule->number]++;
    if (!e) {
        event_clear(&r->w.more);
        r->w.more.time = r->w.more.seen = hit->last;
        for (size_t i = 0; i < hit->group_n; i++)
            if (event_add_copy(&r->w.more, event_names_find(r->w.names, SM_SPAN_STR(hit->group_name[i])), EVENT_TEXT, hit->group_value[i]) < 0)
                die("memory");
        e = &r->w.more;
    }
    add(r, hit->rule, e, hit->event ? r->now : NULL, r->records);
}

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct replay *r = ctx;

    (void)e;
    if (rule->off)
        return;
    r->hits[rule->number]++;
    if (r->w.hits_n < HITS_MAX)
        r->w.hits[r->w.hits_n++].rule = rule;
}

static void one(struct replay *r, struct event *e, const char *address)
{
    r->records++;
    r->unparsed += (e->notes & EVENT_UNPARSED) != 0;
    r->now = machine_of(r, address, e->host);
    r->w.hits_n = 0;
    if (sigma_match(r->w.matcher, r->w.scratch, e, on_hit, r) < 0)
        die("memory");
    for (size_t i = 0; i < r->w.hits_n; i++) {
        const struct sigma_rule *rule = r->w.hits[i].rule;
        if (!rule->correlated)
            add(r, rule, e, r->now, r->records);
        if (correlate_add(r->w.correlate, rule, e, r->records, correlated, r) < 0)
            die("memory");
    }
}

static void line(struct replay *r, char *text)
{
    char *address = strchr(text, '\t'), *bytes = address ? strchr(address + 1, '\t') : NULL;
    static int64_t ticked;

    if (!bytes)
        die("a line that is no record");
    *address++ = *bytes++ = 0;
    struct event_time seen = { .s = strtoll(text, NULL, 10) };
    r->lines++;
    struct source *from = machine_of(r, address, SM_SPAN("", 0));
    if (!from)
        die("too many machines");
    from->origin->hosts -= from->origin->hosts > 0 && !from->bytes;
    from->bytes = 1; /* the unnamed one is no machine */
    if (normalise_record(r->w.normalise, &from->origin->hint, SM_SPAN_STR(bytes), seen, &r->w.e) < 0)
        die("memory");
    one(r, &r->w.e, address);
    struct event more;
    if (event_init(&more) < 0)
        die("memory");
    while (from->origin->hint.state && normalise_more(r->w.normalise, &from->origin->hint, &more) > 0)
        one(r, &more, address);
    event_wipe(&more);
    if (seen.s - ticked >= TICK_S && correlate_tick(r->w.correlate, seen, correlated, r) >= 0)
        ticked = seen.s;
}

/* ---- begin and end ---- */

static void fault(void *ctx, const struct sigma_fault *f)
{
    (void)ctx;
    fprintf(stderr, "%s:%u: %s\n", f->file, f->line, f->why);
}

static void load(struct replay *r, int argc, char **argv)
{
    struct sigma_options options = { .zone_s = NORMALISE_ZONE_JST };
    struct load_counts n;
    struct sigma_fault f;

    r->w.names = event_names_new();
    r->w.set = sigma_set_new(r->w.names);
    if (!r->w.set || sigma_list(r->w.set, "known_places", "-") < 0) /* as watch does: an empty list has the rule wait */
        die("memory");
    for (int i = 1; i + 1 < argc; i += 2) {
        struct book *b = &r->book[r->books];
        if (!strcmp(argv[i], "--sources") && load_sources(r->w.set, argv[i + 1], &f) < 0)
            die(f.why);
        else if (!strcmp(argv[i], "--rules") && load_rules(r->w.set, argv[i + 1], fault, NULL, &n) < 0)
            die(argv[i + 1]);
        else if (!strcmp(argv[i], "--known") && sigma_list(r->w.set, "known_places", argv[i + 1]) < 0)
            die("memory");
        else if (!strcmp(argv[i], "--book") && r->books < BOOKS_MAX)
            r->books += sscanf(argv[i + 1], "%63[^,],%63[^,],%ld,%ld", b->account, b->address, &b->from, &b->until) == 4;
    }
    for (size_t i = 0; i < r->books; i++)
        if (!strcmp(r->book[i].address, "-"))
            r->book[i].address[0] = 0;
    if (sigma_link(r->w.set, fault, NULL) < 0 || sigma_compile(r->w.set, &options, &r->w.matcher) < 0 ||
        !(r->w.scratch = sigma_scratch_new(r->w.matcher)) || correlate_new(r->w.set, r->w.names, &r->w.correlate) < 0)
        die("rules");
    r->hits = calloc(sigma_count(r->w.set) + 1, sizeof *r->hits);
    r->told = calloc(sigma_count(r->w.set) + 1, sizeof *r->told);
    r->d = decide_new(1);
    r->w.aliases = json_array();
    r->kept = json_object();
    r->open_signals = json_array();
    if (!r->hits || !r->told || !r->d || event_init(&r->w.e) < 0 || event_init(&r->w.more) < 0 || normalise_new(r->w.names, &r->w.normalise) < 0)
        die("memory");
}

static json_t *rules_json(const struct replay *r)
{
    static const char *const levels[] = { "", "informational", "low", "medium", "high", "critical" };
    json_t *out = json_array();

    for (size_t i = 0; i < sigma_count(r->w.set); i++) {
        const struct sigma_rule *rule = sigma_rule_at(r->w.set, i);
        if (r->hits[i])
            json_array_append_new(out, json_pack("{ss ss ss ss sI sI sb}", "id", *rule->id ? rule->id : rule->name, "rule", *rule->name ? rule->name : rule->id, "title", rule->title, "level",
                levels[rule->level], "hits", (json_int_t)r->hits[i], "signals", (json_int_t)r->told[i], "part", rule->correlated));
    }
    return out;
}

static json_t *incidents_json(struct replay *r)
{
    json_t *out = json_array(), *signals;
    const char *key;

    json_object_foreach(r->kept, key, signals) {
        json_t *facts = NULL, *in = json_pack("{sI}", "id", (json_int_t)strtoll(key, NULL, 10));
        if (decider_ask(r->d, "incident", in, &facts) == 0) {
            json_object_set(facts, "story", signals);
            json_array_append_new(out, facts);
        }
        json_decref(in);
    }
    return out;
}

int main(int argc, char **argv)
{
    static struct replay r;
    char *text = NULL;
    size_t room = 0;
    ssize_t n;

    load(&r, argc, argv);
    while ((n = getline(&text, &room, stdin)) > 0) {
        if (text[n - 1] == '\n')
            text[n - 1] = 0;
        line(&r, text);
    }
    free(text);
    json_t *out = json_pack("{sI sI sI sI so so sO}", "lines", (json_int_t)r.lines, "records", (json_int_t)r.records, "unparsed", (json_int_t)r.unparsed,
        "rules_loaded", (json_int_t)sigma_count(r.w.set), "rules", rules_json(&r), "incidents", incidents_json(&r), "signals", r.open_signals);
    if (!out || json_dumpf(out, stdout, JSON_COMPACT) < 0)
        die("memory");
    json_decref(out);
    for (size_t i = 0; i < r.senders_n; i++)
        normalise_state_free(r.sender[i].origin.hint.state);
    json_decref(r.open_signals);
    json_decref(r.kept);
    json_decref(r.w.aliases);
    decide_free(r.d);
    correlate_free(r.w.correlate);
    sigma_scratch_free(r.w.scratch);
    sigma_matcher_free(r.w.matcher);
    sigma_set_free(r.w.set);
    normalise_free(r.w.normalise);
    event_wipe(&r.w.e);
    event_wipe(&r.w.more);
    event_names_free(r.w.names);
    free(r.hits);
    free(r.told);
    return 0;
}
