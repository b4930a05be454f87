/*
 * copier: brings one copy of the vault up to date, or reads all of it again.  Started by the parent for one target and
 * ended after it; sees the vault (reading only) and the target's folder and nothing else, no key, no network, no
 * database.  What a target's disk holds is foreign: it is believed only as far as names, chain and signatures reach.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/init.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimorid/wire.h"
#include "vault/copy/copy.h"
#include "vault/store/store.h"
#include "vault/verify/verify.h"

#define DAMAGED_TOLD 100 /* of one run */
#define PATH_BYTES 4700

struct copier {
    struct child *c;
    char from[PATH_BYTES], folder[PATH_BYTES], to[PATH_BYTES + 16];
    uint8_t copy_id[16], head_pub[32];
    struct copy *copy;
    struct store *store; /* of a verify */
    struct verify *verify;
    struct sm_timer *step;
    struct copy_progress done;
    struct verify_progress checked;
    unsigned told;
    int last_percent;
    bool cancel;
};

static struct copier *copier_of(struct child *c)
{
    return c->state;
}

static void event(struct copier *k, const char *what, json_t *o)
{
    if (!o)
        return;
    json_object_set_new(o, "what", json_string(what));
    wire_hex(o, "copy", k->copy_id, sizeof k->copy_id);
    (void)child_notify_json(k->c, WHO_BRAIN, Y_EVENT, o); /* brain gone: it ends this process when it is back */
    json_decref(o);
}

static void end_work(struct copier *k)
{
    sm_timer_free(k->step);
    k->step = NULL;
    copy_free(k->copy);
    k->copy = NULL;
    verify_free(k->verify);
    k->verify = NULL;
    store_close(k->store);
    k->store = NULL;
}

/* ---- what is told ---- */

static void tell_progress(struct copier *k, const char *phase, uint64_t bytes, uint64_t total)
{
    int percent = total ? (int)(bytes * 100 / total) : 0;
    if (percent == k->last_percent)
        return;
    k->last_percent = percent;
    event(k, "progress", json_pack("{s:s,s:I,s:I}", "phase", phase, "bytes", (json_int_t)bytes, "bytes_total",
        (json_int_t)total));
}

static void tell_damage(struct copier *k, const char *file, const char *why, bool original, bool other_good)
{
    if (k->told++ >= DAMAGED_TOLD)
        return;
    event(k, "damage", json_pack("{s:s,s:s,s:b,s:b}", "file", file, "why", why, "original", original, "copy_is_good",
        other_good));
}

static int on_progress(void *arg, const struct copy_progress *p)
{
    struct copier *k = arg;
    k->done = *p;
    return k->cancel;
}

static void on_damage(void *arg, const struct copy_damage *d)
{
    tell_damage(arg, d->file, d->why, true, d->copy_is_good);
}

static int on_checked(void *arg, const struct verify_progress *p)
{
    struct copier *k = arg;
    k->checked = *p;
    return k->cancel ? -SM_ECANCEL : 0;
}

static void on_unsound(void *arg, const struct verify_damage *d)
{
    tell_damage(arg, d->file, d->why, false, false);
}

/* Where the target lies: what brain's five lamps count by. */
static void put_place(struct copier *k, json_t *o)
{
    struct plat_fs_space space;
    struct stat a, b;
    if (plat_fs_space(AT_FDCWD, k->folder, &space) == 0) {
        wire_int(o, "total_bytes", space.total_bytes);
        wire_int(o, "free_bytes", space.avail_bytes);
    }
    if (stat(k->from, &a) == 0 && stat(k->folder, &b) == 0)
        json_object_set_new(o, "same_disk", json_boolean(a.st_dev == b.st_dev));
}

static void result(struct copier *k, const char *phase, int r, const char *why, json_t *o)
{
    if (!o)
        o = json_object();
    json_object_set_new(o, "phase", json_string(phase));
    json_object_set_new(o, "ok", json_boolean(r == 0));
    if (r < 0) {
        json_object_set_new(o, "error", json_string(sm_errname(r)));
        json_object_set_new(o, "why", json_string(why && *why ? why : sm_strerror(r)));
    }
    put_place(k, o);
    end_work(k);
    event(k, "result", o);
}

/* ---- copying ---- */

static void step_copy(void *arg)
{
    struct copier *k = arg;
    struct copy_result res;
    int r = copy_step(k->copy);
    if (r == 1) {
        tell_progress(k, "copy", k->done.bytes, k->done.bytes_total);
        return;
    }
    copy_result(k->copy, &res);
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:I}", "packs", (json_int_t)res.packs, "pack_bytes",
        (json_int_t)res.pack_bytes, "generations", (json_int_t)res.generations, "copied_packs",
        (json_int_t)res.copied_packs, "copied_bytes", (json_int_t)res.copied_bytes, "healed", (json_int_t)res.healed,
        "damaged", (json_int_t)res.damaged, "journal_mended", res.journal_mended, "seq", (json_int_t)res.head.seq);
    wire_hex(o, "hash", res.head.hash, 32);
    result(k, "copy", r, res.why, o);
}

static int start_copy(struct copier *k, const struct copy_target_ops *target, const struct journal_signed_head *head,
    bool deep, char *why)
{
    struct copy_args a = {.from = k->from, .target = target, .to = k->to, .head = *head, .deep = deep,
        .progress = on_progress, .damage = on_damage, .arg = k};
    memcpy(a.head_pub, k->head_pub, 32);
    int r = plat_fs_mkdir_p(k->to, 0700);
    if (!r)
        r = copy_new(&a, &k->copy, why);
    return r ? r : sm_loop_timer(k->c->loop, 1, 1, step_copy, k, &k->step);
}

/* ---- reading all of it again ---- */

