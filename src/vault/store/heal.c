#include <errno.h>
#include "vault/store/store_internal.h"

#define OBJECTS_A_RECORD 1500u              /* cids in one record: well inside JOURNAL_PAYLOAD_MAX */

static void forget_damage(struct store *st, const struct cid *id)
{
    uint32_t at = idmap_get(&st->damaged_map, st->damaged_rows.p, sizeof(struct damaged_row), id->b);
    if (at != STORE_NONE)
        ((struct damaged_row *)st->damaged_rows.p)[at].seq = 0;   /* older than any pack */
}

int apply_healed(struct store *st, const struct queued *r)
{
    struct sm_obj o = SM_OBJ(r->payload);
    const char *what = sm_obj_str(&o, "what", 1, 64), *file = sm_obj_str_opt(&o, "file", 255);
    const char *object = sm_obj_str_opt(&o, "object", 64);
    const json_t *objects = json_object_get(r->payload, "objects");
    struct cid id;
    if (o.err)
        return -SM_ECORRUPT;
    if (object && cid_unhex(object, &id) == 0) {
        uint32_t at = strcmp(what, "generation") == 0 ? store_find_generation(st, &id) : STORE_NONE;
        if (at != STORE_NONE)
            store_generation_row(st, at)->damaged = false;
        forget_damage(st, &id);
    }
    for (size_t i = 0; i < json_array_size(objects); i++) {
        const char *hex = json_string_value(json_array_get(objects, i));
        if (hex && strlen(hex) == 64 && cid_unhex(hex, &id) == 0)
            forget_damage(st, &id);
    }
    const char *name = file && strncmp(file, "packs/", 6) == 0 && strlen(file) == 6 + 3 + 64 + 4 ? file + 9 : NULL;
    if (name && strcmp(what, "pack") == 0 && sm_unhex(name, 64, id.b, 32) == 0) {
        uint32_t at = store_find_pack(st, &id);
        if (at != STORE_NONE)
            store_pack_row(st, at)->lost = false;
    }
    return 0;
}

static json_t *cids_json(const struct cid *c, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++)
        if (json_array_append_new(a, json_hex(c[i].b, 32))) {
            json_decref(a);
            return NULL;
        }
    return a;
}

static int record(struct store *st, const struct store_healed *h, size_t from, size_t n)
{
    json_t *o = json_object();
    bool ok = json_set(o, "what", json_text(h->what)) && json_set(o, "file", json_text(h->file)) &&
        json_set(o, "object", h->object ? json_hex(h->object->b, 32) : json_null()) &&
        json_set(o, "blocks", json_integer((json_int_t)(h->blocks & INT64_MAX))) &&
        json_set(o, "objects", cids_json(h->objects + from, n)) &&
        json_set(o, "found_by", json_text(h->found_by));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    return store_record(st, JOURNAL_HEALED, NULL, o, NULL);
}

int store_healed(struct store *st, const struct store_healed *h)
{
    int err = store_writable(st);
    size_t from = 0;
    if (err || !h->what || !h->what[0])
        return err ? err : -SM_EINVAL;
    do {
        size_t n = h->n - from < OBJECTS_A_RECORD ? h->n - from : OBJECTS_A_RECORD;
        err = record(st, h, from, n);
        from += n;
    } while (!err && from < h->n);
    return err ? err : store_sync(st);
}

int store_scrubbed(struct store *st, const struct store_scrub *s)
{
    const struct { const char *key; uint64_t v; } row[] = {
        { "packs", s->packs }, { "bytes", s->bytes }, { "protected", s->protected_ }, { "healed", s->healed },
        { "damaged", s->damaged }, { "manifests", s->manifests }, { "journal_files", s->journal_files },
        { "ms", s->ms }, { "rate", s->rate_bytes_s },
    };
    int err = store_writable(st);
    if (err)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "started", json_integer(s->started_s)) && json_set(o, "by", json_text(s->by));
    for (size_t i = 0; ok && i < sizeof row / sizeof *row; i++)
        ok = json_set(o, row[i].key, json_integer((json_int_t)(row[i].v & INT64_MAX)));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    err = store_record(st, JOURNAL_SCRUB, NULL, o, NULL);
    return err ? err : store_sync(st);
}
