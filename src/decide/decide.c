#include "decide/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR = 3600, DAY = 86400, COMMON_MAX = 256, ALIAS_S = 7 * DAY, REACH = 256 };

/* How old what is shared may be, by the level of the signal that comes.  A house has weak signals of its own every day: they belong to an
 * attack only where they come with it, the sooner the less particular what they share is: on a server something happens all the time.
 * Those of graver level are part of it for days, and twice as long once it is one to telephone for. */
static const struct { int32_t machine, particular; } window_s[] = {
    [DECIDE_INFORMATIONAL] = { HOUR / 4, HOUR / 4 }, [DECIDE_LOW] = { HOUR / 2, HOUR }, [DECIDE_MEDIUM] = { 2 * HOUR, DAY },
    [DECIDE_HIGH] = { 7 * DAY, 7 * DAY }, [DECIDE_CRITICAL] = { 7 * DAY, 7 * DAY },
};
static const uint8_t weight[] = { [DECIDE_INFORMATIONAL] = 0, [DECIDE_LOW] = 1, [DECIDE_MEDIUM] = 3, [DECIDE_HIGH] = 8, [DECIDE_CRITICAL] = 20 };
enum { STAGE_ADDS = 4, SPREAD_ADDS = 6, SPREAD_HOSTS = 3 };

struct seen { struct decide_entity e; int64_t at_s; };
struct rule { char id[DECIDE_RULE_MAX]; uint8_t level, stage; };

struct incident {
    struct decide_incident i;   /* entity and n are kept in seen */
    struct seen seen[DECIDE_INCIDENT_ENTITIES];
    size_t seen_n;
    struct rule rule[DECIDE_INCIDENT_RULES];
    size_t rules_n;
    uint64_t folds[64];         /* what came lately: the same again is folded */
    size_t folds_n;
};
struct alias { char address[64]; char host[DECIDE_TEXT_MAX]; int64_t at_s; };

struct decide {
    uint64_t next;
    struct incident *incident[DECIDE_INCIDENTS_MAX];
    size_t n;
    struct decide_signal waiting[DECIDE_WAITING_MAX];   /* a ring, oldest at from */
    size_t from, waiting_n;
    struct alias *alias;
    size_t alias_n;
    struct decide_entity common[COMMON_MAX];
    size_t common_n;
    struct decide_filter_row *filter;
    size_t filter_n;
};

struct decide *decide_new(uint64_t first_id)
{
    struct decide *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->next = first_id ? first_id : 1;
    d->alias = calloc(DECIDE_ALIASES_MAX, sizeof *d->alias);
    d->filter = calloc(DECIDE_FILTERS_MAX, sizeof *d->filter);
    if (!d->alias || !d->filter) {
        decide_free(d);
        return NULL;
    }
    return d;
}

void decide_free(struct decide *d)
{
    if (!d)
        return;
    for (size_t k = 0; k < d->n; k++)
        free(d->incident[k]);
    free(d->alias);
    free(d->filter);
    free(d);
}

/* ---- what joins ---- */

static bool joins(const struct decide *d, const struct decide_entity *e)
{
    return !decide_entity_generic(e) && !decide_entity_in(d->common, d->common_n, e);
}

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* A machine, or an address of a network inside, is what many do something with. */
static int64_t window_of(uint8_t level, const struct decide_entity *e)
{
    bool machine = e->kind == DECIDE_HOST || (e->kind == DECIDE_ADDRESS && decide_entity_inside(e));

    return machine ? window_s[level].machine : window_s[level].particular;
}

/* They have something in common, and are close enough for it: the weaker one says how close.  Two weak ones belong together only when they
 * come together, whatever they share. */
static bool belong(const struct decide *d, const struct decide_signal *a, const struct decide_signal *b)
{
    uint8_t level = a->level < b->level ? a->level : b->level;
    bool weak = a->level < DECIDE_HIGH && b->level < DECIDE_HIGH;
    int64_t gap = apart(a->at_s, b->at_s);

    if (gap > (weak ? window_s[level].machine : window_s[level].particular))
        return false;
    for (size_t k = 0; k < a->n; k++)
        if ((weak || gap <= window_of(level, &a->entity[k])) && joins(d, &a->entity[k]) && decide_entity_in(b->entity, b->n, &a->entity[k]))
            return true;
    return false;
}

