/*
 * CSV with a line of heads: loggers of what people do on PCs, the event viewer's export, and whatever a mapping
 * describes.
 *
 * A mapping (rules/mappings/csv.json, docs/INTAKE.md) says which heads it needs and what each column is: a field,
 * or @time,
 * @date, @clock, @host, @message.  The first mapping whose needed heads are all there reads the file.  Columns it
 * does not
 * name keep their head as name.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/json.h"
#include "normalise/format.h"
#include "normalise/wintext.h"

enum { MAP_TABLES_MAX = 64, MAP_COLUMNS_MAX = 256, MAP_NEEDS_MAX = 8, MAP_TEXT_MAX = 64 << 10 };
enum { KIND_VALUE, KIND_TIME, KIND_DATE, KIND_CLOCK, KIND_HOST, KIND_MESSAGE };

struct map_table {
    char *name;
    uint16_t product, category, service;
    bool windows;               /* the message has labelled values */
    char *needs[MAP_NEEDS_MAX];
    size_t needs_n, n;
    struct { char *head; uint16_t name; uint8_t kind; } column[MAP_COLUMNS_MAX];
};

struct normalise_map { size_t n; struct map_table *table[MAP_TABLES_MAX]; };

void normalise_map_free(struct normalise_map *m)
{
    for (size_t i = 0; m && i < m->n; i++) {
        struct map_table *t = m->table[i];
        for (size_t k = 0; k < t->needs_n; k++)
            free(t->needs[k]);
        for (size_t k = 0; k < t->n; k++)
            free(t->column[k].head);
        free(t->name);
        free(t);
    }
    free(m);
}

static uint16_t word(struct event_names *names, struct sm_obj *o, const char *key)
{
    const char *s = sm_obj_str_opt(o, key, 64);

    return s && *s ? event_names_add(names, SM_SPAN_STR(s)) : 0;
}

static uint8_t kind_of(const char *to)
{
    static const struct { const char *name; uint8_t kind; } kinds[] = {
        { "@time", KIND_TIME }, { "@date", KIND_DATE }, { "@clock", KIND_CLOCK }, { "@host", KIND_HOST },
        { "@message", KIND_MESSAGE },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(to, kinds[i].name))
            return kinds[i].kind;
    return KIND_VALUE;
}

static int add_columns(struct event_names *names, struct map_table *t, const json_t *columns)
{
    const char *head;
    json_t *to;

    json_object_foreach((json_t *)(uintptr_t)columns, head, to) {
        const char *name = json_string_value(to);
        if (!name || t->n == MAP_COLUMNS_MAX)
            return -SM_EFORMAT;
        char *copy = strdup(head);
        if (!copy)
            return -ENOMEM;
        uint8_t kind = kind_of(name);
        t->column[t->n].head = copy;
        t->column[t->n].kind = kind;
        t->column[t->n++].name = kind == KIND_VALUE ? event_names_add(names, SM_SPAN_STR(name)) : 0;
    }
    return 0;
}

static int add_table(struct event_names *names, const json_t *v, struct normalise_map *m, char *ret_why)
{
    struct sm_obj o = SM_OBJ(v);
    struct map_table *t = calloc(1, sizeof *t);

    if (!t)
        return -ENOMEM;
    m->table[m->n++] = t;
    t->name = strdup(sm_obj_str(&o, "name", 1, 64));
    t->product = word(names, &o, "product");
    t->category = word(names, &o, "category");
    t->service = word(names, &o, "service");
    t->windows = sm_obj_bool(&o, "windows_message", false);
    const json_t *needs = sm_obj_arr(&o, "needs", MAP_NEEDS_MAX), *columns = sm_obj_obj(&o, "columns");
    for (size_t i = 0; needs && i < json_array_size(needs); i++) {
        const char *s = json_string_value(json_array_get(needs, i));
        if (!s || !(t->needs[t->needs_n] = strdup(s)))
            return s ? -ENOMEM : -SM_EFORMAT;
        t->needs_n++;
    }
    int r = o.err < 0 ? o.err : !columns || !t->needs_n ? -SM_EFORMAT : add_columns(names, t, columns);
    if (r < 0 && ret_why)
        snprintf(ret_why, 160, "%.40s: %.110s", t->name && *t->name ? t->name : "a table",
            o.err < 0 ? o.why : "needs and columns are lists of texts");
    return t->name ? r : -ENOMEM;
}

