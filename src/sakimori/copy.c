/* copies: the five lamps, the copies and what is done with them; prepare makes a place for one. */
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/fs.h"
#include "plat/mount.h"
#include "sakimori/commands.h"
#include "vault/copy/copy.h"

#define WATCH_MS 300
#define README "README.txt"

static const char readme[] =
    "防人(さきもり)のバックアップの写しです。消したり、動かしたりしないでください。\n"
    "箱がなくなったときは、防人のプログラムと「金庫の紙」だけで、ここから戻せます。\n"
    "    sakimori recover --vault ./vault --list\n"
    "    sakimori recover --vault ./vault --sheet - --to /戻す/場所\n"
    "\n"
    "A copy of a Sakimori vault.  Do not delete or move anything here.\n"
    "When the box is gone, the program and the recovery sheet restore from here:\n"
    "    sakimori recover --vault ./vault --list\n"
    "    sakimori recover --vault ./vault --sheet - --to /where/to\n";

static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
    { "kind", CLI_WORD, "種類", "Kind" }, { "state", CLI_WORD, "状態", "State" },
    { "covers", CLI_TIME, "ここまでの保存", "Holds up to" }, { "generations", CLI_TEXT, "世代", "Generations" },
    { "pack_bytes", CLI_BYTES, "大きさ", "Size" }, { "verified", CLI_TIME, "読み返した", "Read back" },
    { "elsewhere", CLI_YES, "別の建物", "Elsewhere" }, { "attached", CLI_YES, "接続中", "Plugged in" } };
#define COLS (sizeof cols / sizeof *cols)

static void show_lamps(const struct cli *c, const json_t *lamps)
{
    size_t i;
    json_t *l;
    json_array_foreach((json_t *)(uintptr_t)lamps, i, l) {
        const char *state = cli_str(l, "state");
        printf("[%s] ", !strcmp(state, "on") ? T(c, "点", "on  ") : !strcmp(state, "look") ? T(c, "?", "look")
            : T(c, "消", "off "));
        printf("%s ", cli_str(l, "number"));
        cli_text(stdout, cli_str(l, "title"));
        fputs(": ", stdout);
        cli_text(stdout, cli_str(l, "why"));
        if (*cli_str(l, "todo")) {
            fputs(T(c, " → ", " -> "), stdout);
            cli_text(stdout, cli_str(l, "todo"));
        }
        putchar('\n');
    }
}

int cmd_copies(struct cli *c)
{
    json_t *o = NULL;
    int e = cli_call(c, "GET", "/api/v1/copies", NULL, &o);
    if (e == CLI_OK && c->json) {
        cli_json(o);
    } else if (e == CLI_OK) {
        show_lamps(c, cli_at(o, "lamps"));
        putchar('\n');
        cli_table(c, cli_at(o, "items"), cols, COLS);
    }
    json_decref(o);
    return e;
}

/* The copy named on the command line; *ret_path is its route with `end`. */
static int find(struct cli *c, const char *end, char ret_path[160])
{
    json_t *o = NULL;
    int e = cli_find(c, "/api/v1/copies", cli_arg(c, 0), &o);
    (void)snprintf(ret_path, 160, "/api/v1/copies/%.80s%s", cli_str(o, "id"), end); /* ids are short */
    json_decref(o);
    return e;
}