/* How close s is to the incident: seconds since the nearest thing they share, -1 when nothing close enough is shared. */
static int64_t nearness(const struct decide *d, const struct incident *in, const struct decide_signal *s)
{
    int64_t near = -1, times = in->i.severity == DECIDE_CALL && s->level >= DECIDE_HIGH ? 2 : 1;

    for (size_t k = 0; k < s->n; k++) {
        if (!joins(d, &s->entity[k]))
            continue;
        int64_t window = times * window_of(s->level, &s->entity[k]);
        for (size_t m = 0; m < in->seen_n; m++) {
            int64_t gap = apart(s->at_s, in->seen[m].at_s);
            if (gap <= window && (near < 0 || gap < near) && decide_entity_eq(&in->seen[m].e, &s->entity[k]))
                near = gap;
        }
    }
    return near;
}

/* ---- taking in ---- */

static void see(struct incident *in, const struct decide_entity *e, int64_t at_s)
{
    size_t k = 0, oldest = 0;

    while (k < in->seen_n && !decide_entity_eq(&in->seen[k].e, e)) {
        if (in->seen[k].at_s < in->seen[oldest].at_s)
            oldest = k;
        k++;
    }
    if (k == in->seen_n) {
        if (k == DECIDE_INCIDENT_ENTITIES)
            k = oldest;
        else
            in->seen_n++;
        in->seen[k] = (struct seen){ .e = *e, .at_s = at_s };
    } else if (in->seen[k].at_s < at_s) {
        in->seen[k].at_s = at_s;
    }
}

static size_t hosts(const struct incident *in)
{
    size_t n = 0;

    for (size_t k = 0; k < in->seen_n; k++)
        n += in->seen[k].e.kind == DECIDE_HOST;
    return n;
}

static size_t bits(unsigned mask)
{
    return (size_t)__builtin_popcount(mask);
}

static void judge(struct incident *in)
{
    uint32_t score = 0;
    unsigned shape = 0;
    bool critical = false, impact = false;

    uint8_t gravest = 0, stage[DECIDE_CRITICAL + 1] = { 0 };

    for (size_t k = 0; k < in->rules_n; k++) {
        const struct rule *r = &in->rule[k];
        score += weight[r->level];
        critical |= r->level == DECIDE_CRITICAL;
        impact |= r->stage == DECIDE_STAGE_impact && r->level >= DECIDE_HIGH;
        if (r->level >= DECIDE_MEDIUM)
            shape |= 1u << r->stage;
        if (r->stage > stage[r->level])
            stage[r->level] = r->stage;
        gravest = r->level > gravest ? r->level : gravest;
    }
    /* It is called after what is grave in it: tries that failed do not hide that somebody came in. */
    in->i.stage = gravest >= DECIDE_HIGH && stage[DECIDE_HIGH] > stage[DECIDE_CRITICAL] ? stage[DECIDE_HIGH] : stage[gravest];
    in->i.stages = (uint16_t)shape;
    if (bits(shape) > 1)
        score += STAGE_ADDS * (uint32_t)(bits(shape) - 1);
    bool spread = shape & 1u << DECIDE_STAGE_lateral_movement && hosts(in) >= SPREAD_HOSTS;
    if (spread)
        score += SPREAD_ADDS;
    in->i.score = score;
    /* Over many machines is as far as a further stage: who came in and is everywhere needs no third. */
    if (critical || impact || (score >= DECIDE_CRITICAL_SCORE && bits(shape) + spread >= DECIDE_CRITICAL_STAGES))
        in->i.severity = DECIDE_CALL;   /* it never becomes better by itself */
}