int normalise_map_parse(struct event_names *names, struct sm_span json, struct normalise_map **ret, char *ret_why)
{
    json_t *root = NULL;
    struct normalise_map *m = calloc(1, sizeof *m);

    if (!m)
        return -ENOMEM;
    int r = sm_json_parse(json, MAP_TEXT_MAX, &root, ret_why);
    if (r >= 0) {
        struct sm_obj o = SM_OBJ(root);
        const json_t *tables = sm_obj_arr(&o, "tables", MAP_TABLES_MAX);
        r = o.err;
        if (r < 0 && ret_why)
            snprintf(ret_why, 160, "%s", o.why);
        for (size_t i = 0; r >= 0 && i < json_array_size(tables); i++)
            r = add_table(names, json_array_get(tables, i), m, ret_why);
    }
    json_decref(root);
    if (r < 0) {
        normalise_map_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

/* ---- lines ---- */

enum { CELLS_MAX = COLUMNS_MAX };

/* The next cell: "..." with "" for a quote (copied then), or up to the separator.  False at the end of the line. */
static bool cell(struct format_ctx *c, struct scan *s, char sep, bool *more, struct sm_span *ret)
{
    if (!*more)
        return false;
    if (scan_peek(s) == '"') {
        const uint8_t *from = ++s->p;
        size_t doubled = 0;
        for (; s->p < s->end; s->p++) {
            if (*s->p != '"')
                continue;
            if (s->p + 1 == s->end || s->p[1] != '"')
                break;
            s->p++;
            doubled++;
        }
        struct sm_span in = SM_SPAN(from, (size_t)(s->p - from));
        *ret = in;
        uint8_t *to = doubled ? event_room(c->e, in.n) : NULL;
        size_t n = 0;
        for (size_t i = 0; to && i < in.n; i++) {
            to[n++] = in.p[i];
            i += in.p[i] == '"';
        }
        if (to)
            *ret = SM_SPAN(to, n);
        (void)scan_until(s, sep);
    } else {
        *ret = span_trim(scan_until(s, sep));
    }
    *more = scan_c(s, sep);
    return true;
}

static size_t cells(struct format_ctx *c, struct sm_span text, char sep, struct sm_span *ret)
{
    struct scan s = scan_of(text);
    bool more = true;
    size_t n = 0;

    while (n < CELLS_MAX && cell(c, &s, sep, &more, &ret[n]))
        n++;
    return n;
}

static char separator(struct sm_span t)
{
    size_t commas = 0, tabs = 0, semicolons = 0;

    for (size_t i = 0; i < t.n && i < 4096; i++) {
        commas += t.p[i] == ',';
        tabs += t.p[i] == '\t';
        semicolons += t.p[i] == ';';
    }
    return tabs > commas && tabs >= semicolons ? '\t' : semicolons > commas ? ';' : ',';
}

static const struct map_table *table_for(const struct normalise_map *m, const struct sm_span *heads, size_t n)
{
    for (size_t i = 0; m && i < m->n; i++) {
        size_t have = 0;
        for (size_t k = 0; k < m->table[i]->needs_n; k++)
            for (size_t j = 0; j < n; j++)
                if (span_is(heads[j], m->table[i]->needs[k])) {
                    have++;
                    break;
                }
        if (have == m->table[i]->needs_n)
            return m->table[i];
    }
    return NULL;
}

enum { WINDOWS_MESSAGE = 128 };

static bool take_head(struct format_ctx *c, const struct sm_span *heads, size_t n, char sep)
{
    const struct map_table *t = table_for(c->hint->map ? c->hint->map : builtin_map(c->n), heads, n);
    struct columns *h = &c->state->columns;

    if (!t)
        return false;
    *h = (struct columns){ .of = &format_csv, .n = n, .sep = sep, .product = t->product, .category = t->category,
        .service = t->service };
    for (size_t i = 0; i < n; i++) {
        h->name[i] = event_names_add(c->names, heads[i]);
        for (size_t k = 0; k < t->n; k++)
            if (span_is(heads[i], t->column[k].head)) {
                h->name[i] = t->column[k].name;
                h->kind[i] = t->column[k].kind;
                if (t->windows && h->kind[i] == KIND_MESSAGE)
                    h->kind[i] |= WINDOWS_MESSAGE;
            }
    }
    return true;
}

static void set_time(struct format_ctx *c, struct sm_span date, struct sm_span clock)
{
    uint8_t text[96];
    struct when w;

    if (!date.n || date.n > 48 || clock.n > 40)
        return;
    memcpy(text, date.p, date.n);
    text[date.n] = ' ';
    if (clock.n)
        memcpy(text + date.n + 1, clock.p, clock.n);
    struct scan s = scan_of(span_trim(SM_SPAN(text, date.n + 1 + clock.n)));
    if (when_any(&s, &w))
        when_set(c, &w);
}

static void read_row(struct format_ctx *c, const struct sm_span *v, size_t n)
{
    const struct columns *h = &c->state->columns;
    struct sm_span date = { 0 }, clock = { 0 };

    source_words(c, h->product, h->category, h->service);
    for (size_t i = 0; i < n && i < h->n; i++) {
        switch (h->kind[i] & ~WINDOWS_MESSAGE) {
        case KIND_TIME:
        case KIND_DATE: date = date.n ? date : v[i]; break;
        case KIND_CLOCK: clock = v[i]; break;
        case KIND_HOST:
            c->e->host = v[i];
            put(c, EVENT_F_hostname, v[i]);
            break;
        case KIND_MESSAGE:
            if (h->kind[i] & WINDOWS_MESSAGE)
                windows_message(c, v[i]);
            put(c, EVENT_F_Message, v[i]);
            break;
        default: put_number(c, h->name[i], v[i]);
        }
    }
    if (h->product == EVENT_W_windows && !event_get(c->e, EVENT_F_Channel) && span_is(event_text(c->e,
        EVENT_F_Provider_Name),
        "Microsoft-Windows-Security-Auditing"))
        put_str(c, EVENT_F_Channel, "Security");
    set_time(c, date, clock);
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct sm_span v[CELLS_MAX];
    bool known = c->state && c->state->columns.of == &format_csv;
    char sep = known ? c->state->columns.sep : separator(text);
    size_t n = cells(c, text, sep, v);

    if (!c->state || c->depth || n < 2)
        return -SM_EFORMAT;
    if (take_head(c, v, n, sep))
        return FORMAT_NOTHING;
    if (!known)
        return -SM_EFORMAT;
    read_row(c, v, n);
    return 0;
}

/* A line with several separators might be a head: read finds out.  Lines behind a head are asked first
 * (state->last). */
static int detect(struct sm_span t)
{
    size_t commas = 0;

    for (size_t i = 0; i < t.n && i < 2048 && commas < 3; i++)
        commas += t.p[i] == ',' || t.p[i] == '\t' || t.p[i] == ';';
    return commas >= 2 ? 12 : 0;
}

const struct format format_csv = {
    .row = { "csv", "見出しのある CSV（操作の記録など、対応表つき）", "CSV with heads, by a mapping" },
    .frame = FRAME_CSV, .detect = detect, .read = read,
};
