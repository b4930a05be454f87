/*
 * guide: how to build a machine anew, in words: what it was, in which order, how long it took in the last drill.  The same
 * text is laid beside what `recover` gives back, where there is no box to ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/guide.h"

/* What came from a machine must not move the terminal. */
static int clean(struct sm_buf *b, const char *value)
{
    int r = 0;
    for (const char *s = value; *s && !r; s++)
        r = sm_buf_put_u8(b, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : (uint8_t)*s);
    return r;
}

static int line(struct sm_buf *b, const char *name, const char *value)
{
    int r = value[0] ? sm_buf_printf(b, "  %s: ", name) : 0;
    if (!r)
        r = clean(b, value);
    return r || !value[0] ? r : sm_buf_put_u8(b, '\n');
}

static int list(struct sm_buf *b, const char *name, const json_t *items)
{
    struct sm_buf all = SM_BUF_INIT(65536);
    int r = 0;
    for (size_t i = 0; i < json_array_size(items) && !r; i++) {
        const char *s = json_string_value(json_array_get(items, i));
        r = s ? sm_buf_printf(&all, "%s%s", i ? ", " : "", s) : 0;
    }
    const char *text = r ? NULL : sm_buf_str(&all);
    if (!r)
        r = text ? line(b, name, text) : -ENOMEM;
    sm_buf_wipe(&all);
    return r;
}

static int amount(struct sm_buf *b, const char *name, const json_t *v)
{
    char text[32];
    cli_bytes((uint64_t)json_integer_value(v), text);
    return json_is_integer(v) ? line(b, name, text) : 0;
}

static int disks(struct cli *c, struct sm_buf *b, const json_t *items)
{
    int r = 0;
    for (size_t i = 0; i < json_array_size(items) && !r; i++) {
        const json_t *d = json_array_get(items, i);
        char all[32], used[32], text[400];
        cli_bytes((uint64_t)json_integer_value(json_object_get(d, "bytes")), all);
        cli_bytes((uint64_t)json_integer_value(json_object_get(d, "used_bytes")), used);
        (void)snprintf(text, sizeof text, T(c, "%.120s (%.120s, %.20s) %s、使用 %s", "%.120s (%.120s, %.20s) %s, %s used"), cli_str(d, "mount"),
            cli_str(d, "device"), cli_str(d, "type"), all, used); /* cut is fine */
        r = line(b, T(c, "ディスク", "disk"), text);
    }
    return r;
}

static int machine(struct cli *c, const json_t *m, struct sm_buf *b)
{
    char cpus[32];
    (void)snprintf(cpus, sizeof cpus, "%lld", (long long)json_integer_value(json_object_get(m, "cpus"))); /* fits */
    int r = sm_buf_printf(b, "\n%s\n", T(c, "■ この機器", "This machine"));
    if (!r && !json_is_object(m))
        return sm_buf_printf(b, "  %s\n", T(c, "まだ分かりません(新しい版のエージェントで一度保存すると出ます)", "not known yet (a backup by a present agent tells)"));
    if (!r)
        r = line(b, T(c, "名前", "host name"), cli_str(m, "hostname"));
    if (!r)
        r = line(b, T(c, "OS", "system"), cli_str(m, "os"));
    if (!r)
        r = line(b, T(c, "カーネル", "kernel"), cli_str(m, "kernel"));
    if (!r)
        r = line(b, T(c, "種類", "machine"), cli_str(m, "machine"));
    if (!r)
        r = line(b, T(c, "CPU", "processors"), cpus);
    if (!r)
        r = amount(b, T(c, "メモリー", "memory"), json_object_get(m, "memory_bytes"));
    if (!r)
        r = disks(c, b, json_object_get(m, "disks"));
    if (!r)
        r = list(b, T(c, "アドレス", "addresses"), json_object_get(m, "addresses"));
    if (!r)
        r = line(b, T(c, "ゲートウェイ", "gateway"), cli_str(m, "gateway"));
    if (!r)
        r = list(b, "DNS", json_object_get(m, "dns"));
    if (!r)
        r = list(b, T(c, "利用者", "people"), json_object_get(m, "users"));
    if (!r)
        r = list(b, T(c, "入っていた物", "installed"), json_object_get(m, "packages"));
    return r ? r : list(b, T(c, "動いていた物", "services"), json_object_get(m, "services"));
}

