/*
 * The process.  It hears of changes in folders (inotify) and of devices (uevents), looks, tells judge, and then keeps
 * what it saw: what judge did not get is told again after the next start.  It has no network: the one socket it holds
 * was opened before it was confined, and only the kernel speaks there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/endpoint.h"
#include "sakimori-agent/inspect/round.h"

enum {
    LINES_MAX = 4 << 20,
    CHUNK = 192 << 10,
    AGAIN_MS = 5000,
    PORTS_TOLD = 48,
    MEDIA_TOLD = 8,
    UEVENTS = 1 /* the kernel's own group */
};

struct part {
    struct part_life life;
    struct round round;
    struct sm_ipc *judge;
    struct sm_timer *go;
    struct sm_watch *watch, *uevent_watch;
    struct sm_buf lines;
    int root, dir, inotify, uevents;
    json_t *told;
    char why[160];
};

static void wake(struct part *p)
{
    uint64_t now = plat_clock_mono_ms(), next = round_next(&p->round);
    sm_timer_set(p->go, next > now ? next - now : 0, 0);
}

/* ---- what judge is told ---- */

/* Whole lines, as many as fit into a message. */
static int send_lines(struct part *p)
{
    while (p->lines.n && p->judge) {
        size_t n = p->lines.n;
        if (n > CHUNK) {
            const uint8_t *end = memrchr(p->lines.p, '\n', CHUNK);
            n = end ? (size_t)(end - p->lines.p) + 1 : CHUNK;
        }
        int r = sm_ipc_send(p->judge, E_EVENT, SM_SPAN(p->lines.p, n), -1);
        if (r)
            return r;
        sm_buf_shift(&p->lines, n);
    }
    return p->lines.n ? -SM_EPEER : 0;
}

/* A field of an item, cut at 64 bytes. */
static json_t *field_of(const struct item *it, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = it->kept; p; p = strchr(p, '\x1f')) {
        p += *p == '\x1f';
        if (strncmp(p, name, n) == 0 && p[n] == '=') {
            size_t k = strcspn(p + n + 1, "\x1f");
            json_t *s = json_stringn(p + n + 1, k < 64 ? k : 64);
            return s ? s : json_string("");
        }
        if (!strchr(p, '\x1f'))
            break;
    }
    return json_string("");
}

static json_t *media(const struct part *p)
{
    const struct items *s = baseline_of(p->round.baseline, inspect_media.name);
    json_t *list = json_array();
    for (size_t i = 0; s && i < s->n && i < MEDIA_TOLD && list; i++) {
        const struct item *it = &s->row[i];
        json_t *o = json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "device", it->key, "serial", field_of(it, "Serial"),
            "vendor", field_of(it, "Vendor"), "model", field_of(it, "Model"), "size", field_of(it, "Size"), "kind",
            field_of(it, "Kind"), "usb", field_of(it, "UsbId"));
        if (!o || json_array_append_new(list, o))
            break; /* a medium less is told */
    }
    return list;
}

/* TCP ports that are listened to from outside, each once. */
static json_t *listening(const struct part *p)
{
    const struct items *s = baseline_of(p->round.baseline, inspect_ports.name);
    json_t *list = json_array();
    for (size_t i = 0; s && i < s->n && list && json_array_size(list) < PORTS_TOLD; i++) {
        const char *port = strrchr(s->row[i].key, ' ');
        json_int_t number = port && strncmp(s->row[i].key, "tcp ", 4) == 0 ? (json_int_t)strtol(port + 1, NULL, 10) : 0;
        for (size_t k = 0; k < json_array_size(list); k++)
            if (json_integer_value(json_array_get(list, k)) == number)
                number = 0;
        if (number && json_array_append_new(list, json_integer(number)))
            break; /* a port less is told */
    }
    return list;
}

static void tell_state(struct part *p)
{
    struct sm_buf b = SM_BUF_INIT(E_PART_STATE_MAX);
    size_t n = 0, looked = 0;
    for (; inspect_sensors[n]; n++)
        looked += p->round.state[n].looked;
    json_t *o = json_pack("{s:I,s:I,s:I,s:b,s:o,s:o,s:[]}", "sensors", (json_int_t)n, "looked", (json_int_t)looked,
        "changes", (json_int_t)p->round.changes, "inotify", p->inotify >= 0, "media", media(p), "listening",
        listening(p), "why");
    if (o && p->why[0])
        (void)json_array_append_new(
            json_object_get(o, "why"), json_string(p->why)); /* the state is worth telling without */
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    while (r == -SM_ELIMIT && json_array_size(json_object_get(o, "media")) &&
           !json_array_remove(json_object_get(o, "media"), 0))
        r = sm_json_dump(o, &b); /* long names of media: as many as there is room for */
    if (!r && p->judge && !json_equal(o, p->told) && !sm_ipc_send(p->judge, E_PART_STATE, sm_buf_span(&b), -1)) {
        json_decref(p->told);
        p->told = json_incref(o);
    }
    json_decref(o);
    sm_buf_wipe(&b);
}

