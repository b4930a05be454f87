/* DATA/inspect/baseline: canonical JSON {"v":1,"sensors":{NAME:{"cut":bool,"items":{KEY: KEPT}}}}. */
#include "sakimori-agent/inspect/inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plat/fs.h"

#define NAME "baseline"
enum { SENSORS_MAX = 32, TEXT_MAX = 32 << 20 };

struct baseline {
    struct {
        char *name;
        struct items items;
    } row[SENSORS_MAX];
    size_t n;
};

int baseline_new(struct baseline **ret)
{
    struct baseline *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    *ret = b;
    return 0;
}

static void clear(struct baseline *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->row[i].name);
        items_wipe(&b->row[i].items);
    }
    b->n = 0;
}

void baseline_free(struct baseline *b)
{
    if (b)
        clear(b);
    free(b);
}

const struct items *baseline_of(const struct baseline *b, const char *sensor)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->row[i].name, sensor) == 0)
            return &b->row[i].items;
    return NULL;
}

int baseline_set(struct baseline *b, const char *sensor, struct items *items)
{
    size_t i = 0;
    while (i < b->n && strcmp(b->row[i].name, sensor) != 0)
        i++;
    if (i == b->n) {
        char *name = i < SENSORS_MAX ? strdup(sensor) : NULL;
        if (!name)
            return -ENOMEM;
        b->row[b->n++].name = name;
        b->row[i].items = (struct items){0};
    }
    items_wipe(&b->row[i].items);
    b->row[i].items = *items;
    *items = (struct items){0};
    for (size_t k = 0; k < b->row[i].items.n; k++) {
        free(b->row[i].items.row[k].told);
        b->row[i].items.row[k].told = NULL;
    }
    return 0;
}

static int parse_sensor(struct baseline *b, const char *name, const json_t *o)
{
    const json_t *items = json_object_get(o, "items");
    struct items s = {0};
    const char *key;
    json_t *v;
    if (!json_is_object(items) || json_object_size(items) > ITEMS_MAX)
        return -SM_EFORMAT;
    json_object_foreach((json_t *)(uintptr_t)items, key, v) {
        items_add(&s, SM_SPAN_STR(key));
        if (!json_is_string(v))
            s.err = s.err ? s.err : -SM_EFORMAT;
        if (s.err)
            break;
        char *kept = strdup(json_string_value(v)); /* as it stands: it was made by items_keep */
        if (!kept) {
            s.err = -ENOMEM;
            break;
        }
        free(s.row[s.n - 1].kept);
        s.row[s.n - 1].kept = kept;
    }
    int r = s.err;
    if (!r) {
        items_sort(&s);
        s.cut = json_is_true(json_object_get(o, "cut"));
        r = baseline_set(b, name, &s);
    }
    items_wipe(&s);
    return r;
}

int baseline_parse(struct baseline *b, struct sm_span text)
{
    json_t *o = NULL, *v;
    const char *name;
    clear(b);
    int r = sm_json_parse(text, TEXT_MAX, &o, NULL);
    const json_t *version = json_object_get(o, "v"), *sensors = json_object_get(o, "sensors");
    if (!r && !json_is_integer(version))
        r = -SM_EFORMAT;
    if (!r && json_integer_value(version) != 1)
        r = -SM_EVERSION;
    if (!r && (!json_is_object(sensors) || json_object_size(sensors) > SENSORS_MAX))
        r = -SM_EFORMAT;
    if (!r) {
        json_object_foreach((json_t *)(uintptr_t)sensors, name, v) {
            r = r ? r : parse_sensor(b, name, v);
        }
    }
    json_decref(o);
    if (r)
        clear(b);
    return r;
}

int baseline_load(struct baseline *b, int dir)
{
    struct sm_buf text = SM_BUF_INIT(TEXT_MAX);
    int r = plat_fs_read_file(dir, NAME, TEXT_MAX, &text);
    clear(b);
    if (!r)
        r = baseline_parse(b, sm_buf_span(&text));
    sm_buf_wipe(&text);
    return r == -ENOENT ? -SM_ENOTFOUND : r;
}

static json_t *sensor_json(const struct items *s)
{
    json_t *items = json_object();
    for (size_t k = 0; k < s->n && items; k++) {
        if (json_object_set_new(items, s->row[k].key, json_string(s->row[k].kept))) {
            json_decref(items);
            return NULL;
        }
    }
    return items ? json_pack("{s:b,s:o}", "cut", s->cut, "items", items) : NULL;
}

int baseline_save(const struct baseline *b, int dir)
{
    struct sm_buf text = SM_BUF_INIT(TEXT_MAX);
    json_t *sensors = json_object(), *o;
    int r = sensors ? 0 : -ENOMEM;
    for (size_t i = 0; i < b->n && !r; i++)
        r = json_object_set_new(sensors, b->row[i].name, sensor_json(&b->row[i].items)) ? -ENOMEM : 0;
    o = r ? NULL : json_pack("{s:i,s:O}", "v", 1, "sensors", sensors);
    if (!r)
        r = o ? sm_json_dump(o, &text) : -ENOMEM;
    if (!r)
        r = plat_replace(dir, NAME, sm_buf_span(&text), 0600);
    json_decref(o);
    json_decref(sensors);
    sm_buf_wipe(&text);
    return r;
}
