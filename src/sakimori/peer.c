/* peer: copies of other boxes that are kept here.  copy box, copy code: this box's copy at another one. */
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "plat/fs.h"
#include "sakimori/commands.h"

#define PATH_BYTES 4096
#define PIECE ((size_t)1 << 20)
#define DEPTH_MAX 6

static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
    { "state", CLI_WORD, "様子", "State" }, { "used", CLI_BYTES, "使った量", "Used" }, { "quota", CLI_BYTES, "上限", "Quota" },
    { "head_at", CLI_TIME, "ここまで入っています", "Holds up to" }, { "last_seen", CLI_TIME, "最後のれんらく", "Last seen" } };
#define COLS (sizeof cols / sizeof *cols)

int cmd_peer_list(struct cli *c)
{
    return cli_list(c, "/api/v1/peers", cols, COLS);
}

static int find(struct cli *c, const char *end, char ret_path[160])
{
    json_t *o = NULL;
    int e = cli_find(c, "/api/v1/peers", cli_arg(c, 0), &o);
    (void)snprintf(ret_path, 160, "/api/v1/peers/%.80s%s", cli_str(o, "id"), end); /* ids are short */
    json_decref(o);
    return e;
}

static int print_one(struct cli *c, int e, json_t *o)
{
    static const struct cli_col more[] = { { "institution", CLI_TEXT, "施設", "Institution" },
        { "generations", CLI_TEXT, "世代", "Generations" }, { "packs", CLI_TEXT, "パック", "Packs" },
        { "checked", CLI_TIME, "読み返した日", "Read again" }, { "rotten", CLI_TEXT, "こわれたファイル", "Damaged files" },
        { "joined", CLI_TIME, "始めた日", "Since" }, { "cert_until", CLI_TIME, "証明書の期限", "Certificate until" },
        { "path", CLI_TEXT, "場所", "Place" } };
    if (e == CLI_OK && c->json) {
        cli_json(o);
    } else if (e == CLI_OK) {
        cli_record(c, o, cols, COLS);
        cli_record(c, o, more, sizeof more / sizeof *more);
    }
    json_decref(o);
    return e;
}

int cmd_peer_show(struct cli *c)
{
    char path[160];
    json_t *o = NULL;
    int e = find(c, "", path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &o);
    return print_one(c, e, o);
}

int cmd_peer_check(struct cli *c)
{
    char path[160];
    json_t *o = NULL;
    int e = find(c, "/check", path);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, NULL, &o);
    return print_one(c, e, o);
}

static int say_code(struct cli *c, json_t *body)
{
    json_t *o = NULL;
    int e = cli_call(c, "POST", "/api/v1/peers/codes", body, &o);
    if (e == CLI_OK && c->json) {
        cli_json(o);
    } else if (e == CLI_OK) {
        printf("%s\n%s\n", cli_str(o, "url"), cli_str(o, "code"));
        cli_note(c, T(c, "一時間のうちに一度だけ使えます。相手の箱の「箱の外の写し」の画面か、sakimori copy box で入れます。",
            "works once, within an hour: it is entered at the other box, on its page of copies or by sakimori copy box"));
    }
    json_decref(o);
    return e;
}

int cmd_peer_invite(struct cli *c)
{
    int64_t gib = cli_number(c, "quota", 1, 1000000);
    if (gib == -2)
        return CLI_USAGE;
    if (gib == -1) {
        cli_note(c, T(c, "--quota GIB が必要です", "--quota GIB is needed"));
        return CLI_USAGE;
    }
    return say_code(c, json_pack("{s:s,s:I}", "name", cli_arg(c, 0), "quota_gib", (json_int_t)gib));
}

int cmd_peer_again(struct cli *c)
{
    json_t *o = NULL;
    int e = cli_find(c, "/api/v1/peers", cli_arg(c, 0), &o);
    json_t *body = e == CLI_OK ? json_pack("{s:s}", "peer", cli_str(o, "id")) : NULL;
    json_decref(o);
    return e == CLI_OK ? say_code(c, body) : e;
}

int cmd_peer_set(struct cli *c)
{
    const char *name = cli_opt(c, "name"), *accept = cli_opt(c, "accept");
    int64_t gib = cli_number(c, "quota", 1, 1000000);
    char path[160];
    json_t *o = NULL, *body;
    if (gib == -2 || (accept && strcmp(accept, "yes") != 0 && strcmp(accept, "no") != 0)) {
        if (gib != -2)
            cli_note(c, T(c, "--accept は yes か no です", "--accept is yes or no"));
        return CLI_USAGE;
    }
    int e = find(c, "", path);
    if (e != CLI_OK)
        return e;
    body = json_object();
    if (name)
        json_object_set_new(body, "name", json_string(name));
    if (gib > 0)
        json_object_set_new(body, "quota_gib", json_integer(gib));
    if (accept)
        json_object_set_new(body, "accepting", json_boolean(!strcmp(accept, "yes")));
    e = cli_call(c, "PATCH", path, body, &o);
    return print_one(c, e, o);
}

/* ---- giving a copy back: its files as they are, to a folder or a disk ---- */

struct carry { struct cli *c; int from, to; unsigned depth; uint64_t files, bytes; uint8_t *piece; };

static int carry_file(struct carry *k, const char *name)
{
    uint64_t size = 0, at = 0;
    int in = plat_fs_open_read(k->from, name);
    int out = in < 0 ? in : plat_fs_create(k->to, name, PLAT_FS_EXCL, 0600);
    int r = in < 0 ? in : out < 0 ? out : plat_fs_size(in, &size);
    while (!r && at < size) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        r = plat_fs_pread_all(in, k->piece, n, at);
        if (!r)
            r = plat_fs_write_all(out, SM_SPAN(k->piece, n));
        at += n;
    }
    if (!r)
        r = plat_fs_sync(out);
    if (in >= 0)
        (void)close(in); /* opened for reading */
    if (out >= 0)
        (void)close(out); /* synced, or the error is told */
    k->files += r == 0;
    k->bytes += r ? 0 : size;
    cli_progress(k->c, T(k->c, "取り出しています", "exporting"), k->bytes, 0, "");
    return r;
}

