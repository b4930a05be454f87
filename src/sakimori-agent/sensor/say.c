/* What the sensor tells: queued by any thread, delivered by the one that made it. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "crypto/random.h"
#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

enum { MEMBERS_MAX = 1000 };

struct said {
    struct said *next;
    int type;
    size_t n;
    uint8_t p[];
};

static void put(struct sensor *s, int type, struct sm_span body)
{
    const uint64_t one = 1;
    struct said *m = body.n <= E_EVENT_MAX ? malloc(sizeof *m + body.n) : NULL;
    bool taken = false;
    if (m) {
        *m = (struct said){.type = type, .n = body.n};
        memcpy(m->p, body.p, body.n);
    }
    pthread_mutex_lock(&s->say_lock);
    if (m && (s->say_bytes + body.n <= SAY_BYTES || type == E_FINDING)) {
        *(s->say_last ? &s->say_last->next : &s->say_first) = m;
        s->say_last = m;
        s->say_bytes += body.n;
        taken = true;
    }
    pthread_mutex_unlock(&s->say_lock);
    if (taken) {
        (void)!write(s->say_fd, &one, sizeof one); /* full: it is readable already */
        return;
    }
    free(m);
    atomic_fetch_add(&s->lost_events, 1);
}

void say_event(struct sensor *s, struct sm_span line)
{
    put(s, E_EVENT, line);
}

static void put_json(struct sensor *s, int type, const json_t *o)
{
    struct sm_buf b = SM_BUF_INIT(E_FINDING_MAX);
    if (o && !sm_json_dump(o, &b))
        put(s, type, sm_buf_span(&b));
    else
        atomic_fetch_add(&s->lost_events, 1);
    sm_buf_wipe(&b);
}

static json_t *time_text(void)
{
    char text[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), text);
    return json_string(text);
}

void say_begin(struct saying *x, const char *action)
{
    x->line = SM_BUF_INIT(EVENT_MAX);
    x->e = sensor_event_begin(&x->line, plat_clock_wall(), "service", "sakimori");
    sensor_event_text(&x->e, "action", action);
}

void say_end(struct sensor *s, struct saying *x)
{
    if (sensor_event_end(&x->e))
        atomic_fetch_add(&s->lost_events, 1);
    else
        put(s, E_EVENT, sm_buf_span(&x->line));
    sm_buf_wipe(&x->line);
}

void say_overflow(struct sensor *s, const char *what, uint64_t count)
{
    struct saying x;
    say_begin(&x, "overflow");
    sensor_event_text(&x.e, "What", what);
    sensor_event_number(&x.e, "Lost", (int64_t)count);
    say_end(s, &x);
}

void say_who(struct saying *x, const struct who *w)
{
    sensor_event_bytes(&x->e, "Image", SM_SPAN_STR(w->exe));
    sensor_event_bytes(&x->e, "CommandLine", SM_SPAN_STR(w->line));
    sensor_event_number(&x->e, "ProcessId", w->pid);
    if (w->t)
        sensor_event_number(&x->e, "Tree", (int64_t)w->t->tree);
}

void say_written(struct sensor *s, struct sm_span path)
{
    struct saying x;
    say_begin(&x, "program_written");
    sensor_event_bytes(&x.e, "TargetFilename", path);
    say_who(&x, &s->who);
    say_end(s, &x);
}

void say_decoy(struct sensor *s, struct sm_span path, bool changed)
{
    struct tree *t = s->who.t;
    struct saying x;
    uint32_t bit = changed ? TREE_CHANGED_DECOY : TREE_READ_DECOY;
    if (t->bits & bit)
        return;
    t->bits |= bit;
    say_begin(&x, "decoy_touched");
    sensor_event_text(&x.e, "How", changed ? "changed" : "read");
    sensor_event_bytes(&x.e, "TargetFilename", path);
    say_who(&x, &s->who);
    say_end(s, &x);
}

/* Bytes that are no UTF-8 as \xNN. */
static json_t *text_json(const char *text)
{
    char out[4 * PROCTREE_PATH + 1];
    size_t n = strlen(text), k = 0;
    if (sm_utf8_valid(SM_SPAN(text, n)))
        return json_string(text);
    for (size_t i = 0; i < n && k + 4 < sizeof out; i++)
        k += (size_t)snprintf(out + k, sizeof out - k, (uint8_t)text[i] < 0x80 ? "%c" : "\\x%02x", (uint8_t)text[i]);
    return json_string(out);
}