static void go(void *arg)
{
    struct part *p = arg;
    int r = 0;
    if (!p->judge)
        return; /* nobody to tell: what changes meanwhile differs from the baseline yet */
    if (!p->lines.n)
        r = round_go(&p->round, plat_clock_mono_ms(), plat_clock_wall(), &p->lines);
    if (r)
        sm_warn("the state of the machine could not be looked at: %s", sm_strerror(r));
    r = send_lines(p);
    if (!r)
        r = round_keep(&p->round);
    if (r && r != -SM_EPEER)
        sm_warn("what was seen could not be told or kept: %s", sm_strerror(r));
    tell_state(p);
    if (r)
        sm_timer_set(p->go, AGAIN_MS, 0);
    else
        wake(p);
}

/* ---- what is heard ---- */

static void on_inotify(void *arg, int fd, unsigned events)
{
    struct part *p = arg;
    _Alignas(struct inotify_event) uint8_t buf[8192];
    ssize_t n;
    (void)events;
    for (int i = 0; i < 64 && (n = read(fd, buf, sizeof buf)) > 0; i++)
        round_inotify(&p->round, SM_SPAN(buf, n), plat_clock_mono_ms());
    wake(p);
}

/* Only that something of a disk happened counts; the device is looked at where the kernel shows it. */
static void on_uevent(void *arg, int fd, unsigned events)
{
    struct part *p = arg;
    char buf[8192];
    ssize_t n;
    bool block = false;
    (void)events;
    for (int i = 0; i < 256 && ((n = read(fd, buf, sizeof buf - 1)) > 0 || (n < 0 && errno == ENOBUFS)); i++) {
        buf[n > 0 ? n : 0] = 0;
        block |= n < 0 || strstr(buf, "/block/"); /* "add@/devices/…/block/sdb" */
    }
    if (block) {
        round_uevent(&p->round, plat_clock_mono_ms());
        wake(p);
    }
}

static void on_judge(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)arg;
    (void)ipc;
    (void)m; /* the policy: nothing of it is ours */
}

static void on_judge_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    if (err)
        sm_error("judge broke the rules of its channel: %s", sm_strerror(err));
    p->judge = NULL;
    sm_ipc_free(ipc);
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule rule[] = {{E_POLICY, ENDPOINT_ROW_MAX, false, "E_POLICY"}};
    struct part *p = arg;
    const struct sm_ipc_config c = {.may_receive = rule,
        .may_receive_n = 1,
        .body_max = SM_IPC_BODY_MAX,
        .queue_max = (size_t)8 << 20,
        .on_message = on_judge,
        .on_gone = on_judge_gone,
        .arg = p};
    int taken = *fd;
    (void)fresh;
    if (strcmp(peer, "judge") != 0)
        return;
    *fd = -1;
    if (p->judge)
        on_judge_gone(p, p->judge, 0);
    if (sm_ipc_new(p->life.loop, taken, &c, &p->judge))
        sm_error("the channel to judge could not be made");
    json_decref(p->told);
    p->told = NULL;
    sm_timer_set(p->go, 0, 0);
}

/* ---- life ---- */

static int open_uevents(void)
{
    const struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = UEVENTS};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* It may read all of the machine, and write its own folder. */
static int confine(const char *data, struct plat_confined *c)
{
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    char folder[AGENT_PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%s/inspect", data);
    const struct plat_path_rule paths[] = {{"/", false, false}, {folder, true, false}};
    const struct part_rules rules = {.profile = "agent-inspect",
        .user = INSPECT_USER,
        .uid = INSPECT_UID,
        .caps = caps,
        .caps_n = 1,
        .paths = paths,
        .paths_n = 2,
        .landlock = true,
        .nofile = 256};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int make(struct part *p, const char *data)
{
    char folder[AGENT_PATH_MAX + 16];
    int err = 0;
    snprintf(folder, sizeof folder, "%s/inspect", data);
    p->dir = plat_fs_open_dir(AT_FDCWD, folder);
    p->root = plat_fs_open_dir(AT_FDCWD, "/");
    p->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    p->lines = SM_BUF_INIT(LINES_MAX);
    int r = p->dir < 0 ? p->dir : p->root < 0 ? p->root : sm_loop_new(&p->life.loop);
    if (!r)
        r = round_init(&p->round, p->root, p->dir, p->inotify, plat_clock_mono_ms(), &err);
    if (!r && err) {
        snprintf(p->why, sizeof p->why,
            "what was seen last could not be read (%s): changes before this start are not told", sm_strerror(err));
        sm_warn("%s", p->why);
    }
    if (!r)
        r = sm_loop_timer(p->life.loop, UINT64_MAX, 0, go, p, &p->go);
    if (!r && p->inotify >= 0)
        r = sm_loop_fd(p->life.loop, p->inotify, SM_READ, on_inotify, p, &p->watch);
    if (!r && p->uevents >= 0)
        r = sm_loop_fd(p->life.loop, p->uevents, SM_READ, on_uevent, p, &p->uevent_watch);
    return r;
}

int inspect_main(const char *data, const char *skip)
{
    static struct part p = {.root = -1, .dir = -1, .inotify = -1};
    struct plat_confined c = {0};
    (void)skip;
    p.uevents = open_uevents(); /* without it media are seen by the minute */
    int r = confine(data, &c);
    if (!r)
        r = make(&p, data);
    p.life.attach = on_attach;
    p.life.arg = &p;
    if (!r)
        r = part_begin(&p.life, &c);
    if (r)
        sm_error("%s", sm_strerror(r));
    else
        r = sm_loop_run(p.life.loop);
    round_wipe(&p.round);
    json_decref(p.told);
    sm_buf_wipe(&p.lines);
    return r ? 1 : 0;
}