int cmd_copy_show(struct cli *c)
{
    static const struct cli_col runs[] = { { "started", CLI_TIME, "開始", "Started" },
        { "finished", CLI_TIME, "終了", "Finished" }, { "what", CLI_WORD, "内容", "What" },
        { "state", CLI_WORD, "結果", "Result" }, { "facts.copy.copied_bytes", CLI_BYTES, "写した", "Copied" },
        { "facts.verify.bytes", CLI_BYTES, "読み返した", "Read back" }, { "by", CLI_TEXT, "だれ", "By" } };
    static const struct cli_col more[] = { { "text", CLI_TEXT, "様子", "State" }, { "place", CLI_TEXT, "場所", "Place" },
        { "locked_until", CLI_TIME, "消せない期限", "Locked until" },
        { "when", CLI_WORD, "いつ", "When" }, { "hour", CLI_TEXT, "時刻", "Hour" },
        { "max_days", CLI_TEXT, "古いとする日数", "Old after days" }, { "free_bytes", CLI_BYTES, "あき", "Free" } };
    char path[160];
    json_t *o = NULL;
    int e = find(c, "", path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &o);
    if (e == CLI_OK && c->json) {
        cli_json(o);
    } else if (e == CLI_OK) {
        cli_record(c, o, cols, COLS);
        cli_record(c, o, more, sizeof more / sizeof *more);
        putchar('\n');
        cli_table(c, cli_at(o, "runs"), runs, sizeof runs / sizeof *runs);
    }
    json_decref(o);
    return e;
}

/* ---- running one ---- */

static bool at_work(const char *state)
{
    return !strcmp(state, "waiting") || !strcmp(state, "running") || !strcmp(state, "verifying");
}

int copy_watch(struct cli *c, const char *path)
{
    for (;;) {
        json_t *o = NULL;
        int e = cli_call(c, "GET", path, NULL, &o);
        const char *state = cli_str(o, "state");
        json_int_t done = json_integer_value(cli_at(o, "progress.bytes")),
                   all = json_integer_value(cli_at(o, "progress.bytes_total"));
        if (e != CLI_OK || !at_work(state)) {
            bool good = !strcmp(state, "ok") || !strcmp(state, "detach");
            cli_progress_end(c);
            if (e == CLI_OK && c->json)
                cli_json(o);
            else if (e == CLI_OK)
                printf("%s: %s\n", cli_word(c, state), cli_str(o, "text"));
            json_decref(o);
            return e != CLI_OK ? e : good ? CLI_OK : CLI_FAILED;
        }
        cli_progress(c, cli_word(c, state), (uint64_t)(done > 0 ? done : 0), (uint64_t)(all > 0 ? all : 0), "");
        json_decref(o);
        cli_sleep_ms(WATCH_MS);
    }
}

static int run(struct cli *c, bool verify)
{
    char path[160], one[160];
    int e = find(c, "/run", path);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:b}", "verify", verify), NULL);
    if (e != CLI_OK || !(cli_flag(c, "wait") || (c->tty_err && !c->json)))
        return e;
    (void)snprintf(one, sizeof one, "%.*s", (int)(strlen(path) - 4), path); /* without "/run" */
    return copy_watch(c, one);
}

int cmd_copy_run(struct cli *c)
{
    return run(c, false);
}

int cmd_copy_verify(struct cli *c)
{
    return run(c, true);
}

int cmd_copy_cancel(struct cli *c)
{
    char path[160];
    int e = find(c, "/cancel", path);
    return e == CLI_OK ? cli_call(c, "POST", path, NULL, NULL) : e;
}

int cmd_copy_forget(struct cli *c)
{
    char path[160];
    int e = find(c, "", path);
    return e == CLI_OK ? cli_call(c, "DELETE", path, NULL, NULL) : e;
}

/* ---- changing one ---- */

static int put_yes(struct cli *c, json_t *o, const char *option)
{
    const char *v = cli_opt(c, option);
    if (!v)
        return CLI_OK;
    if (strcmp(v, "yes") != 0 && strcmp(v, "no") != 0) {
        cli_note(c, T(c, "--%s は yes か no です", "--%s is yes or no"), option);
        return CLI_USAGE;
    }
    json_object_set_new(o, option, json_boolean(!strcmp(v, "yes")));
    return CLI_OK;
}