static int source(struct cli *c, const json_t *s, struct sm_buf *b)
{
    char size[32], took[64] = "", at[SM_TIME_TEXT];
    const json_t *d = json_object_get(s, "drill");
    const char *kind = cli_str(s, "kind"), *saved = cli_str(s, "saved");
    cli_bytes((uint64_t)json_integer_value(json_object_get(s, "bytes")), size);
    cli_time(cli_str(s, "at"), at);
    if (json_is_true(json_object_get(d, "ok")))
        (void)snprintf(took, sizeof took, T(c, "、練習では全部で約 %lld 秒", ", about %lld s for all of it by the last drill"),
            (long long)json_integer_value(json_object_get(d, "estimate_s"))); /* fits */
    else if (json_is_object(d))
        (void)snprintf(took, sizeof took, "%s", T(c, "、最後の練習は失敗", ", the last drill failed")); /* fits */
    int r = sm_buf_printf(b, "  - ");
    if (!r)
        r = clean(b, cli_str(s, "name"));
    if (!r)
        r = sm_buf_printf(b, "%s%s%s", kind[0] ? " (" : "", cli_word(c, kind), kind[0] ? ")" : "");
    if (!r && !strcmp(saved, "never"))
        r = sm_buf_printf(b, " %s\n", T(c, "一度も保存されていません(箱からは戻せません)", "never saved: the box cannot give it back"));
    else if (!r)
        r = sm_buf_printf(b, " %s%s%s%s%s\n", size, took, at[0] ? "  " : "", at, strcmp(saved, "failing") != 0 ? "" :
            T(c, "(その後の保存は失敗しています)", " (the runs since then failed)"));
    const json_t *where = json_object_get(s, "where"); /* without a box there are only the paths */
    return r ? r : list(b, T(c, "  場所", "  where"), where ? where : json_object_get(s, "paths"));
}

/* The time for everything, and what that number rests on. */
static int together(struct cli *c, const json_t *g, struct sm_buf *b)
{
    const json_t *all = json_object_get(g, "estimate_s"), *of = json_object_get(g, "estimate_of");
    long long measured = json_integer_value(json_object_get(of, "measured")),
              guessed = json_integer_value(json_object_get(of, "guessed")),
              unsaved = json_integer_value(json_object_get(of, "unsaved"));
    int r = 0;
    if (!of) /* nobody counted: without a box */
        return 0;
    if (json_is_integer(all))
        r = sm_buf_printf(b, T(c, "  合わせて約 %lld 分(練習で測った %lld 件から)\n",
            "  together about %lld minutes (from drills of %lld)\n"),
            (long long)(json_integer_value(all) + 59) / 60, measured);
    else
        r = sm_buf_printf(b, "  %s\n", T(c, "かかる時間は分かりません(戻す練習で測ると出ます)",
            "how long it takes is not known: a drill measures it"));
    if (!r && guessed && json_is_integer(all))
        r = sm_buf_printf(b, T(c, "  まだ測っていない %lld 件は、同じ速さと見なしています\n",
            "  %lld not measured yet: taken to be as fast\n"), guessed);
    if (!r && unsaved)
        r = sm_buf_printf(b, T(c, "  一度も保存されていない %lld 件は入っていません\n", "  %lld never saved: not in it\n"), unsaved);
    return r;
}

