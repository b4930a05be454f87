/* takeover, its end: the files of the box go where the box looks for them; last the keys, which make it one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/takeover.h"

#define FILE_MAX ((size_t)256 << 10)

void takeover_wipe(struct takeover_run *t)
{
    store_close(t->st);
    keyring_wipe(&t->open);
    crypto_sign_wipe(&t->orders);
    crypto_sign_wipe(&t->head);
    sm_buf_wipe(&t->plain);
    if (t->work >= 0)
        close(t->work);
    if (t->dir >= 0)
        close(t->dir);
    free(t->from);
    free(t->data);
    sm_zero(t, sizeof *t);
    free(t);
}

static int fail(struct takeover_run *t, const char *what, int err)
{
    cli_note(t->c, "%s/%s: %s", t->data, what, sm_errtext(err, t->c->ja));
    return err;
}

/* Of a run that was cut off: the same thing is put there again. */
static int move_in(struct takeover_run *t, const char *from, const char *to)
{
    int r = plat_fs_remove_tree(t->dir, to);
    if (!r || r == -ENOENT)
        r = plat_fs_rename(t->work, from, t->dir, to, false);
    return r ? fail(t, to, r) : 0;
}

static int write_keys(struct takeover_run *t)
{
    (void)!plat_fs_remove_tree(t->work, "keys"); /* as above */
    int r = plat_fs_mkdir(t->work, "keys", 0700);
    int dir = r ? r : plat_fs_open_dir(t->work, "keys");
    r = dir < 0 ? dir : 0;
    for (size_t i = 0; i < t->keys.n && !r; i++)
        r = plat_replace(dir, t->keys.file[i].name, t->keys.file[i].content, 0600);
    if (dir >= 0)
        close(dir);
    return r ? fail(t, "keys", r) : 0;
}

/* What brain has to tell when it starts for the first time. */
static int write_marker(struct takeover_run *t)
{
    char at[SM_TIME_TEXT], seq[24], id[CID_HEX];
    struct sm_buf text = SM_BUF_INIT(4096);
    sm_time_rfc3339(t->g.time, at);
    cid_hex(&t->g.manifest, id);
    (void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)t->from_head.seq); /* fits */
    json_t *j = json_pack("{s:s,s:s,s:s}", "saved", at, "seq", seq, "manifest", id);
    if (t->has_logs) {
        sm_time_rfc3339(t->logs.time, at);
        json_object_set_new(j, "logs", json_pack("{s:s,s:I,s:I}", "until", at, "block", (json_int_t)t->link.block, "next_block",
            (json_int_t)t->link.next_block));
    }
    int r = j ? sm_json_dump(j, &text) : -ENOMEM;
    if (!r)
        r = plat_replace(t->work, "gen/state/takeover.json", sm_buf_span(&text), 0600);
    json_decref(j);
    sm_buf_wipe(&text);
    return r ? fail(t, "state", r) : 0;
}

static int take_file(void *arg, struct sm_span name, unsigned char type)
{
    struct takeover_run *t = arg;
    char from[128];
    struct sm_buf b = SM_BUF_INIT(FILE_MAX);
    const char *text = (const char *)name.p;
    (void)type;
    if (name.n > 64 || !strcmp(text, "keys.skb") || !strcmp(text, "self.json"))
        return 0;
    (void)snprintf(from, sizeof from, "gen/box/%s", text); /* measured */
    int r = plat_fs_read_file(t->work, from, FILE_MAX, &b);
    if (!r)
        r = plat_replace(t->dir, strcmp(text, "etc-sakimori.conf") ? text : "etc-sakimori.conf.before", sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    if (!r && !t->c->json && !strcmp(text, "etc-sakimori.conf"))
        cli_note(t->c, T(t->c, "前の箱の設定は %s/etc-sakimori.conf.before にあります。要るところを /etc/sakimori/sakimori.conf に写してください",
            "the settings of the old box are in %s/etc-sakimori.conf.before: take what you need into /etc/sakimori/sakimori.conf"),
            t->data);
    return r;
}

static int take_files(struct takeover_run *t)
{
    int box = openat(t->work, "gen/box", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = box < 0 ? -errno : plat_fs_list(box, take_file, t);
    if (box >= 0)
        close(box);
    return r ? fail(t, "", r) : 0;
}

static int take_self(struct takeover_run *t)
{
    struct sm_buf b = SM_BUF_INIT(FILE_MAX);
    (void)!plat_fs_remove_tree(t->work, "self"); /* as above */
    int r = plat_fs_read_file(t->work, "gen/box/self.json", FILE_MAX, &b);
    if (!r)
        r = plat_fs_mkdir(t->work, "self", 0700);
    if (!r)
        r = plat_replace(t->work, "self/self.json", sm_buf_span(&b), 0600);
    sm_buf_wipe(&b);
    return r ? fail(t, "self", r) : move_in(t, "self", "self");
}

/* Owned by who runs this, the box's parent sees that and gives each folder to its own user. */
static int own(struct takeover_run *t, const char *name)
{
    if (fchownat(t->dir, name, geteuid(), getegid(), AT_SYMLINK_NOFOLLOW) < 0 || fchmodat(t->dir, name, 0700, 0) < 0)
        return fail(t, name, -errno);
    return 0;
}

int takeover_place(struct takeover_run *t)
{
    int r = write_keys(t);
    if (!r)
        r = write_marker(t);
    if (!r)
        r = move_in(t, "gen/state", "state");
    if (!r)
        r = own(t, "state");
    if (!r && t->has_logs)
        r = move_in(t, "logs/journal", "journal");
    if (!r && t->has_logs)
        r = own(t, "journal");
    if (!r)
        r = take_self(t);
    if (!r)
        r = take_files(t);
    if (!r && (r = plat_fs_rename(t->work, "keys", t->dir, "keys", false)) != 0)
        (void)fail(t, "keys", r); /* said here */
    if (!r && (r = plat_fs_sync_dir(t->dir)) != 0)
        (void)fail(t, "", r); /* said here */
    return r ? CLI_FAILED : CLI_OK;
}