static int carry_one(void *arg, struct sm_span name, unsigned char type)
{
    struct carry *k = arg, below = *k;
    const char *n = (const char *)name.p;
    if (type != DT_DIR)
        return !strcmp(n, "lock") || (name.n > 5 && !strcmp(n + name.n - 5, ".part")) ? 0 : carry_file(k, n);
    if (k->depth == DEPTH_MAX)
        return -SM_ELIMIT;
    int r = plat_fs_mkdir(k->to, n, 0700);
    below.from = r ? r : plat_fs_open_dir(k->from, n);
    below.to = below.from < 0 ? below.from : plat_fs_open_dir(k->to, n);
    below.depth++;
    r = below.to < 0 ? below.to : plat_fs_list(below.from, carry_one, &below);
    if (!r)
        r = plat_fs_sync_dir(below.to);
    if (below.from >= 0)
        (void)close(below.from); /* folders */
    if (below.to >= 0)
        (void)close(below.to);
    k->files = below.files;
    k->bytes = below.bytes;
    return r;
}

static int export(struct cli *c, const char *from, const char *to)
{
    char path[PATH_BYTES];
    struct carry k = { .c = c, .from = plat_fs_open_dir(AT_FDCWD, from), .to = -1, .piece = malloc(PIECE) };
    int n = snprintf(path, sizeof path, "%s/sakimori-copy", to);
    int r = n < 0 || n >= PATH_BYTES ? -ENAMETOOLONG : k.from < 0 ? k.from : k.piece ? 0 : -ENOMEM;
    if (!r)
        r = plat_fs_mkdir_p(to, 0700);
    if (!r)
        r = plat_fs_mkdir(AT_FDCWD, path, 0700);
    if (!r)
        r = k.to = plat_fs_open_dir(AT_FDCWD, path);
    if (r >= 0)
        r = plat_fs_list(k.from, carry_one, &k);
    cli_progress_end(c);
    if (!r)
        r = plat_fs_sync_dir(k.to);
    if (k.from >= 0)
        (void)close(k.from); /* folders */
    if (k.to >= 0)
        (void)close(k.to);
    free(k.piece);
    if (r) {
        cli_note(c, "%s: %s", r == -EEXIST ? path : to, sm_errtext(r, c->ja));
        return CLI_FAILED;
    }
    printf("%s\n", path);
    cli_note(c, T(c, "%llu 個のファイル。相手の施設の「金庫の紙」で、sakimori recover --vault %s/vault で戻せます。",
        "%llu files; with that institution's recovery sheet: sakimori recover --vault %s/vault"), (unsigned long long)k.files,
        path);
    return CLI_OK;
}

int cmd_peer_export(struct cli *c)
{
    char path[160];
    json_t *o = NULL;
    const char *to = cli_opt(c, "to");
    if (!to) {
        cli_note(c, T(c, "--to フォルダーが必要です", "--to DIR is needed"));
        return CLI_USAGE;
    }
    int e = find(c, "", path);
    if (e == CLI_OK)
        e = cli_call(c, "GET", path, NULL, &o);
    if (e == CLI_OK)
        e = export(c, cli_str(o, "path"), to);
    json_decref(o);
    return e;
}

/* ---- this box's copy at another one ---- */

int cmd_copy_box(struct cli *c)
{
    const char *name = cli_opt(c, "name"), *away = cli_opt(c, "elsewhere");
    int64_t kib = cli_number(c, "bandwidth", 0, 100000000);
    json_t *o = NULL;
    if (kib == -2 || (away && strcmp(away, "yes") != 0 && strcmp(away, "no") != 0)) {
        if (kib != -2)
            cli_note(c, T(c, "--elsewhere は yes か no です", "--elsewhere is yes or no"));
        return CLI_USAGE;
    }
    char *code = cli_secret(c, "code", T(c, "相手の箱のコード (SKP1-…): ", "code of the other box (SKP1-…): "));
    if (!code)
        return CLI_USAGE;
    int e = cli_call(c, "POST", "/api/v1/copies", json_pack("{s:s,s:s,s:s,s:s,s:b,s:I}", "kind", "box", "name",
        name ? name : T(c, "となりの箱", "other box"), "place", cli_arg(c, 0), "code", code, "elsewhere",
        !away || !strcmp(away, "yes"), "rate_bytes", (json_int_t)(kib > 0 ? kib * 1024 : 0)), &o);
    cli_secret_free(code);
    if (e == CLI_OK && c->json)
        cli_json(o);
    else if (e == CLI_OK)
        printf("%s\n", cli_str(o, "id"));
    json_decref(o);
    return e;
}

int cmd_copy_code(struct cli *c)
{
    char path[160];
    json_t *o = NULL;
    int e = cli_find(c, "/api/v1/copies", cli_arg(c, 0), &o);
    (void)snprintf(path, sizeof path, "/api/v1/copies/%.80s/keys", cli_str(o, "id")); /* ids are short */
    json_decref(o);
    if (e != CLI_OK)
        return e;
    char *code = cli_secret(c, "code", T(c, "相手の箱の新しいコード (SKP1-…): ", "new code of the other box (SKP1-…): "));
    if (!code)
        return CLI_USAGE;
    e = cli_call(c, "POST", path, json_pack("{s:s}", "code", code), NULL);
    cli_secret_free(code);
    return e;
}
