/* The courier's kind "s3". */
#include <errno.h>
#include "sakimorid/courier/courier.h"
#include "sakimorid/wire.h"
#include "vault/copy/s3.h"

static int open_s3(const struct courier_job *job, void **ret, char ret_why[COURIER_WHY])
{
    struct s3_conf conf;
    char why[S3_WHY] = "";
    int r = s3_conf_get(job->address, &conf, why);
    if (!r && job->lock_days > conf.lock_days)
        conf.lock_days = (int)job->lock_days;
    struct s3_args a = { .conf = &conf, .vault = job->vault, .label = job->label, .seal = job->seal, .arg = job->arg,
        .cancel = job->cancel };
    memcpy(a.copy, job->copy, 16);
    memcpy(a.head_pub, job->head_pub, 32);
    if (!r)
        r = s3_open(&a, ret, why);
    s3_conf_wipe(&conf);
    (void)snprintf(ret_why, COURIER_WHY, "%s", why); /* shorter */
    return r;
}

static const char *reason(void *t)
{
    return t ? s3_reason(t) : "";
}

static const char *why(void *t)
{
    return t ? s3_why(t) : "";
}

struct reading { struct s3_check check; const struct courier_job *job; };

static void on_damage(void *arg, const char *name, const char *what)
{
    const struct reading *g = arg;
    g->job->damage(g->job->arg, name, what);
}

static int verify(void *t, const struct courier_job *job, void **state)
{
    struct reading *g = *state;
    if (!job) {
        free(g);
        *state = NULL;
        return 0;
    }
    if (!g) {
        g = calloc(1, sizeof *g);
        if (!g)
            return -ENOMEM;
        g->job = job;
        g->check = (struct s3_check){ .read_max = (uint64_t)job->read_bytes, .damage = on_damage, .arg = g };
        *state = g;
    }
    int r = s3_check_step(t, &g->check);
    struct s3_facts f;
    s3_facts(t, &f);
    job->progress(job->arg, g->check.at, f.objects);
    return r;
}

static void verified(void *state, json_t *out)
{
    const struct reading *g = state;
    wire_int(out, "objects", g->check.objects);
    wire_int(out, "bytes", g->check.bytes);
    wire_int(out, "locks", g->check.locks);
    wire_int(out, "damaged", g->check.damaged);
    json_object_set_new(out, "sound", json_boolean(g->check.damaged == 0));
}

static void facts(void *t, json_t *out)
{
    struct s3_facts f;
    s3_facts(t, &f);
    wire_int(out, "stored_objects", f.objects);
    wire_int(out, "stored_bytes", f.bytes);
    wire_int(out, "renewed", f.renewed);
    wire_int(out, "locked_until_s", f.locked_until_s > 0 ? (uint64_t)f.locked_until_s : 0);
}

const struct courier_kind courier_s3 = { .name = "s3", .ops = &copy_s3, .open = open_s3, .reason = reason, .why = why,
    .verify = verify, .verified = verified, .facts = facts };
