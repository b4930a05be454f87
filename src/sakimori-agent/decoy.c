/*
 * The decoy part: lays harmless files where an attacker walks first, once for each folder of a source that wants them, and notes
 * where (DATA/decoys/<source>.json).  Nobody has a reason to touch them, so a backup that finds one changed or gone says so.  A decoy
 * that is missing is never laid again by itself: that would hide what happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori-agent/policy.h"

#define SOURCES_MAX 256
#define ROOTS_MAX 32              /* of a source; two decoys each */
#define WAIT_MS 15000
#define DAY_S 86400

static const char *const family[] = { "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤" };
static const char *const given[] = { "陽子", "健一", "美咲", "直樹", "和子", "翔太", "由美子", "誠", "久美子", "明" };
static const char *const work[] = { "初診", "再診", "健診", "予防接種", "検査", "処方" };

/* A list of made-up people: different on every machine, so that it cannot be known by its hash. */
static int make_csv(struct sm_buf *b)
{
    int r = sm_buf_printf(b, "番号,氏名,生年月日,区分,点数\r\n");
    unsigned rows = 120 + (unsigned)crypto_random_below(120);
    for (unsigned i = 0; i < rows && !r; i++)
        r = sm_buf_printf(b, "%08u,%s %s,%u-%02u-%02u,%s,%u\r\n", (unsigned)crypto_random_below(100000000),
            family[crypto_random_below(10)], given[crypto_random_below(10)], 1935 + (unsigned)crypto_random_below(80),
            1 + (unsigned)crypto_random_below(12), 1 + (unsigned)crypto_random_below(28), work[crypto_random_below(6)],
            50 + (unsigned)crypto_random_below(2000));
    return r;
}

/* A small sound PDF of one page of numbers. */
static int make_pdf(struct sm_buf *b)
{
    struct sm_buf page = SM_BUF_INIT(1 << 16);
    size_t at[6] = { 0 };
    int r = sm_buf_printf(&page, "BT /F1 10 Tf 40 800 Td 14 TL\n");
    for (unsigned i = 0; i < 50 && !r; i++)
        r = sm_buf_printf(&page, "(%08u   %05u   %06u) Tj T*\n", (unsigned)crypto_random_below(100000000),
            (unsigned)crypto_random_below(100000), (unsigned)crypto_random_below(1000000));
    if (!r)
        r = sm_buf_printf(&page, "ET\n");
    if (!r)
        r = sm_buf_printf(b, "%%PDF-1.4\n");
    static const char *const objects[] = { "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Courier>>" };
    for (unsigned i = 0; i < 4 && !r; i++) {
        at[i + 1] = b->n;
        r = sm_buf_printf(b, "%u 0 obj%s endobj\n", i + 1, objects[i]);
    }
    at[5] = b->n;
    if (!r)
        r = sm_buf_printf(b, "5 0 obj<</Length %zu>>stream\n%.*s\nendstream endobj\n", page.n, (int)page.n, (const char *)page.p);
    size_t xref = b->n;
    if (!r)
        r = sm_buf_printf(b, "xref\n0 6\n0000000000 65535 f \n");
    for (unsigned i = 1; i < 6 && !r; i++)
        r = sm_buf_printf(b, "%010zu 00000 n \n", at[i]);
    if (!r)
        r = sm_buf_printf(b, "trailer<</Size 6/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", xref);
    sm_buf_wipe(&page);
    return r;
}

/* Hidden from people, not from a program that walks the folder. */
static const struct { const char *name; int (*make)(struct sm_buf *); } decoys[] = {
    { ".00_患者名簿_控え.csv", make_csv },
    { ".98_請求一覧_控え.pdf", make_pdf },
};
#define DECOYS (sizeof decoys / sizeof decoys[0])

/* Written like the folder's other files: same owner, and not from today. */
static int lay_one(int dir, const char *name, struct sm_span content, const struct stat *folder)
{
    int64_t then = plat_clock_wall().s - (30 + (int64_t)crypto_random_below(300)) * DAY_S;
    const struct timespec times[2] = { { then, 0 }, { then, 0 } };
    int fd = plat_fs_create(dir, name, PLAT_FS_EXCL, 0640);
    if (fd < 0)
        return fd;
    int r = plat_fs_write_all(fd, content);
    if (!r && geteuid() == 0 && fchown(fd, folder->st_uid, folder->st_gid))
        r = -errno;
    if (!r && futimens(fd, times))
        r = -errno;
    if (!r)
        r = plat_fs_sync(fd);
    close(fd);
    if (r)
        (void)plat_fs_unlink(dir, name); /* half a decoy is worse than none */
    return r;
}

static int note(json_t *paths, json_t *sums, const char *root, const char *name, struct sm_span content)
{
    char path[AGENT_PATH_MAX + 128], hex[65];
    uint8_t sum[32];
    size_t n = strlen(root);
    crypto_sha256(content, sum);
    sm_hex(sum, 32, hex);
    snprintf(path, sizeof path, "%s%s%s", root, n && root[n - 1] == '/' ? "" : "/", name);
    return json_array_append_new(paths, json_string(path)) || json_object_set_new(sums, path, json_string(hex)) ? -ENOMEM : 0;
}