/* FNV-1a, its bits mixed at the end (the last step of MurmurHash3): sums of it do not cancel each other out. */
static uint64_t hash_of(uint64_t h, const char *p)
{
    for (h ^= 1469598103934665603u; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

static uint64_t print_of(const struct decide_signal *s)
{
    uint64_t sum = hash_of(0, s->rule);

    for (size_t k = 0; k < s->n; k++)
        sum += hash_of(1u + s->entity[k].kind, s->entity[k].text); /* in whatever order they come */
    return sum;
}

static bool folded(struct incident *in, const struct decide_signal *s)
{
    uint64_t print = print_of(s);
    size_t kept = in->folds_n < 64 ? in->folds_n : 64;

    for (size_t k = 0; k < kept; k++)
        if (in->folds[k] == print)
            return true;
    in->folds[in->folds_n++ % 64] = print;
    return false;
}

/* Each rule counts once in a stage and level, however often it fires. */
static void count_rule(struct incident *in, const struct rule *r)
{
    size_t k = 0;

    while (k < in->rules_n && (strcmp(in->rule[k].id, r->id) != 0 || in->rule[k].stage != r->stage || in->rule[k].level != r->level))
        k++;
    if (k == in->rules_n && k < DECIDE_INCIDENT_RULES)
        in->rule[in->rules_n++] = *r;
}

/* Enough to wake somebody?  A grave signal is; weak ones are only when many of them, of several stages and at several moments (ten rules
 * may speak of one command), came close together: the shape of somebody at work.  What programs do every day is one or two stages, again
 * and again. */
static bool opens(const struct incident *in, size_t moments)
{
    for (size_t k = 0; k < in->rules_n; k++)
        if (in->rule[k].level >= DECIDE_HIGH)
            return in->i.score >= DECIDE_OPEN_SCORE;
    return in->i.score >= DECIDE_WEAK_SCORE && bits(in->i.stages) >= DECIDE_WEAK_STAGES && moments >= DECIDE_WEAK_MOMENTS;
}

/* True: it was something new. */
static bool take(struct incident *in, const struct decide_signal *s)
{
    struct rule r = { .level = s->level, .stage = s->stage };
    bool again = folded(in, s);

    in->i.signals++;
    if (s->at_s < in->i.first_s)
        in->i.first_s = s->at_s;
    if (s->at_s > in->i.last_s)
        in->i.last_s = s->at_s;
    for (size_t m = 0; m < s->n && s->level >= DECIDE_MEDIUM; m++)
        see(in, &s->entity[m], s->at_s); /* weak ones come along; they lead nowhere */
    memcpy(r.id, s->rule, sizeof r.id);
    count_rule(in, &r);
    judge(in);
    return !again;
}

static void drop(struct decide *d, size_t k)
{
    free(d->incident[k]);
    d->incident[k] = d->incident[--d->n];
}

static struct incident *open_one(struct decide *d, int64_t at_s, struct decide_result *ret)
{
    if (d->n == DECIDE_INCIDENTS_MAX) {
        size_t quiet = 0;
        for (size_t k = 1; k < d->n; k++)
            if (d->incident[k]->i.last_s < d->incident[quiet]->i.last_s)
                quiet = k;
        ret->given_up = d->incident[quiet]->i.id;
        drop(d, quiet);
    }
    struct incident *in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    in->i = (struct decide_incident){ .id = d->next++, .first_s = at_s, .last_s = at_s };
    d->incident[d->n++] = in;
    return in;
}

/* The older number stays; what the other had is taken over. */
static void merge(struct incident *into, const struct incident *other)
{
    for (size_t k = 0; k < other->seen_n; k++)
        see(into, &other->seen[k].e, other->seen[k].at_s);
    for (size_t k = 0; k < other->rules_n; k++)
        count_rule(into, &other->rule[k]);
    into->i.signals += other->i.signals;
    into->i.told |= other->i.told;
    if (other->i.first_s < into->i.first_s)
        into->i.first_s = other->i.first_s;
    if (other->i.last_s > into->i.last_s)
        into->i.last_s = other->i.last_s;
    if (other->i.severity > into->i.severity)
        into->i.severity = other->i.severity;
    judge(into);
}

static void tell(struct incident *in, bool opened, struct decide_result *ret)
{
    uint8_t now = 0;

    if (opened)
        now |= DECIDE_TELL_OPENED;
    if (in->i.severity == DECIDE_CALL)
        now |= DECIDE_TELL_CALL;
    if (in->i.stages & 1u << DECIDE_STAGE_impact)
        now |= DECIDE_TELL_IMPACT;
    ret->tell = now & (uint8_t)~in->i.told;
    in->i.told |= now;
    ret->incident = in->i.id;
    ret->severity = in->i.severity;
}

/* ---- signals that wait ---- */

static struct decide_signal *waiting_at(struct decide *d, size_t k)
{
    return &d->waiting[(d->from + k) % DECIDE_WAITING_MAX];
}

static void wait_for_more(struct decide *d, const struct decide_signal *s)
{
    while (d->waiting_n && (d->waiting_n == DECIDE_WAITING_MAX || s->at_s - waiting_at(d, 0)->at_s > DECIDE_WAIT_S)) {
        d->from = (d->from + 1) % DECIDE_WAITING_MAX;
        d->waiting_n--;
    }
    *waiting_at(d, d->waiting_n++) = *s;
}

static void forget_waiting(struct decide *d, const bool *gone)
{
    size_t kept = 0;

    for (size_t k = 0; k < d->waiting_n; k++)
        if (!gone[k]) {
            if (k != kept)
                *waiting_at(d, kept) = *waiting_at(d, k);
            kept++;
        }
    d->waiting_n = kept;
}

/* Marks in gone what belongs to s, over at most REACH signals between; the number of marks. */
static size_t gather(struct decide *d, const struct decide_signal *s, bool *gone)
{
    const struct decide_signal *todo[REACH];
    size_t n = 0, done = 0;

    todo[n++] = s;
    while (done < n) {
        const struct decide_signal *at = todo[done++];
        for (size_t k = 0; k < d->waiting_n && n < REACH; k++)
            if (!gone[k] && belong(d, at, waiting_at(d, k))) {
                gone[k] = true;
                todo[n++] = waiting_at(d, k);
            }
    }
    return n - 1;
}

static void adopt(struct decide *d, struct incident *in, const bool *gone, struct decide_result *ret)
{
    for (size_t k = 0; k < d->waiting_n; k++) {
        if (!gone[k])
            continue;
        (void)take(in, waiting_at(d, k)); /* new or not: it is part of it */
        if (ret->adopted_n < DECIDE_ADOPT_MAX)
            ret->adopted[ret->adopted_n++] = waiting_at(d, k)->id;
    }
    forget_waiting(d, gone);
}

/* ---- one signal ---- */

static const char *host_of(const struct decide *d, const char *address, int64_t at_s)
{
    for (size_t k = 0; k < d->alias_n; k++)
        if (strcmp(d->alias[k].address, address) == 0)
            return apart(at_s, d->alias[k].at_s) <= ALIAS_S ? d->alias[k].host : NULL;
    return NULL;
}

static void clean(const struct decide *d, struct decide_signal *s)
{
    size_t n = s->n;

    s->rule[DECIDE_RULE_MAX - 1] = 0;
    for (size_t k = 0; k < n; k++)
        decide_entity_clean(&s->entity[k]);
    for (size_t k = 0; k < n && s->n < DECIDE_ENTITIES_MAX; k++) {
        if (s->entity[k].kind != DECIDE_ADDRESS && s->entity[k].kind != DECIDE_HOST)
            continue;
        const char *host = host_of(d, s->entity[k].text, s->at_s);
        struct decide_entity e = { .kind = DECIDE_HOST };
        if (!host)
            continue;
        memcpy(e.text, host, strlen(host) + 1);
        if (!decide_entity_in(s->entity, s->n, &e))
            s->entity[s->n++] = e;
    }
}

/* The nearest incident; others that s also belongs to are merged into the oldest of them. */
static struct incident *home_of(struct decide *d, const struct decide_signal *s, struct decide_result *ret)
{
    struct incident *home = NULL;

    for (size_t k = 0; k < d->n; k++)
        if (nearness(d, d->incident[k], s) >= 0 && (!home || d->incident[k]->i.id < home->i.id))
            home = d->incident[k];
    for (size_t k = d->n; home && k-- > 0;) {
        struct incident *other = d->incident[k];
        if (other == home || nearness(d, other, s) < 0 || s->level < DECIDE_MEDIUM || ret->merged_n == DECIDE_ADOPT_MAX)
            continue;
        ret->merged[ret->merged_n++] = other->i.id;
        merge(home, other);
        drop(d, k);
    }
    return home;
}

/* At how many different times something of level medium was seen; as many as are asked for are enough. */
static size_t moments(struct decide *d, const struct decide_signal *s, const bool *gone)
{
    int64_t at[DECIDE_WEAK_MOMENTS] = { s->at_s };
    size_t n = s->level >= DECIDE_MEDIUM;

    for (size_t k = 0; k < d->waiting_n && n < DECIDE_WEAK_MOMENTS; k++) {
        const struct decide_signal *w = waiting_at(d, k);
        size_t m = 0;
        if (!gone[k] || w->level < DECIDE_MEDIUM)
            continue;
        while (m < n && at[m] != w->at_s)
            m++;
        if (m == n)
            at[n++] = w->at_s;
    }
    return n;
}

static int open_or_wait(struct decide *d, const struct decide_signal *s, struct decide_result *ret)
{
    bool gone[DECIDE_WAITING_MAX] = { 0 };
    struct incident *trial = calloc(1, sizeof *trial), *in;

    if (!trial)
        return -ENOMEM;
    trial->i.first_s = trial->i.last_s = s->at_s;
    (void)gather(d, s, gone);
    (void)take(trial, s);
    for (size_t k = 0; k < d->waiting_n; k++)
        if (gone[k])
            (void)take(trial, waiting_at(d, k));
    bool enough = opens(trial, moments(d, s, gone));
    free(trial);
    if (!enough) {
        wait_for_more(d, s);
        ret->what = DECIDE_WAITS;
        return 0;
    }
    in = open_one(d, s->at_s, ret);
    if (!in)
        return -ENOMEM;
    adopt(d, in, gone, ret);
    (void)take(in, s);
    ret->what = DECIDE_OPENED;
    tell(in, true, ret);
    return 0;
}

int decide_signal(struct decide *d, const struct decide_signal *given, struct decide_result *ret)
{
    struct decide_signal s = *given;
    struct decide_result result = { 0 };
    bool gone[DECIDE_WAITING_MAX] = { 0 };

    if (!s.id || s.level > DECIDE_CRITICAL || s.stage >= DECIDE_STAGES || s.n > DECIDE_ENTITIES_MAX)
        return -SM_EINVAL;
    for (size_t k = 0; k < s.n; k++)
        if (s.entity[k].kind >= DECIDE_KINDS)
            return -SM_EINVAL;
    clean(d, &s);
    result.filter = decide_filter_of(d->filter, d->filter_n, &s);
    if (result.filter) {
        result.what = DECIDE_FILTERED;
        *ret = result;
        return 0;
    }
    struct incident *in = home_of(d, &s, &result);
    if (!in) {
        int r = open_or_wait(d, &s, &result);
        if (r >= 0)
            *ret = result;
        return r;
    }
    result.what = take(in, &s) ? DECIDE_JOINED : DECIDE_FOLDED;
    if (result.what == DECIDE_JOINED && gather(d, &s, gone) > 0)
        adopt(d, in, gone, &result);
    tell(in, false, &result);
    *ret = result;
    return 0;
}

/* ---- what the caller knows ---- */

void decide_alias(struct decide *d, const char *address, const char *host, int64_t at_s)
{
    struct decide_entity a = { .kind = DECIDE_ADDRESS }, h = { .kind = DECIDE_HOST };
    size_t k = 0, oldest = 0;

    if (strlen(address) >= sizeof d->alias->address || strlen(host) >= DECIDE_TEXT_MAX)
        return;
    memcpy(a.text, address, strlen(address) + 1);
    memcpy(h.text, host, strlen(host) + 1);
    decide_entity_clean(&a);
    decide_entity_clean(&h);
    if (decide_entity_generic(&a) || decide_entity_generic(&h))
        return;
    while (k < d->alias_n && strcmp(d->alias[k].address, a.text) != 0) {
        if (d->alias[k].at_s < d->alias[oldest].at_s)
            oldest = k;
        k++;
    }
    if (k == d->alias_n && k == DECIDE_ALIASES_MAX)
        k = oldest;
    else if (k == d->alias_n)
        d->alias_n++;
    memcpy(d->alias[k].address, a.text, strlen(a.text) + 1);
    memcpy(d->alias[k].host, h.text, sizeof h.text);
    d->alias[k].at_s = at_s;
}

int decide_common(struct decide *d, enum decide_kind kind, const char *text)
{
    struct decide_entity e = { .kind = (uint8_t)kind };

    if (strlen(text) >= sizeof e.text || kind >= DECIDE_KINDS)
        return -SM_EINVAL;
    memcpy(e.text, text, strlen(text) + 1);
    decide_entity_clean(&e);
    if (decide_entity_in(d->common, d->common_n, &e))
        return 0;
    if (d->common_n == COMMON_MAX)
        return -SM_ELIMIT;
    d->common[d->common_n++] = e;
    return 0;
}

int decide_filter(struct decide *d, uint64_t id, const char *rule, const struct decide_entity *e, size_t n)
{
    if (!id || !*rule || strlen(rule) >= DECIDE_RULE_MAX || n > DECIDE_ENTITIES_MAX)
        return -SM_EINVAL;
    for (size_t k = 0; k < n; k++)
        if (e[k].kind >= DECIDE_KINDS)
            return -SM_EINVAL;
    for (size_t k = 0; k < d->filter_n; k++)
        if (d->filter[k].id == id)
            return -SM_EEXISTS;
    if (d->filter_n == DECIDE_FILTERS_MAX)
        return -SM_ELIMIT;
    struct decide_filter_row *f = &d->filter[d->filter_n++];
    *f = (struct decide_filter_row){ .id = id, .n = n };
    memcpy(f->rule, rule, strlen(rule) + 1);
    for (size_t k = 0; k < n; k++) {
        f->entity[k] = e[k];
        decide_entity_clean(&f->entity[k]);
    }
    return 0;
}

int decide_unfilter(struct decide *d, uint64_t id)
{
    for (size_t k = 0; k < d->filter_n; k++)
        if (d->filter[k].id == id) {
            d->filter[k] = d->filter[--d->filter_n];
            return 0;
        }
    return -SM_ENOTFOUND;
}

size_t decide_suggest(const struct decide_signal *s, struct decide_entity ret[DECIDE_ENTITIES_MAX])
{
    size_t n = 0;
    bool host = false;

    for (size_t k = 0; k < s->n; k++)
        host |= s->entity[k].kind == DECIDE_HOST;
    for (size_t k = 0; k < s->n; k++) {
        if (s->entity[k].kind == DECIDE_ADDRESS && host)
            continue;
        ret[n] = s->entity[k];
        decide_entity_clean(&ret[n++]);
    }
    return n;
}

/* ---- looking, closing, keeping ---- */

static struct incident *find(const struct decide *d, uint64_t id, size_t *ret_at)
{
    for (size_t k = 0; k < d->n; k++)
        if (d->incident[k]->i.id == id) {
            if (ret_at)
                *ret_at = k;
            return d->incident[k];
        }
    return NULL;
}

static int latest_first(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    return x->at_s < y->at_s ? 1 : x->at_s > y->at_s ? -1 : strcmp(x->e.text, y->e.text);
}

int decide_get(const struct decide *d, uint64_t id, struct decide_incident *ret)
{
    struct incident *in = find(d, id, NULL);

    if (!in)
        return -SM_ENOTFOUND;
    qsort(in->seen, in->seen_n, sizeof *in->seen, latest_first);
    *ret = in->i;
    ret->n = in->seen_n;
    for (size_t k = 0; k < in->seen_n; k++)
        ret->entity[k] = in->seen[k].e;
    return 0;
}

int decide_close(struct decide *d, uint64_t id)
{
    size_t at;

    if (!find(d, id, &at))
        return -SM_ENOTFOUND;
    drop(d, at);
    return 0;
}

int decide_dump(const struct decide *d, uint64_t id, json_t **ret)
{
    const struct incident *in = find(d, id, NULL);

    if (!in)
        return -SM_ENOTFOUND;
    json_t *entities = json_array(), *rules = json_array();
    bool bad = !entities || !rules;
    for (size_t k = 0; k < in->seen_n && !bad; k++)
        bad = json_array_append_new(entities, json_pack("[i,s,I]", in->seen[k].e.kind, in->seen[k].e.text, (json_int_t)in->seen[k].at_s)) < 0;
    for (size_t k = 0; k < in->rules_n && !bad; k++)
        bad = json_array_append_new(rules, json_pack("[s,i,i]", in->rule[k].id, in->rule[k].level, in->rule[k].stage)) < 0;
    json_t *o = bad ? NULL : json_pack("{s:i,s:I,s:I,s:I,s:i,s:i,s:i,s:O,s:O}", "v", 1, "id", (json_int_t)in->i.id, "first", (json_int_t)in->i.first_s,
        "last", (json_int_t)in->i.last_s, "signals", (int)in->i.signals, "severity", in->i.severity, "told", in->i.told,
        "entities", entities, "rules", rules);
    json_decref(entities);
    json_decref(rules);
    if (!o)
        return -ENOMEM;
    *ret = o;
    return 0;
}

static bool put_back_entity(struct incident *in, const json_t *row)
{
    const char *text = json_string_value(json_array_get(row, 1));
    json_int_t kind = json_integer_value(json_array_get(row, 0));
    struct decide_entity e = { .kind = (uint8_t)kind };

    if (!text || strlen(text) >= sizeof e.text || kind < 0 || kind >= DECIDE_KINDS)
        return false;
    memcpy(e.text, text, strlen(text) + 1);
    see(in, &e, json_integer_value(json_array_get(row, 2)));
    return true;
}

static bool put_back_rule(struct incident *in, const json_t *row)
{
    const char *id = json_string_value(json_array_get(row, 0));
    json_int_t level = json_integer_value(json_array_get(row, 1)), stage = json_integer_value(json_array_get(row, 2));

    if (!id || strlen(id) >= DECIDE_RULE_MAX || level < 0 || level > DECIDE_CRITICAL || stage < 0 || stage >= DECIDE_STAGES ||
        in->rules_n == DECIDE_INCIDENT_RULES)
        return false;
    struct rule *r = &in->rule[in->rules_n++];
    *r = (struct rule){ .level = (uint8_t)level, .stage = (uint8_t)stage };
    memcpy(r->id, id, strlen(id) + 1);
    return true;
}

static int read_dump(struct sm_obj *o, struct incident *in)
{
    if (sm_obj_int(o, "v", 1, 1 << 30) != 1)
        return o->err < 0 ? -SM_EFORMAT : -SM_EVERSION;
    in->i.id = (uint64_t)sm_obj_int(o, "id", 1, INT64_MAX);
    in->i.first_s = sm_obj_int(o, "first", INT64_MIN / 2, INT64_MAX / 2);
    in->i.last_s = sm_obj_int(o, "last", INT64_MIN / 2, INT64_MAX / 2);
    in->i.signals = (uint32_t)sm_obj_int(o, "signals", 0, UINT32_MAX);
    in->i.severity = (uint8_t)sm_obj_int(o, "severity", 0, DECIDE_CALL);
    in->i.told = (uint8_t)sm_obj_int(o, "told", 0, 7);
    const json_t *entities = sm_obj_arr(o, "entities", DECIDE_INCIDENT_ENTITIES);
    const json_t *rules = sm_obj_arr(o, "rules", DECIDE_INCIDENT_RULES);
    bool good = o->err >= 0;
    for (size_t k = 0; good && k < json_array_size(entities); k++)
        good = put_back_entity(in, json_array_get(entities, k));
    for (size_t k = 0; good && k < json_array_size(rules); k++)
        good = put_back_rule(in, json_array_get(rules, k));
    return good ? 0 : -SM_EFORMAT;
}

int decide_restore(struct decide *d, const json_t *dumped)
{
    struct sm_obj o = SM_OBJ(dumped);
    struct incident *in;
    int r;

    if (d->n == DECIDE_INCIDENTS_MAX)
        return -SM_ELIMIT;
    in = calloc(1, sizeof *in);
    if (!in)
        return -ENOMEM;
    r = read_dump(&o, in);
    if (r >= 0 && find(d, in->i.id, NULL))
        r = -SM_EEXISTS;
    if (r < 0) {
        free(in);
        return r;
    }
    judge(in);
    d->incident[d->n++] = in;
    if (in->i.id >= d->next)
        d->next = in->i.id + 1;
    return 0;
}
