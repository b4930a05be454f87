/* The courier's kind "box": the copy at another box.  The first run is let in by the code, and tells brain what it
 * got. */
#include <errno.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/courier/courier.h"
#include "sakimorid/wire.h"
#include "vault/copy/box.h"
#include "vault/copy/check.h"

/* Of being let in, when there is no target yet to ask; the courier has one working thread. */
static const char *join_reason = "";
/* What being let in gave: a later run of this process has the address as it was before. */
static struct sm_buf joined_cert = SM_BUF_INIT(16384), joined_ca = SM_BUF_INIT(16384);

static const char *text(const json_t *address, const char *key)
{
    const char *s = json_string_value(json_object_get(address, key));
    return s ? s : "";
}

/* With the code: a certificate, and the CA that the code pins. */
static int join(const struct courier_job *job, char why[BOX_WHY])
{
    const json_t *a = job->address;
    struct box_join j = { .url = text(a, "url"), .key = text(a, "key"), .vault = text(a, "vault"),
        .head_pub = text(a, "head_pub"), .label = job->label, .institution = text(a, "institution"),
        .cancel = job->cancel };
    const char *secret = text(a, "secret"), *pin = text(a, "pin");
    if (sm_unhex(secret, strlen(secret), j.secret, BOX_SECRET_LEN) || sm_unhex(pin, strlen(pin), j.pin, BOX_PIN_LEN))
        return -SM_EDENIED;
    sm_buf_clear(&joined_ca);
    int r = box_join(&j, &joined_cert, &joined_ca, why);
    sm_zero(j.secret, sizeof j.secret);
    if (!r)
        job->tell(job->arg, "joined", json_pack("{s:s,s:s}", "cert", sm_buf_str(&joined_cert), "ca",
            sm_buf_str(&joined_ca)));
    return r;
}

/* In time, while the present one still opens the door.  That it did not work is no error of this run: the next one tries. */
static void renew(const struct courier_job *job, const struct box_args *args)
{
    struct sm_buf cert = SM_BUF_INIT(16384);
    char why[BOX_WHY] = "";
    if (box_renew_due(args->cert, plat_clock_wall().s) <= 0) {
        int r = box_renew(args, &cert, why);
        if (!r)
            job->tell(job->arg, "joined", json_pack("{s:s,s:s}", "cert", sm_buf_str(&cert), "ca", args->ca));
        else
            sm_warn("the certificate at the other box was not renewed: %s", *why ? why : sm_strerror(r));
    }
    sm_buf_wipe(&cert);
}

static int open_box(const struct courier_job *job, void **ret, char ret_why[COURIER_WHY])
{
    char why[BOX_WHY] = "";
    const json_t *a = job->address;
    bool known = *text(a, "cert");
    int r = known || joined_cert.n ? 0 : join(job, why);
    /* SM_EDENIED alone would say that the records do not fit. */
    bool code = r == -SM_EDENIED || r == -SM_EEXISTS;
    join_reason = code ? "code" : r == -SM_EAUTH ? "tls" : r == -SM_EPEER || r == -SM_ETIME ? "network" : "";
    r = code ? -EACCES : r;
    const json_int_t rate = json_integer_value(json_object_get(a, "rate_bytes"));
    const struct box_args args = { .url = text(a, "url"), .ca = r || known ? text(a, "ca") : sm_buf_str(&joined_ca),
        .cert = r || known ? text(a, "cert") : sm_buf_str(&joined_cert), .key = text(a, "key"), .cancel = job->cancel,
        .rate_bytes = rate > 0 ? (uint64_t)rate : 0 };
    if (!r)
        r = box_open(&args, ret, why);
    if (!r && known)
        renew(job, &args);
    (void)snprintf(ret_why, COURIER_WHY, "%s", why); /* shorter */
    return r;
}

static const char *reason(void *t)
{
    return t ? box_reason(t) : join_reason;
}

static const char *why(void *t)
{
    return t ? box_why(t) : "";
}

struct reading { struct copy_check *check; const struct courier_job *job; };

static void on_damage(void *arg, const char *name, const char *what)
{
    const struct reading *g = arg;
    g->job->damage(g->job->arg, name, what);
}

static int verify_begin(void *t, const struct courier_job *job, struct reading **ret)
{
    struct reading *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->job = job;
    *ret = g;
    struct copy_check_args a = { .ops = &copy_box, .target = t, .vault = job->vault,
        .read_max = (uint64_t)job->read_bytes,
        .damage = on_damage, .arg = g };
    memcpy(a.head_pub, job->head_pub, 32);
    int r = copy_check_new(&a, &g->check);
    return r ? r : box_check(t); /* what it finds by itself is told at the next run */
}

static int verify(void *t, const struct courier_job *job, void **state)
{
    struct reading *g = *state;
    struct copy_checked done;
    if (!job) {
        if (g)
            copy_check_free(g->check);
        free(g);
        *state = NULL;
        return 0;
    }
    int r = g ? 0 : verify_begin(t, job, &g);
    *state = g;
    if (!r)
        r = copy_check_step(g->check);
    if (g && g->check) {
        copy_checked(g->check, &done);
        job->progress(job->arg, done.done, done.total);
    }
    return r;
}

static void verified(void *state, json_t *out)
{
    const struct reading *g = state;
    struct copy_checked done = { 0 };
    if (g->check)
        copy_checked(g->check, &done);
    wire_int(out, "packs", done.packs);
    wire_int(out, "generations", done.generations);
    wire_int(out, "objects", done.files_read);
    wire_int(out, "bytes", done.bytes_read);
    wire_int(out, "damaged", done.damaged);
    json_object_set_new(out, "sound", json_boolean(done.damaged == 0));
}

static void facts(void *t, json_t *out)
{
    struct box_facts f;
    box_facts(t, &f);
    wire_int(out, "stored_bytes", f.used);
    wire_int(out, "total_bytes", f.quota);
    wire_int(out, "free_bytes", f.quota > f.used ? f.quota - f.used : 0);
}

const struct courier_kind courier_box = { .name = "box", .ops = &copy_box, .open = open_box, .reason = reason,
    .why = why,
    .verify = verify, .verified = verified, .facts = facts };
