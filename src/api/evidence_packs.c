/*
 * Evidence packs of machines: signed by the device, sent in pieces, kept as files of DATA/state/evidence, read by the director and the
 * manager alone, removed after a while.  What is in them (PROTOCOL-agent.md, "Evidence") names people: THREATS says what.
 */
#include "api/device_actions.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "plat/fs.h"

#define BYTES_MAX ((int64_t)200 << 20)
#define KEPT_MAX 20
#define ALL_MAX ((int64_t)2 << 30)
#define KEPT_S (INT64_C(90) * 86400)
#define CUT_S (INT64_C(7) * 86400) /* one that never became whole */
#define PIECE ((size_t)4 << 20)
#define STATEMENT_MAX ((size_t)60 << 10)
#define FOLDER "evidence"

/* ---- files ---- */

static int folder(struct api *a)
{
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/state/" FOLDER, a->data);
    if (n < 0 || (size_t)n >= sizeof path)
        return -SM_ELIMIT;
    int r = plat_fs_mkdir_p(path, 0700);
    return r < 0 ? r : plat_fs_open_dir(AT_FDCWD, path);
}

static void name_of(const char *id, bool whole, char ret[80])
{
    (void)snprintf(ret, 80, "%.64s%s", id, whole ? "" : ".part"); /* fits */
}

static void remove_files(struct api *a, const char *id)
{
    char name[80];
    int dir = folder(a);
    for (int i = 0; i < 2 && dir >= 0; i++) {
        name_of(id, i, name);
        (void)!plat_fs_unlink(dir, name); /* one of the two is there; what stays is removed by the next round */
    }
    if (dir >= 0)
        (void)close(dir);
}

static int64_t have(int dir, const char *id)
{
    char name[80];
    uint64_t size = 0;
    name_of(id, false, name);
    int fd = plat_fs_open_read(dir, name);
    int r = fd < 0 ? fd : plat_fs_size(fd, &size);
    if (fd >= 0)
        (void)close(fd);
    return r < 0 ? 0 : (int64_t)size;
}

static void drop(struct api *a, const char *id)
{
    remove_files(a, id);
    (void)!state_do(a->state, STATE_evidence_gone, STATE_ARGS(state_i(api_now()), state_t(id))); /* again in the next round */
}

void evidence_packs_daily(struct api *a)
{
    json_t *rows = api_rows(a, STATE_evidence_all, STATE_NONE), *row;
    int64_t now = api_now(), bytes = 0;
    size_t i, n = 0;
    json_array_foreach(rows, i, row) { /* newest first */
        bool whole = api_bool(row, "whole");
        bytes += api_int(row, "bytes", 0);
        n++;
        if (now - api_int(row, "made_s", 0) > (whole ? KEPT_S : CUT_S) || n > KEPT_MAX || bytes > ALL_MAX)
            drop(a, api_str(row, "id"));
    }
    json_decref(rows);
}

/* ---- from the machine ---- */

/* What was ordered, to this machine, and is not over. */
static bool ordered(struct api_call *c, char ret_action[API_ID_TEXT])
{
    json_t *order = api_row(c->api, STATE_order, STATE_ARGS(state_t(c->part[0])));
    json_t *action = order ? api_row(c->api, STATE_device_action, STATE_ARGS(state_t(api_str(order, "ref")))) : NULL;
    bool good = action && !strcmp(api_str(order, "device"), c->who.device) && !strcmp(api_str(action, "action"), "evidence");
    (void)snprintf(ret_action, API_ID_TEXT, "%.32s", api_str(action, "id"));
    json_decref(order);
    json_decref(action);
    return good;
}

static const char *statement_bad(struct api_call *c, const char *text, const char *sig_hex, json_t **ret)
{
    uint8_t pub[32], sig[64];
    json_t *o = NULL;
    json_t *device = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->who.device)));
    bool signed_by_it = device && !sm_unhex(api_str(device, "sign_pub"), 64, pub, 32) && !sm_unhex(sig_hex, 128, sig, 64) &&
                        !crypto_sign_text_verify(pub, "sakimori/v1/evidence", SM_SPAN_STR(text), sig);
    json_decref(device);
    if (!signed_by_it)
        return "sig";
    if (sm_json_parse(SM_SPAN_STR(text), STATEMENT_MAX, &o, NULL) < 0)
        return "statement";
    struct sm_obj f = SM_OBJ(o);
    const char *id = sm_obj_str(&f, "id", 8, 64), *dev = sm_obj_str(&f, "device", 1, 64), *sha = sm_obj_str(&f, "sha256", 64, 64);
    (void)sm_obj_int(&f, "bytes", 1, BYTES_MAX);
    (void)sm_obj_int(&f, "v", 1, 1);
    (void)sm_obj_arr(&f, "files", 400);
    if (f.err || strcmp(id, c->part[0]) != 0 || strcmp(dev, c->who.device) != 0 || !api_is_hex(sha, 64)) {
        json_decref(o);
        return "statement";
    }
    *ret = o;
    return NULL;
}

