/* Who sends: origins (listener and address), the machines heard of through them, and what people said of both. */
#include <errno.h>
#include "core/log.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "sakimorid/watch/watch.h"

enum { TOLD_BYTES = 240 << 10 /* W_SOURCES has room for 256 KiB, and senders choose what machines are called */, JUMP_S = 3600, ORIGIN_SLOTS = 4096 };

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

/* The number of a source is made of what it is, so that it is the same for ever and nobody has to hand it out: 52 bits of a hash, which
 * JavaScript can hold. */
static uint64_t number_of(const struct origin *o, const char *host)
{
    struct sm_buf text = SM_BUF_INIT(1024);
    uint8_t hash[32] = { 0 };
    uint64_t n = 0;

    if (sm_buf_printf(&text, "%s\n%s\n%s", log_listener_name(o->listener), o->address, host) == 0)
        crypto_sha256(sm_buf_span(&text), hash);
    sm_buf_wipe(&text);
    for (unsigned i = 0; i < 8; i++)
        n = n << 8 | hash[i];
    n >>= 12;
    return n ? n : 1;
}

/* ---- what people said ---- */

static bool row_is(const json_t *row, const struct origin *o, const char *host)
{
    const char *listener = json_string_value(json_object_get(row, "listener"));
    const char *address = json_string_value(json_object_get(row, "address"));
    const char *name = json_string_value(json_object_get(row, "host"));

    return listener && address && !strcmp(listener, log_listener_name(o->listener)) && !strcmp(address, o->address) &&
        (!host || (name && !strcmp(name, host)));
}

static uint16_t word(struct watch *w, const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text && *text ? event_names_add(w->names, SM_SPAN_STR(text)) : 0;
}

/* "device/stream" of an agent: the machine's name stands for one that a line does not say, and what people set for that log
 * says how it is read. */
static void machine_hint(const struct watch *w, struct origin *o)
{
    const char *slash = strchr(o->address, '/');
    size_t i, n = slash ? (size_t)(slash - o->address) : 0;
    json_t *row;

    o->host[0] = '\0';
    json_array_foreach(w->machines, i, row) {
        const char *device = json_string_value(json_object_get(row, "device")), *host = json_string_value(json_object_get(row, "host"));
        if (!n || !device || strlen(device) != n || memcmp(device, o->address, n) != 0)
            continue;
        const json_t *log = json_object_get(json_object_get(row, "logs"), slash + 1);
        const char *format = json_string_value(json_object_get(log, "format")), *encoding = json_string_value(json_object_get(log, "encoding"));
        snprintf(o->host, sizeof o->host, "%s", host ? host : "");
        while (o->host[0] && !sm_utf8_valid(SM_SPAN_STR(o->host))) /* cut within a character */
            o->host[strlen(o->host) - 1] = '\0';
        if (format && normalise_knows_format(format))
            snprintf(o->format, sizeof o->format, "%s", format);
        if (encoding && normalise_knows_encoding(encoding))
            snprintf(o->encoding, sizeof o->encoding, "%s", encoding);
        return;
    }
}

static void origin_hint(struct watch *w, struct origin *o)
{
    size_t i;
    json_t *row;

    o->format[0] = o->encoding[0] = '\0';
    o->hint = NORMALISE_HINT;
    if (o->listener == LOG_AGENT)
        machine_hint(w, o);
    o->hint.sender = SM_SPAN_STR(o->host[0] ? o->host : o->address);
    o->hint.state = o->state;
    json_array_foreach(w->hints, i, row) {
        if (!row_is(row, o, NULL))
            continue;
        const char *format = json_string_value(json_object_get(row, "format"));
        const char *encoding = json_string_value(json_object_get(row, "encoding"));
        const json_t *zone = json_object_get(row, "zone_s");
        if (format && normalise_knows_format(format))
            snprintf(o->format, sizeof o->format, "%s", format);
        if (encoding && normalise_knows_encoding(encoding))
            snprintf(o->encoding, sizeof o->encoding, "%s", encoding);
        if (json_is_integer(zone))
            o->hint.zone_s = (int)json_integer_value(zone);
        o->hint.product = word(w, row, "product");
        o->hint.category = word(w, row, "category");
        o->hint.service = word(w, row, "service");
    }
    o->hint.format = o->format[0] ? o->format : NULL;
    o->hint.encoding = o->encoding[0] ? o->encoding : NULL;
}

