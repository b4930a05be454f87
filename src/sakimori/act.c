/* endpoint act, decide, actions, packs, pack: what machines are told to do about an attack, and the evidence they send. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/commands.h"

/* The one word behind an action, by its name in the API. */
static const struct { const char *action, *arg; } words[] = {
    { "block_address", "to" }, { "unblock_address", "to" }, { "block_file", "sha256" }, { "unblock_file", "sha256" }, { "disable_account", "account" },
    { "enable_account", "account" }, { "quarantine", "path" }, { "unquarantine", "id" }, { "remove_quarantine", "id" },
};

static const char *arg_of(const char *action)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].action, action))
            return words[i].arg;
    return NULL;
}

static int machine_path(struct cli *c, const char *which, char path[256])
{
    json_t *d = NULL;
    int e = cli_find(c, "/api/v1/devices", which, &d);
    (void)snprintf(path, 256, "/api/v1/devices/%.128s/actions", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    return e;
}

/* PID:START of each, as `endpoint finding` and /proc have them. */
static json_t *processes(struct cli *c)
{
    json_t *list = json_array();
    const char *text;
    for (size_t i = 0; (text = cli_opt_nth(c, "process", i)) != NULL; i++) {
        char *end = NULL;
        long long pid = strtoll(text, &end, 10), start = end && *end == ':' ? strtoll(end + 1, &end, 10) : 0;
        if (!end || *end || json_array_append_new(list, json_pack("{s:I,s:I}", "pid", (json_int_t)pid, "start", (json_int_t)start))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Seconds, or 90m, 24h, 7d. */
static bool span(const char *text, long long *ret)
{
    char *end = NULL;
    long long n = strtoll(text, &end, 10);
    long long unit = !strcmp(end, "m") ? 60 : !strcmp(end, "h") ? 3600 : !strcmp(end, "d") ? 86400 : *end ? 0 : 1;
    *ret = n * unit;
    return unit && n > 0 && n < 100000000;
}

static bool over(const char *state)
{
    return !strcmp(state, "done") || !strcmp(state, "failed") || !strcmp(state, "ended") || !strcmp(state, "undone");
}

/* Until it is over, as far as --wait goes. */
static int follow(struct cli *c, const char *path, const char *id, json_t **ret)
{
    const char *limit = cli_opt(c, "wait");
    uint64_t until = plat_clock_mono_ms() + (limit ? strtoull(limit, NULL, 10) : 0) * 1000;
    int e;
    for (;;) {
        json_t *j = NULL, *row, *found = NULL;
        size_t i;
        e = cli_call(c, "GET", path, NULL, &j);
        json_array_foreach(json_object_get(j, "items"), i, row)
            if (!strcmp(cli_str(row, "id"), id))
                found = json_incref(row);
        json_decref(j);
        if (e != CLI_OK || !found || over(cli_str(found, "state")) || plat_clock_mono_ms() >= until) {
            *ret = found;
            return e;
        }
        json_decref(found);
        plat_clock_sleep_ms(300);
    }
}

/* The time of --wait ran out: what is known, and that the order stands. */
static int still_open(struct cli *c, const json_t *row)
{
    bool taken = row && !strcmp(cli_str(row, "state"), "taken");
    cli_note(c, "%s", taken ? T(c, "待つ時間がすぎました。機器は受け取りましたが、まだ終わっていません。endpoint actions で見られます。",
                          "the time to wait is over: the machine took the order and is not done yet; see endpoint actions")
        : row ? T(c, "待つ時間がすぎました。機器はまだ受け取っていません。機器がつながると行われます。",
                    "the time to wait is over: the machine has not taken the order yet; it is done when the machine is there")
              : T(c, "命令は送りましたが、どうなったかは分かりません。endpoint actions で見られます。",
                    "the order is sent, but what came of it is not known; see endpoint actions"));
    return CLI_PARTIAL;
}

static int say(struct cli *c, const char *path, const json_t *answer)
{
    json_t *row = NULL;
    int e = cli_opt(c, "wait") ? follow(c, path, cli_str(answer, "id"), &row) : CLI_OK;
    if (e == CLI_OK && c->json)
        cli_json(row ? row : answer);
    else if (e == CLI_OK && row)
        printf("%s  %s  %s\n", cli_str(row, "id"), cli_str(row, "state"), cli_str(row, "detail"));
    else if (e == CLI_OK)
        printf("%s\n", cli_str(answer, "id"));
    if (e == CLI_OK && row && !strcmp(cli_str(row, "state"), "failed"))
        e = CLI_FAILED;
    else if (e == CLI_OK && cli_opt(c, "wait") && (!row || !over(cli_str(row, "state"))))
        e = still_open(c, row);
    json_decref(row);
    return e;
}

int cmd_endpoint_act(struct cli *c)
{
    const char *action = cli_arg(c, 1), *what = cli_arg(c, 2), *arg = arg_of(action), *lasts = cli_opt(c, "for");
    char path[256];
    long long for_s = 0;
    json_t *answer = NULL, *args = json_object(), *list = processes(c);
    if ((arg != NULL) != (what != NULL) || !list || (lasts && !span(lasts, &for_s))) {
        json_decref(args);
        json_decref(list);
        cli_note(c, !list ? T(c, "--process は 番号:始まり と書きます", "--process is PID:START")
            : lasts && !for_s ? T(c, "--for は 3600、90m、24h、7d と書きます", "--for is 3600, 90m, 24h or 7d")
            : arg ? T(c, "何についてかを書いてください", "say what it is about") : T(c, "この操作に、最後の語はいりません", "this action takes no last word"));
        return CLI_USAGE;
    }
    if (arg)
        json_object_set_new(args, arg, json_string(what));
    if (cli_flag(c, "shorter"))
        json_object_set_new(args, "shorter", json_true());
    if (json_array_size(list))
        json_object_set(args, "processes", list);
    json_decref(list);
    json_t *o = json_pack("{s:s,s:o}", "action", action, "args", args);
    if (for_s)
        json_object_set_new(o, "for_s", json_integer(for_s));
    int e = machine_path(c, cli_arg(c, 0), path);
    if (e != CLI_OK)
        json_decref(o);
    else
        e = cli_call(c, "POST", path, o, &answer);
    if (e == CLI_OK)
        e = say(c, path, answer);
    json_decref(answer);
    return e;
}

int cmd_endpoint_decide(struct cli *c)
{
    char path[256], of[256];
    json_t *answer = NULL, *f = NULL;
    int e = cli_find(c, "/api/v1/findings", cli_arg(c, 0), &f);
    (void)snprintf(path, sizeof path, "/api/v1/findings/%.64s/actions", cli_str(f, "id"));  /* ids are short */
    (void)snprintf(of, sizeof of, "/api/v1/devices/%.128s/actions", cli_str(f, "device")); /* the same */
    json_decref(f);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:s}", "action", cli_arg(c, 1)), &answer);
    if (e == CLI_OK)
        e = say(c, of, answer);
    json_decref(answer);
    return e;
}

int cmd_endpoint_actions(struct cli *c)
{
    static const struct cli_col cols[] = { { "at", CLI_TIME, "命令した時", "Ordered" }, { "action", CLI_TEXT, "何を", "What" }, { "state", CLI_TEXT, "どうなった", "State" },
        { "until", CLI_TIME, "終わる時", "Until" }, { "by_name", CLI_TEXT, "だれが", "By" }, { "detail", CLI_TEXT, "くわしく", "Detail" }, { "id", CLI_SHORT, "番号", "Id" } };
    char path[256];
    int e = machine_path(c, cli_arg(c, 0), path);
    return e == CLI_OK ? cli_list(c, path, cols, sizeof cols / sizeof *cols) : e;
}

/* ---- evidence ---- */

int cmd_endpoint_packs(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "device_name", CLI_TEXT, "機器", "Machine" }, { "at", CLI_TIME, "集めた時", "Collected" },
        { "bytes", CLI_BYTES, "大きさ", "Size" }, { "until", CLI_TIME, "消える時", "Kept until" } };
    return cli_list(c, "/api/v1/evidence-packs", cols, sizeof cols / sizeof *cols);
}

static int check(int fd, const char *sha256)
{
    struct crypto_sha256_ctx *h;
    uint8_t sum[32], *piece = malloc(1 << 18);
    char hex[65];
    int r = piece ? crypto_sha256_new(&h) : -ENOMEM;
    if (!r) {
        ssize_t n;
        for (uint64_t at = 0; (n = pread(fd, piece, 1 << 18, (off_t)at)) > 0; at += (uint64_t)n)
            crypto_sha256_put(h, SM_SPAN(piece, (size_t)n));
        crypto_sha256_final(h, sum);
        crypto_sha256_free(h);
        sm_hex(sum, 32, hex);
        r = n < 0 ? -errno : strcmp(hex, sha256) != 0 ? -SM_ECORRUPT : 0;
    }
    free(piece);
    return r;
}

int cmd_endpoint_pack(struct cli *c)
{
    json_t *p = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/evidence-packs", cli_arg(c, 0), &p), fd = -1;
    if (e == CLI_OK && (fd = open(cli_arg(c, 1), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) {
        cli_note(c, "%s: %s", cli_arg(c, 1), sm_errtext(-errno, c->ja));
        e = CLI_FAILED;
    }
    int64_t size = json_integer_value(json_object_get(p, "bytes"));
    for (off_t at = 0; e == CLI_OK && at < size;) {
        (void)snprintf(path, sizeof path, "/api/v1/evidence-packs/%.64s/file?offset=%lld", cli_str(p, "id"), (long long)at); /* ids are short */
        e = cli_download(c, path, fd);
        off_t now = lseek(fd, 0, SEEK_END);
        if (e == CLI_OK && now <= at)
            e = CLI_FAILED;
        at = now;
    }
    int r = e == CLI_OK ? check(fd, cli_str(p, "sha256")) : 0;
    if (r) {
        cli_note(c, "%s", sm_errtext(r, c->ja));
        e = CLI_FAILED;
    }
    if (fd >= 0 && close(fd) < 0)
        e = CLI_FAILED;
    if (e == CLI_OK && c->json)
        cli_json(p);
    json_decref(p);
    return e;
}