void h_evidence_begin(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *text = sm_obj_str(&o, "statement", 2, STATEMENT_MAX), *sig = sm_obj_str(&o, "sig", 128, 128);
    json_t *statement = NULL;
    char action[API_ID_TEXT];
    if (api_refused(c, &o))
        return;
    const char *bad = ordered(c, action) ? statement_bad(c, text, sig, &statement) : "id";
    if (bad) {
        api_fail(c, !strcmp(bad, "sig") ? 403 : !strcmp(bad, "id") ? 404 : 400, !strcmp(bad, "sig") ? "denied" : !strcmp(bad, "id") ? "not_found" : "bad_request",
            bad, NULL);
        return;
    }
    api_audit_what(c, "%s %" PRId64, c->part[0], api_int(statement, "bytes", 0));
    json_t *facts = json_pack("{s:s,s:s}", "statement", text, "sig", sig), *row = NULL;
    int r = state_do(c->api->state, STATE_evidence_add,
        STATE_ARGS(state_t(c->part[0]), state_t(c->who.device), state_t(action), state_i(api_now()), state_i(api_int(statement, "bytes", 0)),
            state_t(api_str(statement, "sha256")), state_j(facts)));
    int dir = r < 0 ? r : folder(c->api);
    if (r >= 0)
        row = api_row(c->api, STATE_evidence, STATE_ARGS(state_t(c->part[0])));
    if (r < 0 || dir < 0)
        api_fail_err(c, r < 0 ? r : dir, NULL);
    else
        api_reply(c, 200, json_pack("{s:I,s:b}", "have", (json_int_t)have(dir, c->part[0]), "done", row && api_bool(row, "whole")));
    if (dir >= 0)
        (void)close(dir);
    json_decref(facts);
    json_decref(row);
    json_decref(statement);
}

/* The whole of it against what was stated, in the worker. */
struct check { struct api_call *c; char path[4300], part[4300], sha[65], id[65]; int64_t bytes; int err; };

static int check_file(const struct check *k)
{
    struct crypto_sha256_ctx *h;
    uint8_t sum[32], *piece = malloc(1 << 18);
    char hex[65];
    int fd = plat_fs_open_read(AT_FDCWD, k->part), r = fd < 0 ? fd : !piece ? -ENOMEM : crypto_sha256_new(&h);
    if (!r) {
        ssize_t n;
        while ((n = plat_fs_read(fd, piece, 1 << 18)) > 0)
            crypto_sha256_put(h, SM_SPAN(piece, (size_t)n));
        crypto_sha256_final(h, sum);
        crypto_sha256_free(h);
        sm_hex(sum, 32, hex);
        r = n < 0 ? (int)n : strcmp(hex, k->sha) != 0 ? -SM_ECORRUPT : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    free(piece);
    return r ? r : plat_fs_rename(AT_FDCWD, k->part, AT_FDCWD, k->path, true);
}

static void check_work(void *ctx)
{
    struct check *k = ctx;
    k->err = check_file(k);
}

static void checked(struct api_call *c, void *ctx)
{
    struct check *k = ctx;
    if (c && k->err == -SM_ECORRUPT) {
        drop(c->api, k->id);
        api_fail(c, 422, "bad_request", "sha256", NULL);
    } else if (c && k->err) {
        api_fail_err(c, k->err, NULL);
    } else if (c) {
        if (api_do(c, STATE_evidence_done, STATE_ARGS(state_i(api_now()), state_t(k->id)))) {
            api_event(c->api, "action", k->id, json_pack("{s:s,s:s}", "device", c->who.device, "state", "evidence"));
            evidence_packs_daily(c->api);
            api_reply(c, 200, json_pack("{s:I,s:b}", "have", (json_int_t)k->bytes, "done", 1));
        }
    }
    free(k);
}

static void whole(struct api_call *c, const json_t *row)
{
    struct check *k = calloc(1, sizeof *k);
    if (!k) {
        api_fail_err(c, -ENOMEM, NULL);
        return;
    }
    k->bytes = api_int(row, "bytes", 0);
    (void)snprintf(k->sha, sizeof k->sha, "%s", api_str(row, "sha256"));
    (void)snprintf(k->id, sizeof k->id, "%.64s", c->part[0]);
    (void)snprintf(k->path, sizeof k->path, "%.4200s/state/" FOLDER "/%.64s", c->api->data, c->part[0]);
    (void)snprintf(k->part, sizeof k->part, "%.4200s/state/" FOLDER "/%.64s.part", c->api->data, c->part[0]);
    api_work(c, check_work, k, checked);
}

static int append(int dir, const char *id, struct sm_span s, int64_t at)
{
    char name[80];
    name_of(id, false, name);
    int fd = plat_fs_create(dir, name, 0, 0600);
    int r = fd < 0 ? fd : plat_fs_pwrite_all(fd, s, (uint64_t)at);
    if (!r)
        r = plat_fs_datasync(fd);
    if (fd >= 0 && close(fd) < 0 && !r)
        r = -errno;
    return r;
}

/* u64 offset ‖ bytes.  Always answered with how much there is: the machine goes on from there. */
void h_evidence_put(struct api_call *c)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&c->raw));
    uint64_t at = sm_rd_u64(&rd);
    json_t *row = api_row(c->api, STATE_evidence, STATE_ARGS(state_t(c->part[0])));
    int64_t size = api_int(row, "bytes", 0);
    if (rd.err || !row || strcmp(api_str(row, "device"), c->who.device) != 0 || api_bool(row, "whole")) {
        api_fail(c, rd.err ? 400 : 404, rd.err ? "bad_request" : "not_found", NULL, NULL);
        json_decref(row);
        return;
    }
    int dir = folder(c->api), r = dir < 0 ? dir : 0;
    int64_t there = r ? 0 : have(dir, c->part[0]);
    bool fits = at == (uint64_t)there && (int64_t)rd.n <= size - there;
    if (!r && fits)
        r = append(dir, c->part[0], SM_SPAN(rd.p, rd.n), there);
    there = r ? 0 : have(dir, c->part[0]);
    if (dir >= 0)
        (void)close(dir);
    if (r)
        api_fail_err(c, r, NULL);
    else if (there == size)
        whole(c, row);
    else
        api_reply(c, 200, json_pack("{s:I}", "have", (json_int_t)there));
    json_decref(row);
}