static void step_verify(void *arg)
{
    struct copier *k = arg;
    struct verify_result res = {0};
    int r = verify_step(k->verify);
    if (r == 1) {
        tell_progress(k, "verify", k->checked.bytes, k->checked.bytes_total);
        return;
    }
    verify_result(k->verify, &res);
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:b}", "packs", (json_int_t)res.packs, "bytes", (json_int_t)res.bytes,
        "generations", (json_int_t)res.generations, "damaged", (json_int_t)res.damaged, "hit", (json_int_t)res.hit,
        "sound", !r && res.sound);
    result(k, "verify", r, NULL, o);
}

static int start_verify(struct copier *k, char *why)
{
    struct store_config config = {.dir = k->to, .flags = STORE_READ_ONLY, .limits = STORE_LIMITS_DEFAULT};
    struct verify_hooks hooks = {.progress = on_checked, .damage = on_unsound, .arg = k, .head_pub = k->head_pub};
    memcpy(config.signer.public_key, k->head_pub, 32);
    int r = store_open(&config, &k->store, why);
    if (!r)
        r = verify_new(k->store, VERIFY_DATA, &hooks, &k->verify);
    return r ? r : sm_loop_timer(k->c->loop, 1, 1, step_verify, k, &k->step);
}

/* ---- requests ---- */

/* Prepared for this box, and for this very copy: else a strange disk would be filled. */
static int check_label(struct copier *k, const struct vault_id *vault, char *why)
{
    struct sm_buf b = SM_BUF_INIT(COPY_LABEL_MAX);
    struct copy_label l;
    int dir = plat_fs_open_dir(AT_FDCWD, k->folder);
    int fd = dir < 0 ? dir : plat_fs_open_beneath(dir, COPY_LABEL_FILE, O_RDONLY, 0);
    int r = fd < 0 ? fd : plat_fs_read_file(dir, COPY_LABEL_FILE, COPY_LABEL_MAX, &b);
    if (!r)
        r = copy_label_get(sm_buf_span(&b), &l);
    if (!r)
        r = copy_label_verify(&l, k->head_pub);
    if (!r && (memcmp(l.vault.b, vault->b, 16) != 0 || memcmp(l.copy, k->copy_id, 16) != 0))
        r = -SM_EMISMATCH;
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    if (dir >= 0)
        (void)close(dir);
    sm_buf_wipe(&b);
    if (r)
        (void)snprintf(why, STORE_WHY, "label: %s", r == -SM_EAUTH || r == -SM_EMISMATCH ?
            "prepared for another box or another copy" : sm_strerror(r)); /* fits */
    return r == -ENOENT ? -SM_ENOTFOUND : r;
}

static int take_head(struct sm_obj *o, struct journal_signed_head *ret)
{
    uint8_t bytes[JOURNAL_SIGNED_HEAD_BYTES];
    sm_obj_hex(o, "head", bytes, sizeof bytes);
    return o->err ? o->err : journal_head_get(SM_SPAN(bytes, sizeof bytes), ret);
}

static void on_run(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct copier *k = copier_of(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    char why[COPY_WHY] = "";
    struct journal_signed_head head;
    const char *kind = sm_obj_str(&o, "kind", 1, 16), *what = sm_obj_str(&o, "what", 1, 16);
    sm_obj_hex(&o, "copy", k->copy_id, 16);
    sm_obj_hex(&o, "head_pub", k->head_pub, 32);
    const struct copy_target_ops *target = copy_target_find(kind);
    int r = take_head(&o, &head);
    if (!r)
        r = k->step ? -SM_ESTATE : !target ? -SM_EUNSUPPORTED : check_label(k, (struct vault_id *)head.vault, why);
    k->cancel = false;
    k->told = 0;
    k->last_percent = -1;
    k->done = (struct copy_progress){0};
    k->checked = (struct verify_progress){0};
    if (!r)
        r = strcmp(what, "verify") == 0 ? start_verify(k, why) : start_copy(k, target, &head, strcmp(what, "deep") == 0,
            why);
    if (r && r != -SM_ESTATE)
        end_work(k);
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.err ? o.why : why);
    json_decref(in);
}

static void on_cancel(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    copier_of(c)->cancel = true;
    wire_answer(ipc, m, json_object(), 0, NULL);
}

/* ---- life ---- */

static int copier_start(struct child *c)
{
    struct copier *k = copier_of(c);
    const char *path = json_string_value(json_object_get(json_object_get(c->config, "job"), "path"));
    if (!path)
        return -SM_EINVAL;
    /* It may read past the owner's rights; only Landlock keeps that to the vault. */
    if (c->confined.uid && !c->confined.landlock) {
        child_fatal(c, "this kernel has no Landlock: copies are not made");
        return -SM_EUNSUPPORTED;
    }
    int n = snprintf(k->from, sizeof k->from, "%s/vault", c->data);
    int i = snprintf(k->folder, sizeof k->folder, "%s", path);
    if (n < 0 || (size_t)n >= sizeof k->from || i < 0 || (size_t)i >= sizeof k->folder)
        return -SM_ELIMIT;
    (void)snprintf(k->to, sizeof k->to, "%s/" COPY_VAULT, k->folder); /* fits */
    plat_proc_background();
    return crypto_init();
}

static void copier_end(struct child *c)
{
    end_work(copier_of(c));
}

static const struct child_handler handlers[] = {
    {WHO_BRAIN, Y_RUN, on_run},
    {WHO_BRAIN, Y_CANCEL, on_cancel},
};

int copier_main(struct child *c)
{
    struct copier k = {.c = c};
    const struct child_spec spec = {.handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = copier_start,
        .end = copier_end};
    c->state = &k;
    return child_run(c, &spec);
}