static void source_hint(struct watch *w, struct source *s)
{
    size_t i;
    json_t *row;

    s->klass = 0;
    json_array_foreach(w->hints, i, row)
        if (row_is(row, s->origin, s->host)) {
            json_int_t klass = json_integer_value(json_object_get(row, "class"));
            s->klass = klass >= 0 && klass < EVIDENCE_CLASSES_MAX ? (uint8_t)klass : 0;
        }
}

void sources_machines(struct watch *w, json_t *list)
{
    json_decref(w->machines);
    w->machines = list;
}

void sources_hints(struct watch *w, json_t *list)
{
    json_decref(w->hints);
    w->hints = list;
    for (size_t i = 0; i < ORIGIN_SLOTS; i++)
        for (struct origin *o = w->origins[i]; o; o = o->next)
            origin_hint(w, o);
    for (size_t i = 0; i < SOURCES_MAX; i++)
        for (struct source *s = w->sources[i]; s; s = s->next)
            source_hint(w, s);
}

/* ---- tables ---- */

/* "device/" of an agent's stream. */
static struct sm_span device_of(struct sm_span address)
{
    const uint8_t *slash = address.n ? memchr(address.p, '/', address.n) : NULL;

    return SM_SPAN(address.p, slash ? (size_t)(slash - address.p) + 1 : 0);
}

/* Does this machine name more streams than it can have?  They take no room and no memory of records from the others. */
static bool too_many_streams(const struct watch *w, struct sm_span device)
{
    size_t n = 0;

    for (size_t i = 0; i < ORIGIN_SLOTS; i++)
        for (const struct origin *o = w->origins[i]; o; o = o->next)
            n += o->listener == LOG_AGENT && strlen(o->address) > device.n && !memcmp(o->address, device.p, device.n);
    return n >= STREAMS_OF_ONE;
}

struct origin *origin_of(struct watch *w, unsigned listener, struct sm_span address)
{
    struct origin **slot = &w->origins[mix(0xcbf29ce484222325u ^ listener, address.p, address.n) % ORIGIN_SLOTS];
    struct origin *o = *slot;

    while (o && (o->listener != listener || strlen(o->address) != address.n || memcmp(o->address, address.p, address.n) != 0))
        o = o->next;
    if (o)
        return o;
    if (w->origins_n >= SOURCES_MAX && address.n)
        return origin_of(w, listener, SM_SPAN("", 0)); /* the rest of them are one */
    struct sm_span device = listener == LOG_AGENT ? device_of(address) : SM_SPAN("", 0);
    if (device.n && device.n < address.n && too_many_streams(w, device))
        return origin_of(w, listener, device); /* likewise, of one machine */
    o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->listener = listener;
    memcpy(o->address, address.p, address.n < LOG_ADDRESS_MAX ? address.n : LOG_ADDRESS_MAX);
    if (listener == LOG_AGENT && w->states_n < STATES_MAX && (o->state = normalise_state_new()) != NULL)
        w->states_n++;
    origin_hint(w, o);
    if (o->state)
        heads_give(w, o);
    o->next = *slot;
    *slot = o;
    w->origins_n++;
    return o;
}

struct source *source_of(struct watch *w, struct origin *o, struct sm_span host)
{
    size_t n = host.n < sizeof ((struct source *)0)->host ? host.n : sizeof ((struct source *)0)->host - 1;
    uint64_t h = mix(mix(0xcbf29ce484222325u ^ o->listener, o->address, strlen(o->address)), host.p, n);
    struct source **slot = &w->sources[h % SOURCES_MAX];
    struct source *s = *slot;

    while (s && (s->origin != o || strlen(s->host) != n || memcmp(s->host, host.p ? (const char *)host.p : "", n) != 0))
        s = s->next;
    if (s)
        return s;
    if (host.n && (o->hosts >= HOSTS_MAX || w->sources_n >= SOURCES_MAX))
        return source_of(w, o, SM_SPAN("", 0)); /* who names ever new machines is one source from here on */
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    if (n)
        memcpy(s->host, host.p, n);
    while (n && !sm_utf8_valid(SM_SPAN(s->host, n))) /* cut within a character */
        s->host[--n] = '\0';
    s->origin = o;
    s->number = number_of(o, s->host);
    source_hint(w, s);
    s->next = *slot;
    *slot = s;
    w->sources_n++;
    o->hosts++;
    return s;
}

