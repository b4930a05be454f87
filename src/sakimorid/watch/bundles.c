/*
 * The bundle of rules in use, the one before it, and one that is being brought in.  docs/FORMAT-rules.md, "In the box".
 * A bundle is used when its name stands in `state`, which is replaced whole: kill -9 leaves the old or the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>
#include "core/log.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { STATE_MAX = 64 << 10, PART_MAX = 128 << 10, KEYS_FILE_MAX = 64 << 10, FILE_NAME = 7 + 32 };
static const char folder[] = "rules";

static const json_t *place(const struct watch *w, const char *which)
{
    const json_t *p = json_object_get(w->bundles, which);

    return json_is_object(p) ? p : NULL;
}

static const char *text(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));

    return v ? v : "";
}

uint64_t bundles_serial(const struct watch *w)
{
    return (uint64_t)json_integer_value(json_object_get(place(w, "current"), "serial"));
}

int64_t bundles_made_s(const struct watch *w)
{
    return json_integer_value(json_object_get(place(w, "current"), "made_s"));
}

static int open_folder(const struct watch *w)
{
    return plat_fs_open_dir(w->state_dir, folder);
}

/* ---- at the start ---- */

static bool name_known(const struct watch *w, const char *name)
{
    return !strcmp(name, "state") || !strcmp(name, text(place(w, "current"), "file")) || !strcmp(name, text(place(w, "previous"), "file"));
}

struct sweep { const struct watch *w; int dir; };

static int sweep_one(void *arg, struct sm_span name, unsigned char type)
{
    const struct sweep *s = arg;

    if (((const char *)name.p)[0] != '.' && !name_known(s->w, (const char *)name.p))
        (void)!plat_fs_unlink(s->dir, (const char *)name.p); /* it only takes room; next time again */
    return 0;
}

static void sweep(const struct watch *w)
{
    struct sweep s = { w, open_folder(w) };

    if (s.dir < 0)
        return;
    (void)!plat_fs_list(s.dir, sweep_one, &s); /* as above */
    close(s.dir);
}

static bool place_good(const json_t *p)
{
    struct sm_obj o = SM_OBJ(p);
    uint8_t hash[CRYPTO_SHA256_LEN];
    struct bundle_key key;

    if (json_is_null(p))
        return true;
    const char *file = sm_obj_str(&o, "file", FILE_NAME, FILE_NAME), *pub = sm_obj_str(&o, "key", 1, BUNDLE_KEY_TEXT);
    sm_obj_hex(&o, "sha256", hash, sizeof hash);
    (void)sm_obj_int(&o, "serial", 1, INT64_C(1) << 53);
    return !o.err && !strncmp(file, "bundle-", 7) && !strchr(file, '/') && bundle_key_read(SM_SPAN_STR(pub), &key) == 0;
}

int bundles_open(struct watch *w)
{
    struct sm_buf file = SM_BUF_INIT(STATE_MAX);
    int r = plat_fs_mkdir(w->state_dir, folder, 0700), dir;

    w->upload = SM_BUF_INIT(BUNDLE_BYTES_MAX);
    dir = r < 0 && r != -EEXIST ? r : open_folder(w);
    if (dir < 0)
        return dir;
    r = plat_fs_read_file(dir, "state", STATE_MAX, &file);
    close(dir);
    if (r >= 0) {
        json_t *j = NULL;
        r = sm_json_parse(sm_buf_span(&file), STATE_MAX, &j, NULL);
        if (r >= 0 && json_integer_value(json_object_get(j, "format")) == 1 && place_good(json_object_get(j, "current")) &&
            place_good(json_object_get(j, "previous"))) {
            w->bundles = j;
        } else {
            json_decref(j);
            snprintf(w->bundle_fault, sizeof w->bundle_fault, "which bundle is in use cannot be read; the shipped rules are used");
            sm_error("rules: %s", w->bundle_fault);
        }
    }
    sm_buf_wipe(&file);
    if (!w->bundles)
        w->bundles = json_pack("{si sn sn}", "format", 1, "current", "previous");
    if (!w->bundles || r == -ENOMEM)
        return -ENOMEM;
    if (!w->bundle_fault[0])
        sweep(w);
    return 0;
}

