/* What brain asks the parent for: the opener, copies and their disks, the box's own backup, mail. */
#include <errno.h>
#include <sys/stat.h>
#include "core/log.h"
#include "journal/house.h"
#include "sakimorid/kids.h"

/* ---- the opener ---- */

void opener_answer(struct parent *p, int err)
{
    struct kid *brain = kid_of(p, WHO_BRAIN);

    for (size_t i = 0; i < p->opener_asks_n && brain && brain->ipc; i++) {
        struct sm_ipc_msg to = { .type = P_OPENER, .id = p->opener_asks[i], .fd = -1 };
        /* Should brain be gone meanwhile, nobody waits for the answer. */
        if (err < 0)
            (void)sm_ipc_reply_error(brain->ipc, &to, err, "the opener does not start");
        else
            (void)sm_ipc_reply(brain->ipc, &to, 0, SM_SPAN("{}", 2), -1);
    }
    p->opener_asks_n = 0;
}

void on_opener(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *opener = kid_of(p, WHO_OPENER);
    json_t *j = NULL;
    bool start = msg_json(m->body, 1024, &j, NULL) >= 0 && json_is_true(json_object_get(j, "start"));

    json_decref(j);
    if (!opener || p->stopping || p->opener_asks_n >= OPENER_ASKS_MAX) {
        (void)sm_ipc_reply_error(brain->ipc, m, -SM_ESTATE, "no opener now"); /* gone brain: nobody waits */
        return;
    }
    opener->wanted = start;
    p->opener_asks[p->opener_asks_n++] = m->id;
    if (start && opener->state == KID_OFF)
        kid_start(opener);
    else if (!start && kid_lives(opener))
        kid_send_take(opener, P_STOP, json_object(), -1);
    if (!start || opener->state == KID_UP)
        opener_answer(p, 0);
}

/* ---- copier and courier: for one target at a time ---- */

struct errand *errand_of(struct parent *p, unsigned who)
{
    return who == WHO_COPIER ? &p->copier : who == WHO_COURIER ? &p->courier : who == WHO_SELF ? &p->self : NULL;
}

void errand_answer(struct kid *k, uint64_t *id, int err, const char *why)
{
    struct kid *brain = kid_of(k->p, WHO_BRAIN);
    struct sm_ipc_msg to = { .type = k->row->who == WHO_COPIER ? P_COPIER : k->row->who == WHO_SELF ? P_SELF : P_COURIER, .id = *id, .fd = -1 };

    if (*id && brain && brain->ipc && err < 0)
        (void)sm_ipc_reply_error(brain->ipc, &to, err, why); /* gone brain: nobody waits */
    else if (*id && brain && brain->ipc)
        (void)sm_ipc_reply(brain->ipc, &to, 0, SM_SPAN("{}", 2), -1);
    *id = 0;
}

/* Nobody waits for brain's requests any more. */
void errands_forget(struct parent *p)
{
    p->opener_asks_n = 0;
    p->copier.start = p->copier.stop = p->courier.start = p->courier.stop = p->self.start = p->self.stop = 0;
}

static void errand_begin(struct kid *k, json_t *job /* taken */, uint64_t id)
{
    struct errand *e = errand_of(k->p, k->row->who);

    sm_json_drop_secret(e->job);
    e->job = job;
    e->start = id;
    k->wanted = true;
    kid_start(k);
}

static void errand_stop(struct kid *k, struct sm_ipc *brain, struct sm_ipc_msg *m)
{
    struct errand *e = errand_of(k->p, k->row->who);

    k->wanted = false;
    if (kid_lives(k)) {
        e->stop = m->id;
        kid_send_take(k, P_STOP, json_object(), -1);
    } else if (k->row->who == WHO_COPIER && disks_busy(k->p->disks)) {
        e->stop = m->id; /* answered when its disk is unmounted */
    } else {
        (void)sm_ipc_reply(brain, m, 0, SM_SPAN("{}", 2), -1); /* gone brain: nobody waits */
    }
}

/* Its stop is answered once a disk of it is unmounted. */
static void errand_over(void *arg, int err, const char *path)
{
    struct kid *k = arg;

    (void)err;
    (void)path;
    errand_answer(k, &errand_of(k->p, k->row->who)->stop, 0, NULL);
}