/* ---- what is seen of them ---- */

void source_saw(struct watch *w, struct source *s, const struct event *e)
{
    int64_t skew = e->time.s - e->seen.s;

    s->count++;
    s->bytes += e->raw.n;
    s->unparsed += (e->notes & EVENT_UNPARSED) != 0;
    s->cut += (e->notes & EVENT_CUT) != 0;
    s->format = e->format ? e->format : s->format;
    s->last_s = e->seen.s;
    if (!s->first_s)
        s->first_s = e->seen.s;
    if (!(e->notes & EVENT_NO_TIME)) {
        /* An agent may bring what was written while it was away: only what comes as it happens tells of a clock. */
        if (s->timed && s->origin->listener != LOG_AGENT && (skew - s->skew_s > JUMP_S || s->skew_s - skew > JUMP_S)) {
            s->jump_s = skew - s->skew_s;
            s->jumped_at_s = e->seen.s;
        }
        s->skew_s = skew;
        s->timed = true;
    }
    if (!s->changed) {
        s->changed = true;
        s->changed_next = w->changed;
        w->changed = s;
    }
}

static json_t *source_json(const struct watch *w, const struct source *s)
{
    struct sm_span format = event_names_text(w->names, s->format);

    return json_pack("{sI ss ss ss sI sI sI sI sI sI sI sI sI ss%}", "number", (json_int_t)s->number, "listener",
        log_listener_name(s->origin->listener), "address", s->origin->address, "host", s->host, "count", (json_int_t)s->count,
        "bytes", (json_int_t)s->bytes, "unparsed", (json_int_t)s->unparsed, "cut", (json_int_t)s->cut, "first_s",
        (json_int_t)s->first_s, "last_s", (json_int_t)s->last_s, "skew_s", (json_int_t)(s->timed ? s->skew_s : 0),
        "jump_s", (json_int_t)s->jump_s, "jumped_at_s", (json_int_t)s->jumped_at_s, "format", format.p ? (const char *)format.p : "",
        format.n);
}

json_t *sources_lot(const struct watch *w, struct source **ret_next)
{
    json_t *list = json_array();
    struct source *s = w->changed;
    size_t bytes = 0;

    for (; s; s = s->changed_next) {
        json_t *one = source_json(w, s);
        bytes += one ? json_dumpb(one, NULL, 0, JSON_COMPACT) + 1 : 0;
        if (json_array_size(list) && bytes > TOLD_BYTES) {
            json_decref(one);
            break;
        }
        if (json_array_append_new(list, one) < 0)
            break;
    }
    *ret_next = s;
    return list;
}

/* Counts are what came since they were told; brain adds. */
void sources_tell(struct watch *w)
{
    while (w->changed && child_peer(w->c, WHO_BRAIN)) {
        struct source *s;
        json_t *list = sources_lot(w, &s), *body = json_pack("{sO}", "sources", list);
        int r = body && json_array_size(list) ? child_notify_json(w->c, WHO_BRAIN, W_SOURCES, body) : -ENOMEM;
        json_decref(body);
        json_decref(list);
        if (r < 0)
            return; /* they stay in the list */
        while (w->changed != s) {
            struct source *told = w->changed;
            w->changed = told->changed_next;
            told->changed = false;
            told->count = told->bytes = told->unparsed = told->cut = 0;
            told->jump_s = 0;
        }
    }
}

void sources_free(struct watch *w)
{
    for (size_t i = 0; i < ORIGIN_SLOTS; i++)
        while (w->origins[i]) {
            struct origin *o = w->origins[i];
            w->origins[i] = o->next;
            normalise_state_free(o->state);
            free(o);
        }
    for (size_t i = 0; i < SOURCES_MAX; i++)
        while (w->sources[i]) {
            struct source *s = w->sources[i];
            w->sources[i] = s->next;
            free(s);
        }
    json_decref(w->hints);
    json_decref(w->machines);
    json_decref(w->heads);
}