static const char *const steps[][2] = {
    { "OS を入れる(上の「OS」と同じ版)。ディスク、名前、アドレスを上のとおりにする。", "Install the system (the release above); disks, name and addresses as above." },
    { "上の「入っていた物」を入れる。データベースのプログラムは、同じ版か新しい版にする。まだ動かさない。",
        "Install what was installed; servers of databases in the same version or a newer one. Start nothing yet." },
    { "sakimori-agent を入れ、箱の「機器と保存」で作った番号で join する。箱が無いときは、金庫の紙と保管庫(またはコピー)から `sakimori recover` を使う。",
        "Install sakimori-agent and join with a code from the box. Without a box: `sakimori recover` with the sheet and the vault or a copy." },
    { "ファイルを戻す(下の順)。保存の名前ごとに「戻す」で、最後のきれいな時点を選ぶ。", "Restore the files (in the order below): for each source the last clean generation." },
    { "データベースを別の場所に戻し、`sakimori-agent db-restore` で入れる。PostgreSQL は globals.sql を先に。",
        "Restore databases to another place and load them with `sakimori-agent db-restore`; of PostgreSQL globals.sql first." },
    { "上の「動いていた物」を一つずつ動かし、画面を開いて、患者さん一人分を確かめる。", "Start the services one by one, open the program, look at one patient." },
    { "箱で「いますぐ保存」をして、緑になるのを見る。", "Back up now on the box, and see it turn green." },
};

int guide_text(struct cli *c, const json_t *g, struct sm_buf *ret)
{
    const json_t *sources = json_object_get(g, "sources");
    char made[SM_TIME_TEXT];
    cli_time(cli_str(g, "made"), made);
    int r = sm_buf_printf(ret, T(c, "建て直しの手順: %s\n%s %s\n", "To build this machine anew: %s\n%s %s\n"), cli_str(g, "device.name"),
        cli_str(g, "institution"), made);
    if (!r)
        r = machine(c, json_object_get(g, "machine"), ret);
    if (!r)
        r = sm_buf_printf(ret, "\n%s\n", T(c, "■ 順番", "In this order"));
    for (size_t i = 0; i < sizeof steps / sizeof *steps && !r; i++)
        r = sm_buf_printf(ret, "  %zu. %s\n", i + 1, steps[i][c->ja ? 0 : 1]);
    if (!r)
        r = sm_buf_printf(ret, "\n%s\n", T(c, "■ 戻す物(データベースでない物から)", "What to restore (databases last)"));
    for (int databases = 0; databases < 2; databases++)
        for (size_t i = 0; i < json_array_size(sources) && !r; i++) {
            const json_t *s = json_array_get(sources, i);
            const char *kind = cli_str(s, "kind");
            bool files = !kind[0] || !strcmp(kind, "files") || !strcmp(kind, "smb");
            if (files != (databases == 1))
                r = source(c, s, ret);
        }
    return r ? r : together(c, g, ret);
}

static int show(struct cli *c, const json_t *device)
{
    char path[256];
    json_t *g = NULL;
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%.128s/guide", cli_str(device, "id"));
    int e = cli_call(c, "GET", path, NULL, &g);
    if (e == CLI_OK && c->json) {
        cli_json(g);
    } else if (e == CLI_OK) {
        e = guide_text(c, g, &text) ? CLI_FAILED : CLI_OK;
        if (e == CLI_OK)
            fwrite(text.p, 1, text.n, stdout);
        putchar('\n');
    }
    sm_buf_wipe(&text);
    json_decref(g);
    return e;
}

int cmd_guide(struct cli *c)
{
    json_t *d = NULL, *all = NULL;
    int e;
    if (cli_arg(c, 0)) {
        e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
        e = e == CLI_OK ? show(c, d) : e;
        json_decref(d);
        return e;
    }
    e = cli_call(c, "GET", "/api/v1/devices", NULL, &all);
    const json_t *items = json_object_get(all, "items");
    for (size_t i = 0; i < json_array_size(items) && e == CLI_OK; i++)
        if (strcmp(cli_str(json_array_get(items, i), "state"), "revoked") != 0)
            e = show(c, json_array_get(items, i));
    json_decref(all);
    return e;
}

/* ---- without a box ---- */

int guide_write(struct cli *c, const char *to, const json_t *g)
{
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20);
    int dir = plat_fs_open_dir(AT_FDCWD, to), r = dir < 0 ? dir : guide_text(c, g, &text);
    if (!r)
        r = plat_replace(dir, GUIDE_FILE, sm_buf_span(&text), 0600);
    if (dir >= 0)
        close(dir);
    sm_buf_wipe(&text);
    return r;
}