void bundles_free(struct watch *w)
{
    json_decref(w->bundles);
    sm_buf_wipe(&w->upload);
}

/* ---- reading ---- */

static int read_place(const struct watch *w, const json_t *p, struct bundle **ret, char *ret_why)
{
    struct sm_buf file = SM_BUF_INIT(BUNDLE_BYTES_MAX);
    uint8_t want[CRYPTO_SHA256_LEN], have[CRYPTO_SHA256_LEN];
    struct bundle_key key;
    int dir = open_folder(w), r = dir < 0 ? dir : plat_fs_read_file(dir, text(p, "file"), BUNDLE_BYTES_MAX, &file);

    if (dir >= 0)
        close(dir);
    if (r < 0) {
        snprintf(ret_why, BUNDLE_WHY_MAX, "the file of the bundle cannot be read: %s", sm_strerror(r));
    } else {
        crypto_sha256(sm_buf_span(&file), have);
        if (sm_unhex(text(p, "sha256"), 2 * sizeof want, want, sizeof want) < 0 || memcmp(have, want, sizeof have) != 0 ||
            bundle_key_read(SM_SPAN_STR(text(p, "key")), &key) < 0) {
            snprintf(ret_why, BUNDLE_WHY_MAX, "the file of the bundle was altered on the disk");
            r = -SM_ECORRUPT;
        }
    }
    if (r >= 0)
        r = bundle_open(sm_buf_span(&file), &key, 1, ret, ret_why);
    sm_buf_wipe(&file);
    return r < 0 ? r : 0;
}

int bundles_current(struct watch *w, struct bundle **ret, char *ret_why)
{
    const json_t *p = place(w, "current");

    *ret = NULL;
    if (!p)
        snprintf(ret_why, BUNDLE_WHY_MAX, "%s", w->bundle_fault); /* `state` could not be read */
    return p ? read_place(w, p, ret, ret_why) : 0;
}

/* ---- what is told ---- */

static void tell_key(void *ctx, const char *name, const struct bundle_key *key)
{
    char pub[BUNDLE_KEY_TEXT];

    bundle_key_text(key, pub);
    (void)json_array_append_new(ctx, json_pack("{ss ss}", "name", name, "key", pub)); /* one less when memory is short, or no text */
}

/* The project's own: beside the shipped rules. */
static size_t project_keys(const struct watch *w, struct bundle_key *ret, size_t max, json_t *list)
{
    struct sm_buf file = SM_BUF_INIT(KEYS_FILE_MAX);
    int dir = plat_fs_open_dir(AT_FDCWD, w->shipped), r = dir < 0 ? dir : plat_fs_read_file(dir, "bundle-keys", KEYS_FILE_MAX, &file);
    size_t n = r < 0 ? 0 : bundle_keys_read(sm_buf_span(&file), ret, max, list ? tell_key : NULL, list);

    if (dir >= 0)
        close(dir);
    sm_buf_wipe(&file);
    return n;
}

static json_t *status(struct watch *w)
{
    struct bundle_key keys[BUNDLE_KEYS_MAX];
    json_t *list = json_array();

    (void)project_keys(w, keys, BUNDLE_KEYS_MAX, list);
    const json_t *current = place(w, "current"), *previous = place(w, "previous");
    return json_pack("{sO? sO? so ss sI sI sI sI}", "current", current, "previous", previous, "keys", list, "fault", w->bundle_fault, "rules",
        (json_int_t)(w->set ? sigma_count(w->set) : 0), "faults", (json_int_t)w->rules.faults_n, "upload", (json_int_t)w->upload.n,
        "can_put_back", (json_int_t)(current || previous));
}

