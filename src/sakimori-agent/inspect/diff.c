/* Differences between two looks, as events. */
#include "sakimori-agent/inspect/inspect.h"

#include <string.h>
#include "sensor/event.h"

/* Fields of an item's text into the event; past its length the rest is left out. */
static void put_fields(struct sensor_event *e, const char *text)
{
    for (const char *p = text ? text : ""; *p;) { /* of what was kept nothing more is told */
        char name[32];
        const char *eq = strchr(p, '='), *end = strchr(p, '\x1f');
        end = end ? end : p + strlen(p);
        if (!eq || eq > end || (size_t)(eq - p) >= sizeof name)
            return;
        memcpy(name, p, (size_t)(eq - p));
        name[eq - p] = 0;
        sensor_event_bytes(e, name, SM_SPAN(eq + 1, end - eq - 1));
        p = *end ? end + 1 : end;
    }
}

static int tell_one(const struct inspect_sensor *s, const char *action, const char *change, const struct item *it,
    const struct inspect_change *how, struct sm_buf *ret)
{
    struct sensor_event e = sensor_event_begin(ret, how->at, "service", "sakimori");
    sensor_event_text(&e, "action", action);
    sensor_event_text(&e, "Change", change);
    sensor_event_text(&e, s->key, it->key);
    put_fields(&e, it->kept);
    put_fields(&e, it->told);
    sensor_event_text(&e, "During", how->during);
    if (how->while_off)
        sensor_event_true(&e, "WhileOff", true);
    int r = sensor_event_end(&e);
    return r ? r : sm_buf_put_u8(ret, '\n');
}

static int tell_rest(const struct inspect_sensor *s, size_t more, const struct inspect_change *how, struct sm_buf *ret)
{
    struct sensor_event e = sensor_event_begin(ret, how->at, "service", "sakimori");
    sensor_event_text(&e, "action", "overflow");
    sensor_event_text(&e, "What", s->name);
    sensor_event_number(&e, "Dropped", (int64_t)more);
    sensor_event_text(&e, "During", how->during);
    int r = sensor_event_end(&e);
    return r ? r : sm_buf_put_u8(ret, '\n');
}

int inspect_diff(const struct inspect_sensor *s, const struct items *was, const struct items *is,
    const struct inspect_change *how, struct sm_buf *ret_lines, size_t *ret_n)
{
    size_t i = 0, k = 0, n = 0, more = 0, from = ret_lines->n;
    int r = 0;
    while (!r && (i < was->n || k < is->n)) {
        int d = i == was->n ? 1 : k == is->n ? -1 : strcmp(was->row[i].key, is->row[k].key);
        const struct item *it = d < 0 ? &was->row[i] : &is->row[k];
        bool same = d == 0 && strcmp(was->row[i].kept, is->row[k].kept) == 0;
        const char *action = d < 0 ? s->removed : d > 0 ? s->added : s->changed;
        i += d <= 0;
        k += d >= 0;
        if (same || !action || (d < 0 && is->cut) || (d > 0 && was->cut)) /* cut: perhaps it was only not looked at */
            continue;
        if (n >= INSPECT_TELL_MAX) {
            more++;
            continue;
        }
        r = tell_one(s, action, d < 0 ? "removed" : d > 0 ? "added" : "changed", it, how, ret_lines);
        n++;
    }
    if (!r && more)
        r = tell_rest(s, more, how, ret_lines);
    if (r) {
        ret_lines->n = from;
        return r;
    }
    *ret_n = n + (more ? 1 : 0);
    return 0;
}