int cmd_copy_set(struct cli *c)
{
    char path[160];
    json_t *o = json_object();
    const char *hour = cli_opt(c, "hour");
    int64_t days = cli_number(c, "max-days", 1, 400), at = hour && !strcmp(hour, "off") ? -1 : cli_number(c, "hour", 0, 23);
    int e = days == -2 || at == -2 ? CLI_USAGE : put_yes(c, o, "elsewhere");
    if (e == CLI_OK)
        e = put_yes(c, o, "enabled");
    if (e == CLI_OK)
        e = find(c, "", path);
    if (cli_opt(c, "name"))
        json_object_set_new(o, "name", json_string(cli_opt(c, "name")));
    if (days > 0)
        json_object_set_new(o, "max_days", json_integer(days));
    if (hour)
        json_object_set_new(o, "hour", at < 0 ? json_null() : json_integer(at));
    if (e == CLI_OK)
        return cli_call(c, "PATCH", path, o, NULL);
    json_decref(o);
    return e;
}

/* ---- preparing a place ---- */

struct place {
    char path[PATH_MAX], disk[PLAT_DISK_NAME_MAX + 1];   /* disk "": a folder */
    char base[PATH_MAX];                                  /* where the disk is mounted, or path */
    bool mounted;                                         /* by us */
    uid_t uid; gid_t gid;
};

static int no_disk(struct cli *c, const char *folder)
{
    cli_note(c, T(c, "そのディスクの UUID が %s に見つかりません", "the UUID of that disk is not in %s"), folder);
    return CLI_FAILED;
}

static int mount_it(struct cli *c, struct place *p)
{
    (void)snprintf(p->base, sizeof p->base, "/tmp/sakimori-disk-XXXXXX"); /* fits */
    if (!mkdtemp(p->base))
        return -errno;
    int r = plat_mount_disk(p->path, p->base, p->uid, p->gid);
    p->mounted = r == 0;
    if (r < 0) {
        (void)!rmdir(p->base); /* just made, empty */
        cli_note(c, T(c, "ディスクをつなげません: %s", "the disk cannot be mounted: %s"), sm_errtext(r, c->ja));
    }
    return r;
}

/* What PATH is: a block device, the folder a disk is mounted at (--disk), or a folder. */
static int look_at(struct cli *c, const json_t *box, struct place *p)
{
    const char *folder = cli_str(box, "disks");
    struct stat st;
    if (!realpath(cli_arg(c, 0), p->path) || stat(p->path, &st) < 0) {
        cli_note(c, "%s: %s", cli_arg(c, 0), sm_errtext(-errno, c->ja));
        return CLI_NOT_FOUND;
    }
    if (S_ISBLK(st.st_mode)) {
        if (plat_disk_of(folder, st.st_rdev, p->disk) < 0)
            return no_disk(c, folder);
        return mount_it(c, p) < 0 ? CLI_FAILED : CLI_OK;
    }
    (void)snprintf(p->base, sizeof p->base, "%s", p->path); /* same size */
    if (!S_ISDIR(st.st_mode)) {
        cli_note(c, T(c, "%s はフォルダーでもディスクでもありません", "%s is neither a folder nor a disk"), p->path);
        return CLI_USAGE;
    }
    if (!cli_flag(c, "disk"))
        return CLI_OK;
    if (!plat_is_mounted(p->path) || plat_disk_of(folder, st.st_dev, p->disk) < 0)
        return no_disk(c, folder);
    return CLI_OK;
}

