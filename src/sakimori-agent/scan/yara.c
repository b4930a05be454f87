/* The part that runs libyara: files are handed to it open; it may read rules and nothing else, and when it dies a new one comes. */
#include <errno.h>
#include <unistd.h>

#include "core/log.h"
#include "detect/scan/yara.h"
#include "plat/proc.h"
#include "sakimori-agent/policy.h"
#include "sakimori-agent/scan/scan.h"

#define SHIPPED_RULES "/usr/share/sakimori-agent/rules"

struct part { struct part_life life; struct sm_ipc *scan; struct yara *yara; unsigned files; };

static void on_scan(void *arg, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct part *p = arg;
    char name[YARA_NAME] = "";
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
    struct agent_policy local = {0};
    const char *folders[POLICY_RULES_MAX + 1] = {SHIPPED_RULES};
    struct plat_path_rule paths[POLICY_RULES_MAX + 1];
    struct plat_confined c = {0};
    unsigned faults = 0;
    size_t n = 1;
    int r = policy_load(data, skip, &local, why);
    for (size_t i = 0; r == 0 && i < local.rules_n; i++)
        folders[n++] = local.rules[i];
    for (size_t i = 0; i < n; i++)
        paths[i] = (struct plat_path_rule){folders[i], false, true};
    const struct part_rules rules = {.profile = "agent-yara", .user = SCAN_USER, .uid = SCAN_UID, .paths = paths, .paths_n = n,
        .landlock = true, .nofile = 64};
    if (r == 0)
        r = part_confine(&rules, &c);
    if (r == 0)
        r = yara_open(folders, n, &p->yara, &p->files, &faults);
    if (r == 0 && (p->files || faults))
        sm_info("%u files of YARA rules, %u could not be read", p->files, faults);
    p->life.attach = on_attach;
    p->life.arg = p;
    if (r == 0)
        r = part_begin(&p->life, &c);
    policy_wipe(&local);
    return r;
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
    return r ? 1 : 0;
}
