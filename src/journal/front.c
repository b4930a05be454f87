/* Taking events in: records in the form of a write-ahead frame, which waits until it is handed over and kept. */
#include "journal/journal.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/writer.h"

enum { FRAME_FULL = 24 << 20 };

int ev_frame_init(struct ev_frame *f)
{
    *f = (struct ev_frame){ .names = SM_BUF_INIT(EV_FRAME_MAX), .events = SM_BUF_INIT(EV_FRAME_MAX),
        .within = SM_BUF_INIT(EV_FRAME_MAX) };
    f->number = calloc(EV_NAMES_FRAME, sizeof *f->number);
    return f->number ? 0 : -ENOMEM;
}

void ev_frame_wipe(struct ev_frame *f)
{
    sm_buf_wipe(&f->names);
    sm_buf_wipe(&f->events);
    sm_buf_wipe(&f->within);
    free(f->number);
    f->number = NULL;
}

void ev_frame_clear(struct ev_frame *f)
{
    sm_buf_clear(&f->names);
    sm_buf_clear(&f->events);
    sm_buf_clear(&f->within);
    f->names_n = f->events_n = f->first_id = f->last_id = 0;
}

int ev_front_init(struct ev_front *f)
{
    int r = ev_frame_init(&f->frame);

    f->next_id = 1;
    f->record = SM_BUF_INIT(EV_RECORD_MAX);
    f->known = calloc(EV_NAMES_FRAME, sizeof *f->known);
    f->field = calloc(EVENT_FIELDS_MAX, sizeof *f->field);
    f->name = calloc(EVENT_FIELDS_MAX, sizeof *f->name);
    return r < 0 ? r : f->known && f->field && f->name ? 0 : -ENOMEM;
}

void ev_front_wipe(struct ev_front *f)
{
    ev_frame_wipe(&f->frame);
    sm_buf_wipe(&f->record);
    sm_buf_wipe(&f->rest);
    sm_buf_wipe(&f->scratch);
    free(f->known);
    free(f->field);
    free(f->name);
}

static int frame_number(struct ev_front *f, uint16_t number, struct sm_span name, uint32_t *ret)
{
    uint16_t *known = &f->known[number <= EVENT_NAMES_MAX ? number : 0];

    if (!*known) {
        int r = sm_buf_put_blob(&f->frame.names, name);
        if (r < 0)
            return r;
        f->frame.number[f->frame.names_n] = number <= EVENT_NAMES_MAX ? number : 0;
        *known = (uint16_t)++f->frame.names_n;
    }
    *ret = *known - 1u;
    return 0;
}

static bool may_join(uint8_t c)
{
    return ev_is_word(c) || c & 0x80;
}

/* Does v lie in whole, with no word cut at its ends?  Then every key of v's text is one of whole's. */
static bool lies_in(struct sm_span v, struct sm_span whole)
{
    uintptr_t p = (uintptr_t)v.p, q = (uintptr_t)whole.p;

    if (!v.n || v.n >= whole.n || p < q || p + v.n > q + whole.n)
        return false;
    if (p > q && may_join(v.p[-1]) && may_join(v.p[0]))
        return false;
    return p + v.n == q + whole.n || !may_join(v.p[v.n - 1]) || !may_join(v.p[v.n]);
}

static int put_within(const struct event *e, struct sm_buf *to)
{
    const struct event_field *most = NULL;
    int r = sm_buf_reserve(to, e->n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < e->n; i++)
        if (!most || e->fields[i].n > most->n)
            most = &e->fields[i];
    for (size_t i = 0; i < e->n; i++)
        to->p[to->n++] = lies_in(event_value(&e->fields[i]), event_value(most));
    return 0;
}

static int record(struct ev_front *j, const struct event_names *names, const struct event *e,
    const struct evidence_extra *extra, struct ev_record *ret)
{
    struct ev_record r = { .id = j->next_id, .source = e->source, .time = e->time, .seen = e->seen, .notes = e->notes,
        .klass = extra ? extra->klass : 0, .severity = e->severity, .host = e->host, .raw_n = e->raw.n, .n = e->n,
        .fields = j->field };
    const uint16_t word[4] = { e->product, e->category, e->service, e->format };
    int err = ev_rest_make(e, &j->rest, &j->scratch);

    if (r.host.n > EVENT_NAME_MAX)
        r.host.n = EVENT_NAME_MAX;
    for (size_t i = 0; i < 4; i++)
        r.word[i] = event_names_text(names, word[i]);
    if (extra)
        r.rules = SM_SPAN(extra->rules.p, extra->rules.n < EVIDENCE_RULES_MAX ? extra->rules.n : EVIDENCE_RULES_MAX);
    for (size_t i = 0; i < e->n && err >= 0; i++) {
        const struct event_field *f = &e->fields[i];
        j->field[i] = (struct ev_field){ .name = event_names_text(names, f->name), .value = event_value(f),
            .type = f->type & 3,
            .number = f->name };
        err = frame_number(j, f->name, j->field[i].name, &j->name[i]);
    }
    r.rest = sm_buf_span(&j->rest);
    *ret = r;
    return err;
}

/* A table of names other than the last one's begins a new frame, since numbers differ; so does one that is full. */
static int make_room(struct evidence *j, const struct event_names *names)
{
    struct ev_front *f = &j->front;

    if (f->frame.events_n && (f->table != names || f->frame.events.n > FRAME_FULL)) {
        int r = j->conf.apart ? -SM_EAGAIN : evidence_commit(j);
        if (r < 0)
            return r;
    }
    if (!f->frame.events_n) { /* also names left by an event that was not taken */
        ev_frame_clear(&f->frame);
        memset(f->known, 0, EV_NAMES_FRAME * sizeof *f->known);
    }
    f->table = names;
    return 0;
}

int evidence_append(struct evidence *j, const struct event_names *names, const struct event *e,
    const struct evidence_extra *extra, uint64_t *ret_id)
{
    struct ev_front *f = &j->front;
    struct event cut = *e;
    struct ev_record rec;

    if (cut.raw.n > EVENT_RAW_MAX) { /* says so as the parsers do */
        cut.raw.n = EVENT_RAW_MAX;
        cut.notes |= EVENT_CUT;
    }
    if (extra && extra->klass >= EVIDENCE_CLASSES_MAX)
        return -SM_EINVAL;
    int r = make_room(j, names);
    if (r < 0)
        return r;
    r = record(f, names, &cut, extra, &rec);
    sm_buf_clear(&f->record);
    if (r >= 0)
        r = ev_record_put(&rec, f->name, &f->record);
    size_t events = f->frame.events.n, within = f->frame.within.n;
    if (r >= 0)
        r = sm_buf_put_blob(&f->frame.events, sm_buf_span(&f->record));
    if (r >= 0)
        r = put_within(&cut, &f->frame.within);
    if (r < 0) {
        f->frame.events.n = events;
        f->frame.within.n = within;
        return r;
    }
    if (!f->frame.events_n++)
        f->frame.first_id = rec.id;
    f->frame.last_id = rec.id;
    f->next_id++;
    if (ret_id)
        *ret_id = rec.id;
    return 0;
}

int evidence_hand(struct evidence *j)
{
    struct ev_frame full = j->front.frame;

    if (!full.events_n)
        return 0;
    if (j->handed.events_n)
        return -SM_EAGAIN;
    j->front.frame = j->handed;
    j->handed = full;
    return 0;
}

uint64_t evidence_next_id(const struct evidence *j)
{
    return j->front.next_id;
}