/* ---- changing ---- */

static int write_state(struct watch *w, const json_t *state)
{
    struct sm_buf out = SM_BUF_INIT(STATE_MAX);
    int dir = open_folder(w), r = dir < 0 ? dir : sm_json_dump(state, &out);

    if (r >= 0)
        r = plat_replace(dir, "state", sm_buf_span(&out), 0600);
    if (dir >= 0)
        close(dir);
    sm_buf_wipe(&out);
    return r < 0 ? r : 0;
}

/* The rules of b (NULL: none) are made, then `state` says so, then they are used. */
static int change_to(struct watch *w, const struct bundle *b, json_t *state /* taken */)
{
    struct ruleset fresh;
    int r = state ? rules_make(w, b, &fresh) : -ENOMEM;

    if (r >= 0) {
        r = write_state(w, state);
        if (r < 0)
            ruleset_wipe(&fresh);
    }
    if (r < 0) {
        json_decref(state);
        return r;
    }
    json_decref(w->bundles);
    w->bundles = state;
    w->bundle_fault[0] = 0;
    rules_use(w, &fresh);
    sweep(w);
    return 0;
}

static json_t *place_of(const struct bundle *b, const char *file, const char *sha256, const char *by)
{
    const struct bundle_head *h = bundle_head(b);
    char key[BUNDLE_KEY_TEXT];

    bundle_key_text(bundle_signer(b), key);
    return json_pack("{ss ss ss ss sI ss sI sI ss ss ss sI}", "file", file, "sha256", sha256, "key", key, "name", h->name, "serial",
        (json_int_t)h->serial, "made", h->made, "made_s", (json_int_t)h->made_s, "put_s", (json_int_t)plat_clock_wall().s, "by", by, "licence",
        h->licence, "note", h->note, "files", (json_int_t)bundle_count(b));
}

static int keep_file(struct watch *w, const char *name)
{
    int dir = open_folder(w), r = dir < 0 ? dir : plat_replace(dir, name, sm_buf_span(&w->upload), 0600);

    if (dir >= 0)
        close(dir);
    return r < 0 ? r : 0;
}

/* Older than the one in use, or of its number and another? */
static int not_older(const struct watch *w, const struct bundle *b, const char *sha256, char *ret_why)
{
    uint64_t now = bundles_serial(w), new = bundle_head(b)->serial;

    if (new > now || (new == now && !strcmp(sha256, text(place(w, "current"), "sha256"))))
        return 0;
    snprintf(ret_why, BUNDLE_WHY_MAX, "serial number %" PRIu64 " is %s the one in use (%" PRIu64 ")", new, new < now ? "older than" : "that of", now);
    return -SM_ESTATE;
}

static size_t trusted(const struct watch *w, const json_t *said, struct bundle_key *keys)
{
    size_t n = project_keys(w, keys, BUNDLE_KEYS_MAX / 2, NULL), i;
    const json_t *v;

    json_array_foreach(said, i, v)
        if (n < BUNDLE_KEYS_MAX && json_is_string(v) && bundle_key_read(SM_SPAN_STR(json_string_value(v)), &keys[n]) == 0)
            n++;
    return n;
}

