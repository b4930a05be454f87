/* audit and access: what was done, by whom; and the check of an exported log without the box. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori/auditfile.h"
#include "sakimori/commands.h"

/* A machine acts under its id: the name is shown in its place; --json has both. */
static int list_of_names(struct cli *c, const char *path, const struct cli_col *cols, size_t n)
{
    json_t *list = NULL, *row;
    size_t i;
    int e = path ? cli_items(c, path, &list) : CLI_FAILED;
    json_array_foreach(json_object_get(list, "items"), i, row) {
        if (!c->json && *cli_str(row, "who_name"))
            json_object_set(row, "who", json_object_get(row, "who_name"));
    }
    if (e == CLI_OK && c->json)
        cli_json(list);
    else if (e == CLI_OK)
        cli_table(c, json_object_get(list, "items"), cols, n);
    json_decref(list);
    return e;
}

int cmd_audit_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "n", CLI_TEXT, "番号", "No." }, { "at", CLI_TIME, "時刻", "At" },
        { "who", CLI_TEXT, "だれ", "Who" }, { "role_text", CLI_TEXT, "役", "Role" }, { "act_text", CLI_TEXT, "何を", "Act" },
        { "what_text", CLI_TEXT, "内容", "What" }, { "result_text", CLI_TEXT, "結果", "Result" },
        { "from_text", CLI_TEXT, "どこから", "From" } };
    return list_of_names(c, "/api/v1/audit?limit=200", cols, sizeof cols / sizeof *cols);
}

int cmd_access(struct cli *c)
{
    static const struct cli_col cols[] = { { "at", CLI_TIME, "時刻", "At" }, { "who", CLI_TEXT, "だれ", "Who" },
        { "role_text", CLI_TEXT, "役", "Role" }, { "what_text", CLI_TEXT, "何を", "What" },
        { "manifest", CLI_SHORT, "世代", "Generation" }, { "why_text", CLI_TEXT, "理由", "Why" },
        { "result_text", CLI_TEXT, "結果", "Result" } };
    char *path = cli_path("/api/v1/access", "from", cli_opt(c, "from"), "to", cli_opt(c, "to"), "person",
        cli_opt(c, "person"), "limit", "200", NULL);
    int e = list_of_names(c, path, cols, sizeof cols / sizeof *cols);
    free(path);
    return e;
}

int cmd_audit_export(struct cli *c)
{
    const char *to = cli_arg(c, 0);
    if (!strcmp(to, "-"))
        return cli_download(c, "/api/v1/audit/export", 1);
    int fd = plat_fs_create(AT_FDCWD, to, PLAT_FS_EXCL, 0600);
    if (fd < 0) {
        cli_note(c, T(c, "%s を作れません: %s", "cannot make %s: %s"), to, sm_errtext(fd, c->ja));
        return CLI_FAILED;
    }
    int e = cli_download(c, "/api/v1/audit/export", fd);
    if (e == CLI_OK && plat_fs_sync(fd) < 0)
        e = CLI_FAILED;
    close(fd);
    if (e != CLI_OK)
        (void)unlink(to); /* half a log would look like a cut one */
    return e;
}

/* ---- offline ---- */

static const char *fault_words(const struct cli *c, enum auditfile_fault f)
{
    switch (f) {
    case AUDITFILE_CHANGED:
        return T(c, "書き換えられています", "was changed");
    case AUDITFILE_REMOVED:
        return T(c, "この前の行が消されています", "lines before it were removed");
    case AUDITFILE_ORDER:
        return T(c, "順番が入れ替わっています", "is out of order");
    default:
        return T(c, "記録の形をしていません", "is not a line of an audit log");
    }
}

static int verdict(struct cli *c, const char *file, const struct auditfile *a, enum auditfile_fault f)
{
    bool ok = f == AUDITFILE_SOUND && a->any;
    if (c->json) {
        json_t *j = json_pack("{s:b,s:I}", "ok", ok, "lines", (json_int_t)a->lines);
        if (!ok)
            json_object_set_new(j, "first_bad",
                json_pack("{s:s,s:I,s:s}", "file", file, "line", (json_int_t)a->lines, "why",
                    a->any || a->lines ? auditfile_fault_name(f) : "empty"));
        else
            json_object_set_new(j, "head", json_pack("{s:I,s:s}", "n", (json_int_t)a->head.n, "hash", a->head.hash));
        cli_json(j);
        json_decref(j);
    } else if (ok) {
        printf(T(c, "%llu 行すべて元のままです。最後: %llu 番 %s\n", "all %llu lines are as they were written; last: no. %llu %s\n"),
            (unsigned long long)a->lines, (unsigned long long)a->head.n, a->head.hash);
    } else if (!a->lines) {
        cli_note(c, T(c, "%s: 空です", "%s: empty"), file);
    } else {
        cli_note(c, T(c, "%s の %llu 行目: %s", "%s line %llu %s"), file, (unsigned long long)a->lines, fault_words(c, f));
    }
    return ok ? CLI_OK : CLI_FAILED;
}

static enum auditfile_fault each_line(FILE *in, struct auditfile *a)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    enum auditfile_fault f = AUDITFILE_SOUND;
    while (f == AUDITFILE_SOUND && (n = getdelim(&line, &cap, '\n', in)) > 0) {
        bool whole = line[n - 1] == '\n';
        f = auditfile_line(a, SM_SPAN(line, (size_t)n - (whole ? 1 : 0)));
        if (f == AUDITFILE_SOUND && !whole)
            f = AUDITFILE_FORM; /* cut in the middle */
    }
    free(line);
    return f;
}

static int verify_files(struct cli *c)
{
    struct auditfile a = { 0 };
    enum auditfile_fault f = AUDITFILE_SOUND;
    const char *file = NULL;
    for (size_t i = 0; f == AUDITFILE_SOUND && (cli_opt_nth(c, "file", i)) != NULL; i++) {
        file = cli_opt_nth(c, "file", i);
        FILE *in = !strcmp(file, "-") ? stdin : fopen(file, "re");
        if (!in) {
            cli_note(c, "%s: %s", file, sm_errtext(-errno, c->ja));
            return errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
        }
        f = each_line(in, &a);
        if (in != stdin)
            (void)fclose(in); /* only read */
    }
    return verdict(c, file, &a, f);
}

int cmd_audit_verify(struct cli *c)
{
    if (cli_flag(c, "file"))
        return verify_files(c);
    json_t *v = NULL;
    int e = cli_call(c, "POST", "/api/v1/audit/verify", NULL, &v);
    if (e != CLI_OK)
        return e;
    bool ok = json_is_true(json_object_get(v, "ok"));
    if (c->json)
        cli_json(v);
    else if (ok)
        printf(T(c, "%lld 行すべて元のままです\n", "all %lld lines are as they were written\n"),
            (long long)json_integer_value(json_object_get(v, "lines")));
    else
        cli_note(c, T(c, "%lld 行目が元と違います(%s)", "line %lld is not as it was written (%s)"),
            (long long)json_integer_value(cli_at(v, "first_bad.line")), cli_str(v, "first_bad.why"));
    json_decref(v);
    return ok ? CLI_OK : CLI_FAILED;
}