/* Folder, label and README, all of it the copier's. */
static int write_place(const struct place *p, const char *label)
{
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/" COPY_FOLDER, p->base); /* fits */
    int r = plat_fs_mkdir(AT_FDCWD, path, 0700);
    int dir = r < 0 ? r : plat_fs_open_dir(AT_FDCWD, path);
    if (dir < 0)
        return dir;
    r = plat_fs_mkdir(dir, COPY_VAULT, 0700);
    if (r >= 0)
        r = plat_replace(dir, COPY_LABEL_FILE, SM_SPAN_STR(label), 0600);
    if (r >= 0)
        r = plat_replace(dir, README, SM_SPAN_STR(readme), 0644);
    static const char *const names[] = { COPY_VAULT, COPY_LABEL_FILE, README, "." };
    /* A file system without owners was mounted for the copier already. */
    for (size_t i = 0; r >= 0 && geteuid() == 0 && i < sizeof names / sizeof *names; i++)
        if (fchownat(dir, names[i], p->uid, p->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM)
            r = -errno;
    if (r >= 0)
        r = plat_fs_sync_dir(dir);
    (void)close(dir); /* synced, or the error is told */
    return r < 0 ? r : 0;
}

static bool taken(const struct place *p)
{
    char path[PATH_MAX + 32];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/" COPY_FOLDER, p->base); /* fits */
    return lstat(path, &st) == 0;
}

static int prepare(struct cli *c, const struct place *p)
{
    json_t *o = NULL;
    const char *name = cli_opt(c, "name"), *away = cli_opt(c, "elsewhere");
    char path[160];
    if (away && strcmp(away, "yes") != 0 && strcmp(away, "no") != 0) {
        cli_note(c, T(c, "--elsewhere は yes か no です", "--elsewhere is yes or no"));
        return CLI_USAGE;
    }
    if (taken(p)) {
        cli_note(c, T(c, "%s/%s がもうあります。別の場所にするか、確かめてから片づけてください", "%s/%s is there already: "
            "choose another place, or look at it and move it away"), p->base, COPY_FOLDER);
        return CLI_FAILED;
    }
    int e = cli_call(c, "POST", "/api/v1/copies",
        json_pack("{s:s,s:s,s:s,s:b}", "kind", *p->disk ? "disk" : "folder", "name", name ? name : T(c, "写し", "copy"),
            "place", *p->disk ? p->disk : p->path, "elsewhere", away && !strcmp(away, "yes")), &o);
    if (e != CLI_OK) {
        json_decref(o);
        return e;
    }
    if (*cli_str(o, "warning"))
        cli_note(c, "%s", cli_str(o, "warning"));
    int r = write_place(p, cli_str(o, "label"));
    if (r < 0) {
        cli_note(c, "%s: %s", p->base, sm_errtext(r, c->ja));
        (void)snprintf(path, sizeof path, "/api/v1/copies/%.80s", cli_str(o, "id")); /* ids are short */
        (void)cli_call_quiet(c, "DELETE", path, NULL, NULL); /* what is left is seen in the list */
        e = CLI_FAILED;
    } else if (c->json) {
        cli_json(o);
    } else {
        printf("%s\n", cli_str(o, "id"));
        cli_note(c, *p->disk ? T(c, "用意できました。さしこむたびに写されます。終わったら外してください。",
            "prepared: it is filled whenever it is plugged in; unplug it when that is done")
            : T(c, "用意できました。次のバックアップのあとに写されます。", "prepared: it is filled after the next backup"));
    }
    json_decref(o);
    return e;
}

int cmd_copy_prepare(struct cli *c)
{
    json_t *o = NULL;
    struct place p = { .base = "" };
    int e = cli_call(c, "GET", "/api/v1/copies", NULL, &o);
    const json_t *box = cli_at(o, "box");
    p.uid = (uid_t)json_integer_value(cli_at(box, "uid"));
    p.gid = (gid_t)json_integer_value(cli_at(box, "gid"));
    if (e == CLI_OK && geteuid() != 0 && geteuid() != p.uid) {
        cli_note(c, T(c, "箱の機械で、管理者(root)として動かしてください", "run this on the box itself, as root"));
        e = CLI_DENIED;
    }
    if (e == CLI_OK)
        e = look_at(c, box, &p);
    if (e == CLI_OK)
        e = prepare(c, &p);
    if (p.mounted) {
        int r = plat_unmount(p.base, false);
        if (r < 0)
            cli_note(c, "%s: %s", p.base, sm_errtext(r, c->ja));
        (void)!rmdir(p.base); /* an empty folder in /tmp is no harm */
    }
    json_decref(o);
    return e;
}
