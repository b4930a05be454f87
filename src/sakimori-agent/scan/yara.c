/* The part that runs libyara: files are handed to it open; it may read rules and nothing else, and when it dies a new one comes. */
#include <errno.h>
#include <unistd.h>

#include "core/log.h"
#include "detect/scan/yara.h"
#include "plat/proc.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/scan/scan.h"

#define SHIPPED_RULES "/usr/share/sakimori-agent/rules"

struct part {
    struct part_life life;
    struct sm_ipc *scan;
    struct yara *yara;
    unsigned files;
    struct agent_policy local;              /* has the folders' names */
    const char *folders[POLICY_RULES_MAX + 1];
    size_t folders_n;
    uint64_t stamp;                         /* of the rules, as scan said it last */
};

/* The rules are read anew when scan saw that their files changed; as long as that fails, those before stay in force. */
static int read_rules(struct part *p)
{
    struct yara *fresh = NULL;
    unsigned files = 0, faults = 0;
    int r = yara_open(p->folders, p->folders_n, &fresh, &files, &faults);
    if (r)
        return r;
    yara_close(p->yara);
    p->yara = fresh;
    if (files != p->files || faults)
        sm_info("%u files of YARA rules, %u could not be read", files, faults);
    p->files = files;
    return 0;
}

static void look_for_news(struct part *p, struct sm_span body)
{
    uint64_t stamp;
    if (body.n != sizeof stamp)
        return;
    memcpy(&stamp, body.p, sizeof stamp);
    if (stamp == p->stamp)
        return;
    p->stamp = stamp;
    int r = read_rules(p);
    if (r)
        sm_warn("changed YARA rules could not be read, those before are used: %s", sm_strerror(r));
}

static void on_scan(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part *p = arg;
    char name[YARA_NAME] = "";
    look_for_news(p, m->body);
    int r = m->fd < 0 ? -SM_EPROTO : p->files ? yara_scan(p->yara, m->fd, SCAN_YARA_S, name) : 0;
    /* An answer that cannot be sent: scan is gone, and so are we. */
    (void)!(r < 0 ? sm_ipc_reply_error(ipc, m, r, "") : sm_ipc_reply(ipc, m, 0, SM_SPAN_STR(name), -1));
}

static void on_gone(void *arg, struct sm_ipc *ipc, int err)
{
    struct part *p = arg;
    (void)err;
    p->scan = NULL;
    sm_ipc_free(ipc);
}

static void on_attach(void *arg, const char *peer, bool fresh, int *fd)
{
    static const struct sm_ipc_rule rules[] = {{Y_SCAN, 16, true, "Y_SCAN"}};
    struct part *p = arg;
    const struct sm_ipc_config c = {.may_receive = rules, .may_receive_n = 1, .body_max = 4096, .queue_max = 65536, .on_message = on_scan,
        .on_gone = on_gone, .arg = p};
    (void)fresh;
    if (strcmp(peer, "scan") != 0)
        return;
    int taken = *fd;
    *fd = -1;
    if (p->scan)
        on_gone(p, p->scan, 0);
    if (sm_ipc_new(p->life.loop, taken, &c, &p->scan))
        sm_error("the channel to scan could not be made");
}

static int begin(struct part *p, const char *data, const char *skip, char *why)
{
    struct plat_path_rule paths[POLICY_RULES_MAX + 1];
    struct plat_confined c = {0};
    int r = policy_load(data, skip, &p->local, why);
    p->folders[p->folders_n++] = SHIPPED_RULES;
    for (size_t i = 0; r == 0 && i < p->local.rules_n; i++)
        p->folders[p->folders_n++] = p->local.rules[i];
    for (size_t i = 0; i < p->folders_n; i++)
        paths[i] = (struct plat_path_rule){p->folders[i], false, true};
    const struct part_rules rules = {.profile = "agent-yara", .user = SCAN_USER, .uid = SCAN_UID, .paths = paths,
        .paths_n = p->folders_n, .landlock = true, .nofile = 64};
    if (r == 0)
        r = part_confine(&rules, &c);
    if (r == 0)
        r = read_rules(p);
    p->life.attach = on_attach;
    p->life.arg = p;
    return r ? r : part_begin(&p->life, &c);
}

int yara_main(const char *data, const char *skip)
{
    struct part p = {0};
    char why[160] = "";
    plat_proc_background();
    int r = begin(&p, data, skip, why);
    if (r)
        sm_error("yara: %s", why[0] ? why : sm_strerror(r));
    else
        r = sm_loop_run(p.life.loop);
    sm_ipc_free(p.scan);
    yara_close(p.yara);
    policy_wipe(&p.local);
    return r ? 1 : 0;
}
