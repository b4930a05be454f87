/* A file set aside where nobody runs it, and put back (the room quarantine).  Its folder is DATA/quarantine, of root alone. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/fs.h"
#include "quarantine/quarantine.h"
#include "sakimori-agent/actor/actor.h"

enum { TRY_MS = 300, TRY_FOR_MS = 60000 };
static const struct quarantine_limits limits = {(uint64_t)4 << 30, (uint64_t)1 << 30, (uint64_t)1 << 30};

static int open_folder(const struct act *t)
{
    char path[AGENT_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/quarantine", t->a->data); /* room was made */
    int r = endpoint_folder(t->a->data, "quarantine", "", 0);
    return r ? r : plat_fs_open_dir(AT_FDCWD, path);
}

/* One way to write a path: without it "not below this folder" says nothing. */
static bool plain(struct sm_span path)
{
    static const char *const odd[] = {"//", "/./", "/../"};
    if (path.n < 2 || path.p[0] != '/' || memchr(path.p, 0, path.n))
        return false;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        if (memmem(path.p, path.n, odd[i], strlen(odd[i])))
            return false;
    return true;
}

static bool below(struct sm_span path, const char *folder)
{
    size_t n = strlen(folder);
    return path.n > n && memcmp(path.p, folder, n) == 0 && path.p[n] == '/';
}

