/*
 * The decoy part: lays decoys (vault/backup/canary.h) in each folder of a source that wants them, once, and keeps the
 * list of them in DATA/decoys.  A decoy that is missing is never laid again by itself: that would hide what happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori-agent/policy.h"
#include "vault/backup/canary.h"

#define SOURCES_MAX 256
#define WAIT_MS 15000

/* Decoys belong to whoever the folder belongs to, like the files beside them. */
static void give(const char *folder, const struct canary *c)
{
    struct stat st;
    for (size_t i = 0; i < CANARY_EACH && geteuid() == 0 && !stat(folder, &st); i++)
        if (lchown(c[i].path, st.st_uid, st.st_gid))
            sm_warn("the owner of a decoy could not be set: %s", sm_strerror(-errno));
}

static bool is_laid(const struct canary *list, size_t n, const char *folder)
{
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(list[i].path, '/');
        if (slash && (size_t)(slash - list[i].path) == len && memcmp(list[i].path, folder, len) == 0)
            return true;
    }
    return false;
}

/* May nothing be written in this folder, because the one left out is below it? */
static bool is_above(const char *path, const char *skip)
{
    char real[PLAT_PATH_MAX];
    size_t there;
    return skip && !plat_real_path(path, real, &there) && plat_but_place(real, skip) == PLAT_ABOVE;
}

static void lay_source(int folder, const struct agent_policy *policy, const char *skip, const json_t *source,
    struct canary *list)
{
    const char *hex = json_string_value(json_object_get(source, "source"));
    const json_t *paths = json_object_get(source, "paths");
    struct source_id id;
    uint8_t seed[32];
    size_t n = 0, before;
    const char *kind = json_string_value(json_object_get(source, "kind"));
    if (kind && strcmp(kind, "files") != 0)
        return; /* its paths are no folders of this machine */
    if (!hex || sm_unhex(hex, strlen(hex), id.b, sizeof id.b) || !json_is_true(json_object_get(source, "canaries")))
        return;
    int r = canary_list_load(folder, &id, list, BACKUP_CANARIES_MAX, &n);
    if (r && r != -SM_ENOTFOUND)
        sm_warn("the list of decoys is begun anew: %s", sm_strerror(r));
    before = n;
    for (size_t i = 0; i < json_array_size(paths) && n + CANARY_EACH <= BACKUP_CANARIES_MAX; i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        if (!path || path[0] != '/' || is_laid(list, n, path) || !policy_may_read(policy, path))
            continue;
        crypto_random(seed, sizeof seed);
        r = canary_lay(path, seed, is_above(path, skip) ? folder : -1, &list[n]);
        if (r) {
            sm_warn("decoys could not be laid: %s", sm_strerror(r));
            continue;
        }
        give(path, &list[n]);
        n += CANARY_EACH;
    }
    if (n > before && (r = canary_list_save(folder, &id, list, n)) != 0)
        sm_warn("the list of decoys could not be kept: %s", sm_strerror(r));
}

static const struct sm_ipc_rule from_up[] = {
    {L_SETTINGS, SM_IPC_BODY_MAX, false, "L_SETTINGS"}, {A_STOP, 16, false, "A_STOP"}};

static int serve(const char *data, const char *skip, const struct agent_policy *policy, struct sm_ipc *up)
{
    char path[AGENT_PATH_MAX + 32];
    struct sm_ipc_msg m;
    json_t *o = NULL;
    int r = sm_ipc_recv(up, WAIT_MS, &m);
    if (r || m.type != L_SETTINGS)
        return r == -SM_ETIME ? 0 : r;
    struct canary *list = calloc(BACKUP_CANARIES_MAX, sizeof *list);
    r = list ? sm_json_parse(m.body, SM_IPC_BODY_MAX, &o, NULL) : -ENOMEM;
    snprintf(path, sizeof path, "%s/decoys", data);
    int folder = r ? r : plat_fs_open_dir(AT_FDCWD, path);
    const json_t *sources = json_object_get(o, "sources");
    for (size_t i = 0; i < json_array_size(sources) && i < SOURCES_MAX && folder >= 0; i++)
        lay_source(folder, policy, skip, json_array_get(sources, i), list);
    if (folder >= 0)
        close(folder);
    free(list);
    json_decref(o);
    return folder < 0 ? folder : 0;
}

int decoy_main(const char *data, const char *skip)
{
    static const int caps[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER};
    char folder[AGENT_PATH_MAX + 16];
    snprintf(folder, sizeof folder, "%s/decoys", data);
    const struct plat_path_rule paths[] = {{folder, true, true}, {data, false, true}};
    const struct part_rules rules = {.profile = "agent-restore",
        .user = "",
        .caps = caps,
        .caps_n = 3,
        .paths = paths,
        .paths_n = 2,
        .out = skip,
        .out_write = true,
        .out_add = true, /* a decoy beside the box's folder is written in ours and moved there */
        .nofile = 256};
    struct plat_confined c = {0};
    struct agent_policy policy = {0};
    struct sm_ipc *up = NULL;
    char why[160] = "";
    int r = policy_load(data, skip, &policy, why);
    if (!r)
        r = part_confine(&rules, &c);
    if (!r)
        r = part_begin_plain(from_up, 2, &c, &up);
    if (!r)
        r = serve(data, skip, &policy, up);
    if (r)
        sm_warn("decoys: %s", why[0] ? why : sm_strerror(r));
    sm_ipc_free(up);
    return r ? 1 : 0;
}