/* Of a tree that was narrowed only its own processes. */
static json_t *processes(struct sensor *s, const struct tree *t)
{
    json_t *all = NULL, *own = json_array(), *row;
    size_t i;
    if (proctree_tell(procs_tree(s->procs), t->base, &all) || t->base == t->tree) {
        json_decref(own);
        return all ? all : json_array();
    }
    size_t n = who_members(s, t);
    json_array_foreach(all, i, row) {
        json_int_t pid = json_integer_value(json_object_get(row, "pid"));
        for (size_t k = 0; k < n; k++)
            if (s->rows[k].pid == pid)
                json_array_append(own, row);
    }
    json_decref(all);
    return own;
}

void say_members(struct sensor *s, uint64_t tree, const struct tree *t)
{
    json_t *list = json_array();
    size_t n = t ? who_members(s, t) : 0;
    for (size_t i = 0; i < n && i < MEMBERS_MAX; i++)
        json_array_append_new(list, json_pack("{s:I,s:I}", "pid", (json_int_t)s->rows[i].pid, "start", (json_int_t)s->rows[i].start));
    json_t *o = json_pack("{s:I,s:o}", "tree", (json_int_t)tree, "processes", list);
    put_json(s, E_MEMBERS, o);
    json_decref(o);
}

static json_t *timing(const struct tree *t)
{
    int64_t now = sensor_now_ms(), first = t->first_ms ? t->first_ms : now;
    json_t *o = json_pack("{s:I,s:I}", "first_ms", (json_int_t)t->first_wall_ms, "told_ms", (json_int_t)(now - first));
    if (t->stop_ms)
        json_object_set_new(o, "stop_ms", json_integer(t->stop_ms - first));
    return o;
}

static void say_found(struct sensor *s, const struct tree *t, const char *state, const char *id)
{
    struct saying x;
    say_begin(&x, strcmp(state, "seen") == 0 ? "ransomware_seen" : "ransomware_stopped");
    sensor_event_text(&x.e, "Finding", id);
    sensor_event_bytes(&x.e, "Image", SM_SPAN_STR(t->program));
    sensor_event_number(&x.e, "Tree", (int64_t)t->tree);
    sensor_event_number(&x.e, "Score", (int64_t)t->score);
    sensor_event_number(&x.e, "Touched", (int64_t)t->touched);
    say_end(s, &x);
}

void say_finding(struct sensor *s, struct tree *t, const char *state)
{
    char id[17];
    json_t *why = NULL, *o;
    uint64_t kept = t->kept;
    if (!t->finding)
        crypto_random(&t->finding, sizeof t->finding);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)t->finding);
    if (ransom_explain(s->ransom, t->tree, &why))
        why = json_object();
    t->rev++;
    t->said_ms = sensor_now_ms();
    o = json_pack("{s:s,s:I,s:s,s:I,s:o,s:s,s:I}", "id", id, "rev", (json_int_t)t->rev, "kind", "ransomware", "tree",
        (json_int_t)t->tree, "at", time_text(), "state", state, "score", (json_int_t)t->score);
    static const char *const copied[] = {"threshold", "reasons"};
    for (size_t i = 0; i < 2 && o; i++)
        if (json_object_get(why, copied[i]))
            json_object_set(o, copied[i], json_object_get(why, copied[i]));
    if (o && json_object_get(why, "files"))
        json_object_set(o, "paths", json_object_get(why, "files"));
    json_object_set_new(o, "program", text_json(t->program));
    json_object_set_new(o, "processes", processes(s, t));
    json_object_set_new(o, "files", json_pack("{s:I,s:I,s:I,s:I,s:I}", "touched", (json_int_t)t->touched, "destroyed",
        (json_int_t)t->destroyed, "kept", (json_int_t)kept, "given_back", (json_int_t)0, "lost", (json_int_t)t->unkept));
    json_object_set_new(o, "timing", timing(t));
    json_object_set_new(o, "acts", strcmp(state, "stopped") == 0
        ? json_pack("[{s:o,s:s,s:s,s:s,s:I}]", "at", time_text(), "action", "stop", "by", "policy", "state", "done", "processes",
              (json_int_t)t->stopped)
        : json_array());
    put_json(s, E_FINDING, o);
    if (strcmp(state, "ended") != 0 && t->rev == 1)
        say_found(s, t, state, id);
    json_decref(why);
    json_decref(o);
}

void sensor_deliver(struct sensor *s)
{
    uint64_t n;
    (void)!read(s->say_fd, &n, sizeof n); /* nothing there: the list is looked at all the same */
    pthread_mutex_lock(&s->say_lock);
    struct said *m = s->say_first, *next;
    s->say_first = s->say_last = NULL;
    s->say_bytes = 0;
    pthread_mutex_unlock(&s->say_lock);
    for (; m; m = next) {
        next = m->next;
        s->setup.say(s->setup.ctx, m->type, SM_SPAN(m->p, m->n));
        free(m);
    }
}

void say_drop(struct sensor *s)
{
    for (struct said *m = s->say_first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    s->say_first = s->say_last = NULL;
}
