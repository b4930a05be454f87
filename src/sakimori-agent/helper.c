/* What prepare and hook have in common, and how backup asks for them. */
#include "sakimori-agent/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"

#define BEGIN_MS 15000
#define ATTACH_MS ((uint64_t)120000) /* the one before may have to clean up */
#define TURN_MS 100
#define HOOK_GRACE_MS 15000

static bool text_ok(const char *s, size_t size)
{
    size_t n = strnlen(s, size);
    return n < size && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

int helper_work_get(struct sm_span body, struct helper_work *ret)
{
    struct helper_work w;
    if (body.n != sizeof w)
        return -SM_EPROTO;
    memcpy(&w, body.p, sizeof w);
    if (!text_ok(w.kind, sizeof w.kind) || !text_ok(w.name, sizeof w.name) || !text_ok(w.source, sizeof w.source) ||
        !text_ok(w.run, sizeof w.run) || !text_ok(w.status, sizeof w.status) || strlen(w.source) != 32 || !w.name[0])
        return -SM_EPROTO;
    *ret = w;
    return 0;
}

static const struct sm_ipc_rule from_up[] = {{A_ATTACH, 256, true, "A_ATTACH"},
    {A_HELP, sizeof(struct helper_work), false, "A_HELP"}, {A_STOP, 16, false, "A_STOP"}};

int helper_begin(struct helper_work *ret_work, struct sm_ipc **ret_up, int *ret_fd)
{
    const struct sm_ipc_config config = {
        .may_receive = from_up, .may_receive_n = 3, .body_max = 4096, .queue_max = 65536};
    struct sm_ipc *up = NULL;
    struct sm_ipc_msg m;
    struct helper_work work;
    bool have = false;
    int fd = -1, r = sm_ipc_new(NULL, 3, &config, &up);
    while (!r && (!have || fd < 0)) {
        r = sm_ipc_recv(up, BEGIN_MS, &m);
        if (!r && m.type == A_STOP)
            r = -SM_ECANCEL;
        if (!r && m.type == A_ATTACH && fd < 0)
            fd = m.fd;
        if (!r && m.type == A_HELP) {
            r = helper_work_get(m.body, &work);
            have = !r;
        }
    }
    if (r) {
        if (fd >= 0)
            close(fd);
        sm_ipc_free(up);
        return r;
    }
    *ret_work = work;
    *ret_up = up;
    *ret_fd = fd;
    return 0;
}

struct clearing {
    int dir, err;
};

static int clear_one(void *arg, struct sm_span name, unsigned char type)
{
    struct clearing *c = arg;
    (void)type;
    int r = plat_fs_remove_tree(c->dir, (const char *)name.p);
    if (r && r != -ENOENT)
        c->err = r;
    return 0;
}

int staging_clear(const char *data, const char *source)
{
    char path[AGENT_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/staging", data);
    struct clearing c = {.dir = plat_fs_open_dir(AT_FDCWD, path)};
    if (c.dir < 0)
        return c.dir == -ENOENT ? 0 : c.dir;
    int r = 0;
    if (source) {
        r = plat_fs_remove_tree(c.dir, source);
        r = r == -ENOENT ? 0 : r;
    } else {
        int list = plat_fs_open_dir(AT_FDCWD, path); /* its own position */
        r = list < 0 ? list : plat_fs_list(list, clear_one, &c);
        if (list >= 0)
            close(list);
        if (!r)
            r = c.err;
    }
    close(c.dir);
    return r;
}

/* ---- backup's side ---- */

static const struct sm_ipc_rule from_helper[] = {
    {W_PROBLEM, 8192, false, "W_PROBLEM"}, {W_NOW, 8192, false, "W_NOW"}, {W_READY, 16384, false, "W_READY"}};

void assist_take(struct assist *a, int fd)
{
    const struct sm_ipc_config c = {
        .may_receive = from_helper, .may_receive_n = 3, .body_max = SM_IPC_BODY_MAX, .queue_max = SM_IPC_BODY_MAX};
    assist_end(a);
    if (sm_ipc_new(NULL, fd, &c, &a->ipc))
        sm_error("the channel to a helper could not be made");
}

void assist_end(struct assist *a)
{
    sm_ipc_free(a->ipc);
    a->ipc = NULL;
}

static int begin(struct assist *a, const struct helper_work *work)
{
    uint64_t until = plat_clock_mono_ms() + ATTACH_MS;
    assist_end(a);
    int r = sm_ipc_send(a->up, A_HELP, SM_SPAN(work, sizeof *work), -1);
    while (!r && !a->ipc) {
        if (plat_clock_mono_ms() > until)
            r = -SM_EPEER;
        else
            a->pump(a->arg, TURN_MS);
    }
    return r;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void take_word(struct assist *a, const struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    if (sm_json_parse(m->body, 16384, &o, NULL))
        return;
    if (m->type == W_PROBLEM)
        a->problem(a->arg, text_of(o, "path"), text_of(o, "error"), text_of(o, "what"));
    else
        a->now(a->arg, text_of(o, "now"), (uint64_t)json_integer_value(json_object_get(o, "bytes")));
}

/* Words of the helper until the last one; its error is returned. */
static int until_ready(struct assist *a, bool until_end, uint64_t until_ms, json_t **ret)
{
    struct sm_ipc_msg m;
    for (;;) {
        int r = a->ipc ? sm_ipc_recv(a->ipc, 0, &m) : -SM_EPEER;
        if (r == -SM_ETIME) {
            if (!until_end && a->stopped(a->arg))
                return -SM_ECANCEL;
            if (plat_clock_mono_ms() > until_ms)
                return -SM_ETIME;
            a->pump(a->arg, TURN_MS);
            continue;
        }
        if (r)
            return r;
        if (m.type != W_READY) {
            take_word(a, &m);
            continue;
        }
        return sm_json_parse(m.body, 16384, ret, NULL);
    }
}

void assist_words(struct assist *a)
{
    struct sm_ipc_msg m;
    while (a->ipc && sm_ipc_recv(a->ipc, 0, &m) == 0)
        if (m.type != W_READY)
            take_word(a, &m);
}

static int told(struct assist *a, const char *path, int r, const char *what)
{
    if (r && r != -SM_ECANCEL)
        a->problem(a->arg, path, sm_strerror(r), what);
    return r;
}

int assist_prepare(struct assist *a, const struct helper_work *work, const json_t *source, struct assist_ready *ret)
{
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    sm_cleanup(sm_json_free) json_t *o = NULL;
    struct assist_ready ready = {.partial = false};
    int r = begin(a, work);
    if (!r)
        r = sm_json_dump(source, &b);
    if (!r)
        r = sm_ipc_send(a->ipc, W_SOURCE, sm_buf_span(&b), -1);
    sm_buf_wipe(&b);
    if (!r)
        r = until_ready(a, false, plat_clock_mono_ms() + (uint64_t)work->limit_s * 1000 + 600000, &o);
    if (r)
        return told(a, work->kind, r, "the part that reads databases");
    struct sm_obj f = SM_OBJ(o);
    int64_t err = sm_obj_int(&f, "err", -1000000, 0);
    snprintf(ready.folder, sizeof ready.folder, "%s", sm_obj_str(&f, "folder", 0, sizeof ready.folder - 1));
    snprintf(ready.root, sizeof ready.root, "%s", sm_obj_str(&f, "root", 0, sizeof ready.root - 1));
    ready.partial = sm_obj_bool(&f, "partial", false);
    ready.served = sm_obj_bool(&f, "served", false);
    if (f.err)
        return told(a, work->kind, f.err, "the part that reads databases");
    if (err)
        return (int)err; /* its problems came before */
    *ret = ready;
    return 0;
}

int assist_proof(struct assist *a, const struct helper_work *work, json_t **ret)
{
    json_t *o = NULL;
    int r = begin(a, work);
    if (!r)
        r = until_ready(a, false, plat_clock_mono_ms() + (uint64_t)work->limit_s * 1000 + 600000, &o);
    assist_end(a);
    if (!r)
        *ret = o;
    return r;
}

int assist_hook(struct assist *a, const struct helper_work *work)
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    char path[64], what[HOOK_SAID_MAX + 64];
    struct sm_ipc *prepare = a->ipc; /* its files are there as long as this is: what it made is read after the hook */
    a->ipc = NULL;
    int r = begin(a, work);
    snprintf(path, sizeof path, "hooks/%s", work->name);
    if (!r)
        r = until_ready(a, true, plat_clock_mono_ms() + (uint64_t)work->limit_s * 1000 + HOOK_GRACE_MS, &o);
    assist_end(a);
    a->ipc = prepare;
    if (r)
        return told(a, path, r, work->kind);
    struct sm_obj f = SM_OBJ(o);
    bool good = sm_obj_bool(&f, "good", false);
    const char *said = sm_obj_str(&f, "said", 0, HOOK_SAID_MAX), *end = sm_obj_str(&f, "end", 0, 200);
    if (f.err)
        return told(a, path, f.err, work->kind);
    snprintf(what, sizeof what, "%s%s%s", work->kind, said[0] ? ": " : "", said);
    if (!good || said[0])
        a->problem(a->arg, path, good ? "" : end, what);
    return good ? 0 : -SM_EPARTIAL;
}
