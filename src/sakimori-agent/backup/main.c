/*
 * The backup part: reads the files of a source, seals them, and has link carry the packs.  No network;
 * CAP_DAC_READ_SEARCH; writes only its own cache.  One run at a time, others wait in line.
 */
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>

#include "core/log.h"
#include "plat/fs.h"
#include "plat/proc.h"
#include "sakimori-agent/backup/backupd.h"

#define TICK_MS 500

static const struct sm_ipc_rule from_up[] = {{A_ATTACH, 4096, true, "A_ATTACH"}, {A_STOP, 16, false, "A_STOP"}};

static int confine(struct backupd *b, const char *skip, struct plat_confined *c)
{
    static char cache[AGENT_PATH_MAX + 16];
    static const int caps[] = {CAP_DAC_READ_SEARCH};
    snprintf(cache, sizeof cache, "%s/cache", b->config.data);
    const struct plat_path_rule paths[] = {{cache, true, false}, {skip ? b->config.data : "/", false, false}};
    const struct part_rules rules = {.profile = "agent-backup",
        .user = "_sakimori-backup",
        .uid = 64321,
        .caps = caps,
        .caps_n = 1,
        .paths = paths,
        .paths_n = 2,
        .landlock = true,
        .out = skip,
        .nofile = 1024};
    plat_proc_background();
    return part_confine(&rules, c);
}

static int backup_start(struct backupd *b, const char *data, const char *skip, char *why)
{
    char path[AGENT_PATH_MAX + 32];
    struct plat_confined c = {0};
    int r = agent_config_load(data, &b->config, why);
    if (!r)
        r = policy_load(data, skip, &b->policy, why);
    if (!r)
        r = confine(b, skip, &c);
    if (!r)
        r = agent_keys_load(data, &b->keys, why);
    snprintf(path, sizeof path, "%s/cache", data);
    if (!r) {
        b->cache = plat_fs_open_dir(AT_FDCWD, path);
        r = b->cache < 0 ? b->cache : 0;
    }
    backupd_assist(b);
    snprintf(path, sizeof path, "%s/cache/head", data);
    if (!r)
        r = heads_open(&b->heads, path, b->config.head_pub, &b->config.vault);
    if (!r)
        r = part_begin_plain(from_up, 2, &c, &b->up);
    b->assist.up = b->up;
    return r;
}

int backup_main(const char *data, const char *skip)
{
    struct backupd *b = calloc(1, sizeof *b);
    char why[160] = "";
    (void)mallopt(M_ARENA_MAX, 1); /* one heap for all threads: memory counts more here than a little waiting */
    if (b) {
        pthread_mutex_init(&b->lending, NULL);
        b->lends = skip != NULL;
    }
    int r = b ? backup_start(b, data, skip, why) : -ENOMEM;
    if (r)
        sm_error("%s", why[0] ? why : sm_strerror(r));
    if (!r)
        backupd_pending_run(b);
    while (!r && !b->stop) {
        if (b->queue_n && b->link)
            backupd_run(b);
        else
            backupd_serve(b, TICK_MS);
    }
    if (b) {
        assist_end(&b->assist);
        sm_ipc_free(b->link);
        sm_ipc_free(b->lend);
        sm_ipc_free(b->up);
        json_decref(b->sources);
        recips_wipe(&b->recips);
        agent_keys_wipe(&b->keys);
        agent_config_wipe(&b->config);
    }
    free(b);
    return r ? 1 : 0;
}