/* {"put": {"keys": […], "older": bool, "by"}}: what was brought becomes the bundle in use. */
static int put(struct watch *w, const json_t *said, char *ret_why)
{
    struct bundle_key keys[BUNDLE_KEYS_MAX];
    uint8_t hash[CRYPTO_SHA256_LEN];
    char sha256[2 * CRYPTO_SHA256_LEN + 1], file[FILE_NAME + 1];
    struct bundle *b = NULL;
    size_t n = trusted(w, json_object_get(said, "keys"), keys);

    if (!w->upload.n || w->upload.n != w->upload_total) {
        snprintf(ret_why, BUNDLE_WHY_MAX, "the file was not brought whole");
        return -SM_EPARTIAL;
    }
    int r = bundle_open(sm_buf_span(&w->upload), keys, n, &b, ret_why);
    crypto_sha256(sm_buf_span(&w->upload), hash);
    sm_hex(hash, sizeof hash, sha256);
    snprintf(file, sizeof file, "bundle-%.32s", sha256);
    if (r >= 0 && !json_is_true(json_object_get(said, "older")))
        r = not_older(w, b, sha256, ret_why);
    bool same = r >= 0 && !strcmp(sha256, text(place(w, "current"), "sha256")) && !w->bundle_fault[0];
    if (r >= 0 && !same)
        r = keep_file(w, file);
    if (r >= 0 && !same) {
        json_t *before = json_object_get(w->bundles, "current");
        r = change_to(w, b, json_pack("{si so sO sI}", "format", 1, "current", place_of(b, file, sha256, text(said, "by")), "previous", before,
            "swapped", (json_int_t)plat_clock_wall().s));
    }
    if (r >= 0) {
        sm_buf_wipe(&w->upload);
        w->upload_total = 0;
    }
    bundle_free(b);
    return r;
}

/* {"back": true}: the one before, or the shipped rules alone. */
static int back(struct watch *w, char *ret_why)
{
    const json_t *p = place(w, "previous");
    struct bundle *b = NULL;

    if (!p && !place(w, "current")) {
        snprintf(ret_why, BUNDLE_WHY_MAX, "there is no bundle to put back");
        return -SM_ESTATE;
    }
    int r = p ? read_place(w, p, &b, ret_why) : 0;
    if (r >= 0)
        r = change_to(w, b, json_pack("{si sO sO sI}", "format", 1, "current", json_object_get(w->bundles, "previous"), "previous",
            json_object_get(w->bundles, "current"), "swapped", (json_int_t)plat_clock_wall().s));
    bundle_free(b);
    return r;
}

/* {"part": {"offset", "total", "data" (Base64)}}: the next piece of a file; offset 0 begins anew. */
static int part(struct watch *w, const json_t *said, char *ret_why)
{
    struct sm_obj o = SM_OBJ(said);
    struct sm_buf bytes = SM_BUF_INIT(PART_MAX);
    size_t offset = (size_t)sm_obj_int(&o, "offset", 0, BUNDLE_BYTES_MAX), total = (size_t)sm_obj_int(&o, "total", 1, BUNDLE_BYTES_MAX);
    const char *data = sm_obj_str(&o, "data", 1, (size_t)PART_MAX * 2);
    int r = o.err ? o.err : sm_unbase64(SM_SPAN_STR(data), &bytes);

    if (o.err)
        snprintf(ret_why, BUNDLE_WHY_MAX, "%s", o.why);
    if (r >= 0 && offset == 0) {
        sm_buf_wipe(&w->upload);
        w->upload = SM_BUF_INIT(BUNDLE_BYTES_MAX);
        w->upload_total = total;
    }
    if (r >= 0 && (offset != w->upload.n || total != w->upload_total || bytes.n > total - offset)) {
        snprintf(ret_why, BUNDLE_WHY_MAX, "the pieces do not follow each other; begin anew");
        r = -SM_EMISMATCH;
    }
    if (r >= 0)
        r = sm_buf_put_span(&w->upload, sm_buf_span(&bytes));
    sm_buf_wipe(&bytes);
    return r;
}

void bundles_on(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = wire_body(ipc, m);
    char why[BUNDLE_WHY_MAX] = "";
    const json_t *v;
    int r = 0;

    if (!in)
        return;
    if ((v = json_object_get(in, "part")) != NULL)
        r = part(w, v, why);
    else if ((v = json_object_get(in, "put")) != NULL)
        r = put(w, v, why);
    else if (json_is_true(json_object_get(in, "back")))
        r = back(w, why);
    wire_answer(ipc, m, r < 0 ? NULL : status(w), r, why);
    json_decref(in);
}