/* The folder of a copy below the place that was chosen, or on a disk that is mounted for it. */
#define COPY_FOLDER "sakimori-copy"

static json_t *copier_job(const char *place)
{
    return json_pack("{ss++}", "path", place, "/", COPY_FOLDER);
}

/* The disk is there, or is not to be had.  Meanwhile brain may have changed its mind, or have gone. */
static void copier_mounted(void *arg, int err, const char *path)
{
    struct kid *k = arg;
    struct errand *e = errand_of(k->p, k->row->who);
    bool wanted = k->wanted && e->start && !k->p->stopping;

    if (err == 0 && wanted) {
        errand_begin(k, copier_job(path), e->start);
        return;
    }
    k->wanted = false;
    errand_answer(k, &e->start, err ? err : -SM_ECANCEL,
        err == -EPERM           ? "this service may not mount disks"
        : err == -SM_ENOTFOUND  ? "nothing was prepared there"
        : err == -SM_ETIME      ? "the disk does not answer"
        : err                   ? sm_strerror(err)
                                : "not wanted any more");
    if (err == 0)
        disks_release(k->p->disks, errand_over, k);
    else
        errand_over(k, 0, NULL);
}

/* A folder: begun here.  A disk: begun once it is mounted. */
static int copier_start(struct kid *k, const json_t *j, uint64_t id, char *ret_why)
{
    const char *disk = json_string_value(json_object_get(j, "disk")), *path = json_string_value(json_object_get(j, "path"));
    char place[4600];
    struct stat st;
    uid_t uid;
    gid_t gid;

    child_user(k->row, &uid, &gid);
    if (disk) {
        int r = disks_take(k->p->disks, disk, uid, gid, COPY_FOLDER, copier_mounted, k);
        k->wanted = r >= 0;
        k->p->copier.start = r < 0 ? 0 : id;
        snprintf(ret_why, 160, "%s", r == -SM_ESTATE ? "the last disk is not unmounted yet" : sm_strerror(r));
        return r;
    }
    if (!path || path[0] != '/' || strlen(path) > 4400) {
        snprintf(ret_why, 160, "no such place");
        return -SM_EINVAL;
    }
    snprintf(place, sizeof place, "%s/" COPY_FOLDER, path);
    if (lstat(place, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(ret_why, 160, "nothing was prepared there");
        return -SM_ENOTFOUND;
    }
    errand_begin(k, copier_job(path), id);
    return 0;
}

void on_copier(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_COPIER);
    char why[160] = "";
    json_t *j = NULL;
    bool start;
    int r = k && !p->stopping ? msg_json(m->body, 8192, &j, why) : -SM_ESTATE;

    start = json_is_true(json_object_get(j, "start"));
    if (r >= 0 && start && (k->state != KID_OFF || p->copier.start || p->copier.stop)) {
        r = -SM_ESTATE;
        snprintf(why, sizeof why, "a copy is under way");
    }
    if (r >= 0 && start)
        r = copier_start(k, j, m->id, why);
    json_decref(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (!start)
        errand_stop(k, brain->ipc, m);
}

/* The courier gets the address of that one copy, with its secrets, and of no other. */
void on_courier(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_COURIER);
    char why[160] = "";
    json_t *j = NULL, *address = NULL;
    int r = k && !p->stopping ? msg_json(m->body, 1024, &j, why) : -SM_ESTATE;
    bool start = json_is_true(json_object_get(j, "start"));
    const char *copy = json_string_value(json_object_get(j, "copy"));

    if (r >= 0 && start && (k->state != KID_OFF || p->courier.start || p->courier.stop)) {
        r = -SM_ESTATE;
        snprintf(why, sizeof why, "a copy is under way");
    }
    if (r >= 0 && start && !(address = copy ? json_object_get(p->g->addresses, copy) : NULL)) {
        r = -SM_ENOTFOUND;
        snprintf(why, sizeof why, "the address and keys of this copy are not there");
    }
    address = r >= 0 && start ? json_deep_copy(address) : NULL;
    json_decref(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (start)
        errand_begin(k, address ? json_pack("{so}", "address", address) : NULL, m->id);
    else
        errand_stop(k, brain->ipc, m);
}

void on_address(struct kid *brain, struct sm_ipc_msg *m)
{
    char why[160] = "";
    json_t *j = NULL;
    int r = msg_json(m->body, 16384, &j, why);

    if (r >= 0)
        r = ground_address(brain->p->g, j, why);
    sm_json_drop_secret(j);
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else
        (void)sm_ipc_reply(brain->ipc, m, 0, SM_SPAN("{}", 2), -1);
}

void on_self(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *k = kid_of(p, WHO_SELF);
    char why[160] = "";
    json_t *j = NULL;
    int r = k && !p->stopping ? msg_json(m->body, 1024, &j, why) : -SM_ESTATE;
    bool start = json_is_true(json_object_get(j, "start"));

    json_decref(j);
    if (r >= 0 && start && (k->state != KID_OFF || p->self.start || p->self.stop))
        r = -SM_ESTATE;
    if (r < 0)
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
    else if (start)
        errand_begin(k, NULL, m->id);
    else
        errand_stop(k, brain->ipc, m);
}

/* The end of copier or courier: a disk can go.  Neither is started again by itself: brain decides. */
void errand_ended(struct kid *k)
{
    struct errand *e = errand_of(k->p, k->row->who);
    char why[sizeof k->fatal + 40];

    k->wanted = false;
    k->fails = 0;
    sm_json_drop_secret(e->job);
    e->job = NULL;
    snprintf(why, sizeof why, "%s%s%s", k->fatal[0] ? k->fatal : "the ", k->fatal[0] ? "" : k->row->name,
        k->fatal[0] ? "" : " does not start");
    errand_answer(k, &e->start, -SM_EPEER, why);
    if (k->row->who == WHO_COPIER)
        disks_release(k->p->disks, errand_over, k);
    else
        errand_over(k, 0, NULL);
}

void on_disks(void *arg)
{
    struct parent *p = arg;
    struct kid *brain = kid_of(p, WHO_BRAIN);

    if (brain && brain->state == KID_UP)
        kid_send_take(brain, P_DISKS, disks_list(p->disks), -1);
}

/* Kept by the parent, known to out. */
static void on_secret(struct kid *brain, struct sm_ipc_msg *m, int (*keep)(struct ground *g, const json_t *said, char *ret_why))
{
    struct parent *p = brain->p;
    struct kid *out = kid_of(p, WHO_OUT);
    char why[160] = "";
    json_t *j = NULL;
    int r = msg_json(m->body, 8192, &j, why);

    if (r >= 0)
        r = keep(p->g, j, why);
    json_decref(j);
    if (r < 0) {
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
        return;
    }
    if (out && out->state == KID_UP)
        kid_send_take(out, P_CONFIG, ground_config(p->g, p->s, WHO_OUT), -1);
    (void)sm_ipc_reply(brain->ipc, m, 0, SM_SPAN("{}", 2), -1);
}

void on_mail(struct kid *brain, struct sm_ipc_msg *m)
{
    on_secret(brain, m, ground_mail);
}

void on_firewall(struct kid *brain, struct sm_ipc_msg *m)
{
    on_secret(brain, m, ground_firewall);
}

/* The store of logs was set: its process begins, hears of the change, or ends. */
void on_house(struct kid *brain, struct sm_ipc_msg *m)
{
    struct parent *p = brain->p;
    struct kid *house = kid_of(p, WHO_HOUSE);
    char why[HOUSE_WHY] = "";
    json_t *j = NULL;
    int r = msg_json(m->body, 8192, &j, why);

    if (r >= 0)
        r = ground_house(p->g, j, why);
    sm_json_drop_secret(j);
    if (r < 0) {
        (void)sm_ipc_reply_error(brain->ipc, m, r, why); /* gone brain: nobody waits */
        return;
    }
    if (house && !p->stopping) {
        house->wanted = ground_house_wanted(p->g);
        if (house->wanted && house->state == KID_OFF)
            kid_start(house);
        else if (kid_lives(house) && house->wanted)
            kid_send_take(house, P_CONFIG, ground_config(p->g, p->s, WHO_HOUSE), -1);
        else if (kid_lives(house))
            kid_send_take(house, P_STOP, json_object(), -1);
    }
    (void)sm_ipc_reply(brain->ipc, m, 0, SM_SPAN("{}", 2), -1);
}