static int lay_root(const char *root, json_t *paths, json_t *sums)
{
    struct stat st;
    struct sm_buf b = SM_BUF_INIT(1 << 18);
    int dir = plat_fs_open_dir(AT_FDCWD, root), r = dir < 0 ? dir : fstat(dir, &st) ? -errno : 0;
    for (size_t i = 0; i < DECOYS && !r; i++) {
        sm_buf_clear(&b);
        r = decoys[i].make(&b);
        if (!r)
            r = lay_one(dir, decoys[i].name, sm_buf_span(&b), &st);
        if (!r)
            r = note(paths, sums, root, decoys[i].name, sm_buf_span(&b));
        else if (r == -EEXIST)
            r = 0; /* of an earlier agent: not ours to watch */
    }
    if (dir >= 0)
        close(dir);
    sm_buf_wipe(&b);
    return r;
}

static bool is_known(const json_t *roots, const char *root)
{
    for (size_t i = 0; i < json_array_size(roots); i++)
        if (strcmp(json_string_value(json_array_get(roots, i)), root) == 0)
            return true;
    return false;
}

static int keep(int folder, const char *file, const json_t *o)
{
    struct sm_buf b = SM_BUF_INIT(1 << 20);
    int r = sm_json_dump(o, &b);
    if (!r)
        r = plat_replace(folder, file, sm_buf_span(&b), 0644);
    sm_buf_wipe(&b);
    return r;
}

static void lay_source(int folder, const struct agent_policy *policy, const json_t *source)
{
    const char *id = json_string_value(json_object_get(source, "source"));
    const json_t *list = json_object_get(source, "paths");
    char file[64];
    struct sm_buf text = SM_BUF_INIT(1 << 20);
    json_t *o = NULL;
    bool changed = false;
    if (!id || strlen(id) != 32 || strspn(id, "0123456789abcdef") != 32 || !json_is_true(json_object_get(source, "canaries")))
        return;
    snprintf(file, sizeof file, "%s.json", id);
    if (!plat_fs_read_file(folder, file, 1 << 20, &text))
        (void)sm_json_parse(sm_buf_span(&text), 1 << 20, &o, NULL); /* unreadable: begun anew */
    if (!o)
        o = json_pack("{s:i,s:[],s:[],s:{}}", "version", 1, "roots", "paths", "sha256");
    json_t *roots = json_object_get(o, "roots"), *paths = json_object_get(o, "paths"), *sums = json_object_get(o, "sha256");
    for (size_t i = 0; i < json_array_size(list) && json_array_size(roots) < ROOTS_MAX; i++) {
        const char *root = json_string_value(json_array_get(list, i));
        if (!root || root[0] != '/' || is_known(roots, root) || !policy_may_read(policy, root))
            continue;
        int r = lay_root(root, paths, sums);
        if (r) {
            sm_warn("decoys could not be laid: %s", sm_strerror(r));
            continue;
        }
        json_array_append_new(roots, json_string(root));
        changed = true;
    }
    if (changed && keep(folder, file, o))
        sm_warn("the note of decoys could not be kept");
    json_decref(o);
    sm_buf_wipe(&text);
}

static const struct sm_ipc_rule from_up[] = { { L_SETTINGS, SM_IPC_BODY_MAX, false, "L_SETTINGS" }, { A_STOP, 16, false, "A_STOP" } };

static int serve(const char *data, const struct agent_policy *policy, struct sm_ipc *up)
{
    char path[AGENT_PATH_MAX + 32];
    struct sm_ipc_msg m;
    json_t *o = NULL;
    int r = sm_ipc_recv(up, WAIT_MS, &m);
    if (r || m.type != L_SETTINGS)
        return r == -SM_ETIME ? 0 : r;
    r = sm_json_parse(m.body, SM_IPC_BODY_MAX, &o, NULL);
    snprintf(path, sizeof path, "%s/decoys", data);
    int folder = r ? -1 : plat_fs_open_dir(AT_FDCWD, path);
    const json_t *sources = json_object_get(o, "sources");
    for (size_t i = 0; i < json_array_size(sources) && i < SOURCES_MAX && folder >= 0; i++)
        lay_source(folder, policy, json_array_get(sources, i));
    if (folder >= 0)
        close(folder);
    json_decref(o);
    return folder < 0 && !r ? folder : r;
}

int decoy_main(const char *data, const char *skip)
{
    static const int caps[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER };
    const struct part_rules rules = { .profile = "agent-restore", .user = "", .caps = caps, .caps_n = 3, .nofile = 256 };
    const struct sm_ipc_config config = { .may_receive = from_up, .may_receive_n = 2, .body_max = SM_IPC_BODY_MAX, .queue_max = 65536 };
    struct plat_confined c = { 0 };
    struct agent_policy policy = { 0 };
    struct sm_buf b = SM_BUF_INIT(1024);
    struct sm_ipc *up = NULL;
    char why[160] = "";
    int r = policy_load(data, skip, &policy, why);
    if (!r)
        r = part_confine(&rules, &c);
    if (!r)
        r = sm_ipc_new(NULL, 3, &config, &up);
    if (!r)
        r = plat_confined_put(&c, &b);
    if (!r)
        r = sm_ipc_send(up, A_READY, sm_buf_span(&b), -1);
    if (!r)
        r = serve(data, &policy, up);
    if (r)
        sm_warn("decoys: %s", why[0] ? why : sm_strerror(r));
    sm_ipc_free(up);
    sm_buf_wipe(&b);
    return r ? 1 : 0;
}