/* ---- for people ---- */

static json_t *pack_json(const json_t *row, bool all)
{
    static const char *const same[] = {"id", "device", "device_name", "action", "at", "bytes", "sha256"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        api_set(o, same[i], json_incref(json_object_get(row, same[i])));
    api_set(o, "until", api_time(api_int(row, "made_s", 0) + KEPT_S));
    if (all)
        api_set(o, "signed", json_incref(json_object_get(row, "facts")));
    return o;
}

/* ?device=ID */
void h_evidence_packs(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *rows = api_rows(c->api, STATE_evidence_list, STATE_ARGS(state_t(api_str(c->query, "device")), state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) api_append(items, pack_json(row, false));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

static json_t *of_call(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_evidence, STATE_ARGS(state_t(c->part[0])));
    if (row && api_bool(row, "whole"))
        return row;
    json_decref(row);
    api_fail(c, 404, "not_found", NULL, NULL);
    return NULL;
}

void h_evidence_pack(struct api_call *c)
{
    json_t *row = of_call(c);
    if (row)
        api_reply(c, 200, pack_json(row, true));
    json_decref(row);
}

/* ?offset=N: at most 4 MiB from there.  The audit log has its beginning. */
void h_evidence_file(struct api_call *c)
{
    json_t *row = of_call(c);
    if (!row)
        return;
    const char *offset = api_str(c->query, "offset");
    char *end = NULL, name[80];
    long long at = *offset ? strtoll(offset, &end, 10) : 0;
    int64_t size = api_int(row, "bytes", 0);
    struct sm_buf b = SM_BUF_INIT(PIECE);
    if ((end && *end) || at < 0 || at > size) {
        json_decref(row);
        api_fail(c, 400, "bad_request", "offset", NULL);
        return;
    }
    c->audit_not = at > 0;
    api_audit_what(c, "%s of %s", c->part[0], api_str(row, "device"));
    name_of(c->part[0], true, name);
    size_t n = size - at < (int64_t)PIECE ? (size_t)(size - at) : PIECE;
    int dir = folder(c->api), fd = dir < 0 ? dir : plat_fs_open_read(dir, name), r = fd < 0 ? fd : sm_buf_reserve(&b, n ? n : 1);
    if (!r)
        r = plat_fs_pread_all(fd, b.p, n, (uint64_t)at);
    if (fd >= 0)
        (void)close(fd);
    if (dir >= 0)
        (void)close(dir);
    char whole_size[32];
    (void)snprintf(whole_size, sizeof whole_size, "%" PRId64, size); /* fits */
    if (r)
        api_fail_err(c, r, NULL);
    else
        api_reply_raw(c, 200, SM_SPAN(b.p, n), json_pack("{s:s,s:s}", "Content-Type", "application/octet-stream", "X-Sakimori-Length", whole_size), NULL);
    sm_buf_wipe(&b);
    json_decref(row);
}

void h_evidence_delete(struct api_call *c)
{
    json_t *row = of_call(c);
    if (!row)
        return;
    api_audit_what(c, "%s of %s", c->part[0], api_str(row, "device"));
    drop(c->api, c->part[0]);
    json_decref(row);
    api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}