/* The system's own: a scanner that errs there, or whoever speaks for it, would take the machine away.  A person may. */
static bool is_system(struct sm_span path)
{
    static const char *const own[] = {"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin",
        "/snap", "/sys", "/usr", "/var/lib/dpkg"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (below(path, own[i]) && !below(path, "/usr/local"))
            return true;
    return false;
}

/* "path": as text; "path64": as base64, where it is no UTF-8.  The agent's own files are not for this. */
static int path_of(const struct act *t, struct sm_buf *ret)
{
    const char *text = act_text(t, "path"), *b64 = act_text(t, "path64");
    int r = *b64 ? sm_unbase64(SM_SPAN_STR(b64), ret) : sm_buf_put(ret, text, strlen(text));
    if (r)
        return r;
    if (!plain(sm_buf_span(ret)))
        return -SM_EINVAL;
    return below(sm_buf_span(ret), t->a->data) ? -SM_EDENIED : 0;
}

static int check(struct act *t)
{
    struct sm_buf b = SM_BUF_INIT(PLAT_PATH_MAX);
    int r = path_of(t, &b);
    const char *h = act_text(t, "sha256");
    bool own = !r && !t->by_order && is_system(sm_buf_span(&b));
    sm_buf_wipe(&b);
    if (own) {
        act_say(t, "a file of the system is only set aside by order");
        return -SM_EDENIED;
    }
    if (!r && !t->by_order && !*h)
        r = -SM_EINVAL; /* without an order only what was found, not whatever stands there */
    if (!r && *h && (strlen(h) != 64 || strspn(h, "0123456789abcdef") != 64))
        r = -SM_EINVAL;
    if (r)
        act_say(t, "%s", r == -SM_EDENIED ? "the agent's own files are not set aside" : "this is no path of a file");
    return r;
}

static void take(struct act *t)
{
    struct sm_buf path = SM_BUF_INIT(PLAT_PATH_MAX);
    uint8_t sum[32];
    char id[QUARANTINE_ID] = "";
    const char *h = act_text(t, "sha256");
    json_t *entry = NULL;
    const uint64_t until = plat_clock_mono_ms() + TRY_FOR_MS;
    int r = path_of(t, &path), folder = r ? -1 : open_folder(t);
    if (!r && *h)
        r = sm_unhex(h, 64, sum, sizeof sum);
    const struct quarantine_what w = {.path = sm_buf_span(&path), .sha256 = *h ? sum : NULL, .reason = act_text(t, "reason"),
        .by = t->by_order ? "order" : "policy", .finding = t->finding};
    r = r ? r : folder < 0 ? folder : quarantine_take(folder, &limits, &w, id, &entry);
    while (r == -SM_EAGAIN && plat_clock_mono_ms() < until) {
        plat_clock_sleep_ms(TRY_MS);
        r = quarantine_take(folder, &limits, &w, id, &entry);
    }
    if (folder >= 0)
        (void)close(folder); /* only read */
    if (!r) {
        act_say(t, "the file is set aside");
        act_fact(t, "id", json_string(id));
        act_fact(t, "entry", entry);
    } else {
        act_fail(t, r, "%s",
            r == -SM_EMISMATCH ? "the file has changed since"
            : r == -SM_EINVAL || r == -ELOOP ? "only a file is set aside, no folder and no link" : sm_strerror(r));
    }
    sm_buf_wipe(&path);
}

/* The box has a list of its own. */
static void ended(struct act *t)
{
    const json_t *e = json_object_get(t->facts, "entry");
    if (e)
        report_quarantine(t->a, e);
}

const struct action act_quarantine = {.name = "quarantine", .allow = ALLOW_SCAN, .check = check, .run = take, .ended = ended};

static int check_id(struct act *t)
{
    const char *id = act_text(t, "id");
    if (strlen(id) == QUARANTINE_ID - 1 && strspn(id, "0123456789abcdef") == QUARANTINE_ID - 1)
        return 0;
    act_say(t, "there is no such file set aside");
    return -SM_EINVAL;
}

/* How it is now: from the list. */
static void entry_fact(struct act *t, int folder)
{
    const uint64_t until = plat_clock_mono_ms() + TRY_FOR_MS;
    json_t *list = NULL, *e;
    size_t i;
    int r;
    do
        r = quarantine_list(folder, &list);
    while (r == -SM_EAGAIN && plat_clock_mono_ms() < until && (plat_clock_sleep_ms(TRY_MS), true));
    json_array_foreach(list, i, e)
        if (strcmp(act_text(t, "id"), json_string_value(json_object_get(e, "id"))) == 0)
            act_fact(t, "entry", json_incref(e));
    json_decref(list);
}

/* Where it is now, in base64: where another file stands by now, it has a name of its own. */
static void back_at(struct act *t, const char *path)
{
    const char *was = json_string_value(json_object_get(json_object_get(t->facts, "entry"), "path"));
    if (was && strcmp(was, path) != 0)
        act_say(t, "the file is back beside another that has its name now, as .given-back");
    act_fact(t, "path", json_string(path));
}

static void give_back(struct act *t)
{
    struct sm_buf path = SM_BUF_INIT(PLAT_PATH_MAX), b64 = SM_BUF_INIT(2 * PLAT_PATH_MAX);
    const uint64_t until = plat_clock_mono_ms() + TRY_FOR_MS;
    bool remove = strcmp(t->row->name, "remove_quarantine") == 0;
    int folder = open_folder(t), r;
    do
        r = folder < 0 ? folder : remove ? quarantine_remove(folder, act_text(t, "id")) : quarantine_give_back(folder, act_text(t, "id"), &path);
    while (r == -SM_EAGAIN && plat_clock_mono_ms() < until && (plat_clock_sleep_ms(TRY_MS), true));
    if (!r)
        entry_fact(t, folder);
    if (folder >= 0)
        (void)close(folder); /* only read */
    if (r)
        act_fail(t, r, "%s", r == -SM_ENOTFOUND ? "there is no such file set aside" : r == -SM_ESTATE ? "it is not set aside any more" : sm_strerror(r));
    else
        act_say(t, "%s", remove ? "the file is removed for good" : "the file is back");
    if (!r && path.n && !sm_base64(sm_buf_span(&path), &b64) && sm_buf_str(&b64))
        back_at(t, sm_buf_str(&b64));
    sm_buf_wipe(&path);
    sm_buf_wipe(&b64);
}

const struct action act_unquarantine = {.name = "unquarantine", .allow = ALLOW_NOBODY, .check = check_id, .run = give_back, .ended = ended};
const struct action act_quarantine_remove = {.name = "remove_quarantine", .allow = ALLOW_NOBODY, .check = check_id, .run = give_back, .ended = ended};
