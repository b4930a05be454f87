/* rules bundle: signed bundles of rules on files, without a box.  docs/FORMAT-rules.md. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "detect/bundle/bundle.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/rules.h"

enum { DEPTH_MAX = 8 };
static const char secret_head[] = "sakimori-rules-secret-0 ";

/* ---- a folder ---- */

struct gathering {
    struct cli *c;
    struct bundle_file *file;
    struct sm_buf *text;
    size_t n, cap;
    int dir;
    const char *path;
    unsigned depth;
};

static bool belongs(const char *name)
{
    size_t n = strlen(name);
    const char *const ends[] = { ".md", ".txt", ".csv" };

    if (bundle_is_rules(name) || bundle_is_sources(name) || !strcmp(name, "LICENSE"))
        return true;
    for (size_t i = 0; i < 3; i++)
        if (n > strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i]))
            return true;
    return false;
}

static int make_room(struct gathering *g)
{
    if (g->n < g->cap)
        return 0;
    size_t cap = g->cap ? 2 * g->cap : 256;
    struct bundle_file *file = realloc(g->file, cap * sizeof *file);
    if (!file)
        return -ENOMEM;
    g->file = file;
    struct sm_buf *text = realloc(g->text, cap * sizeof *text);
    if (!text)
        return -ENOMEM;
    g->text = text;
    g->cap = cap;
    return 0;
}

static int gather_folder(struct gathering *g);

static int gather_file(struct gathering *g, const char *name, const char *path)
{
    int r = g->n == BUNDLE_FILES_MAX ? -SM_ELIMIT : make_room(g);

    if (r < 0)
        return r;
    g->text[g->n] = SM_BUF_INIT(BUNDLE_FILE_MAX);
    g->file[g->n].name = strdup(path);
    if (!g->file[g->n].name)
        return -ENOMEM;
    r = plat_fs_read_file(g->dir, name, BUNDLE_FILE_MAX, &g->text[g->n]);
    g->n++;
    if (r < 0)
        cli_note(g->c, "%s: %s", path, sm_strerror(r));
    return r < 0 ? r : 0;
}

static int on_entry(void *arg, struct sm_span span, unsigned char type)
{
    struct gathering *g = arg;
    const char *name = (const char *)span.p;
    char path[1024];
    int n = snprintf(path, sizeof path, "%s%s%s", g->path, *g->path ? "/" : "", name);

    if (name[0] == '.' || n < 0 || (size_t)n >= sizeof path)
        return 0;
    if (type == DT_DIR && g->depth < DEPTH_MAX && strcmp(name, "tests") != 0) {
        int before = g->dir, below = plat_fs_open_dir(before, name);
        const char *at = g->path;
        if (below < 0)
            return below;
        g->dir = below;
        g->path = path;
        g->depth++;
        int r = gather_folder(g);
        g->depth--;
        g->path = at;
        g->dir = before;
        close(below);
        return r;
    }
    if (type != DT_REG || !belongs(name))
        return 0;
    return gather_file(g, name, path);
}

static int gather_folder(struct gathering *g)
{
    int again = openat(g->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    int r = again < 0 ? -errno : plat_fs_list(again, on_entry, g);

    if (again >= 0)
        close(again);
    return r;
}

static void gather_end(struct gathering *g)
{
    for (size_t i = 0; i < g->n; i++) {
        free((char *)(uintptr_t)g->file[i].name);
        sm_buf_wipe(&g->text[i]);
    }
    free(g->file);
    free(g->text);
}

/* ---- keys ---- */

static int key_make(struct cli *c)
{
    const char *out = cli_opt(c, "out");
    struct crypto_sign_pair pair;
    struct bundle_key key;
    char hex[2 * CRYPTO_SIGN_SEED_LEN + 1], line[160], text[BUNDLE_KEY_TEXT];

    if (!out) {
        cli_note(c, T(c, "--out に、鍵を書くファイルを書いてください", "say with --out which file the key is written to"));
        return CLI_USAGE;
    }
    int r = crypto_sign_generate(&pair), fd = r < 0 ? r : plat_fs_create(AT_FDCWD, out, PLAT_FS_EXCL, 0600);
    if (fd >= 0) {
        sm_hex(pair.seed, sizeof pair.seed, hex);
        int n = snprintf(line, sizeof line, "%s%s\n", secret_head, hex);
        r = plat_fs_write_all(fd, SM_SPAN(line, (size_t)n));
        if (r >= 0)
            r = plat_fs_sync(fd);
        close(fd);
        sm_zero(line, sizeof line);
        sm_zero(hex, sizeof hex);
    }
    memcpy(key.pub, pair.public_key, sizeof key.pub);
    crypto_sign_wipe(&pair);
    if (fd < 0 || r < 0) {
        cli_note(c, "%s: %s", out, sm_strerror(fd < 0 ? fd : r));
        return CLI_FAILED;
    }
    bundle_key_text(&key, text);
    if (c->json) {
        json_t *j = json_pack("{s:s,s:s}", "key", text, "file", out);
        cli_json(j);
        json_decref(j);
    } else {
        printf("%s\n", text);
    }
    return CLI_OK;
}

static int key_load(struct cli *c, const char *file, struct crypto_sign_pair *ret)
{
    struct sm_buf text = SM_BUF_INIT(4096);
    uint8_t seed[CRYPTO_SIGN_SEED_LEN];
    struct stat st;
    const size_t head = sizeof secret_head - 1;
    int r = stat(file, &st) < 0 ? -errno : plat_fs_read_file(AT_FDCWD, file, 4096, &text);

    if (r >= 0 && (st.st_mode & 077)) {
        cli_note(c, T(c, "%s は、ほかの人に読めるようになっています (chmod 600)", "%s can be read by others (chmod 600)"), file);
        r = -EPERM;
    } else if (r >= 0) {
        r = text.n < head + 64 || memcmp(text.p, secret_head, head) != 0 ? -SM_EFORMAT : sm_unhex((const char *)text.p + head, 64, seed, sizeof seed);
        if (r >= 0)
            r = crypto_sign_from_seed(seed, ret);
        sm_zero(seed, sizeof seed);
    }
    if (r < 0 && r != -EPERM)
        cli_note(c, "%s: %s", file, sm_strerror(r));
    if (text.n)
        sm_zero(text.p, text.n);
    sm_buf_wipe(&text);
    return r < 0 ? r : 0;
}

/* ---- make ---- */

static uint64_t serial_of(struct cli *c, int64_t now)
{
    const char *said = cli_opt(c, "serial");
    time_t t = (time_t)now;
    struct tm day;

    if (said)
        return strtoull(said, NULL, 10);
    gmtime_r(&t, &day);
    return (uint64_t)(day.tm_year + 1900) * 1000000 + (uint64_t)(day.tm_mon + 1) * 10000 + (uint64_t)day.tm_mday * 100 + 1;
}

/* Rules that do not load are named, and go into the bundle all the same: a box leaves them out and says so. */
static size_t check_rules(struct cli *c, const char *dir)
{
    const char *path[1] = { dir };
    struct rules r;
    bool json = c->json;

    c->json = false;
    size_t faults = rules_open(c, path, 1, &r) == CLI_OK ? json_array_size(r.faults) : 0;
    c->json = json;
    rules_close(&r);
    return faults;
}

static int make_bundle(struct cli *c, struct gathering *g, const struct crypto_sign_pair *pair)
{
    const char *name = cli_opt(c, "name"), *licence = cli_opt(c, "licence"), *note = cli_opt(c, "note"), *out = cli_opt(c, "out");
    struct bundle_head head = { .name = name, .licence = licence, .note = note ? note : "", .made_s = (int64_t)time(NULL) };
    struct sm_buf file = SM_BUF_INIT(BUNDLE_BYTES_MAX);
    char why[BUNDLE_WHY_MAX] = "";

    head.serial = serial_of(c, head.made_s);
    for (size_t i = 0; i < g->n; i++)
        g->file[i].text = sm_buf_span(&g->text[i]);
    int r = bundle_write(&head, g->file, g->n, pair, !cli_flag(c, "plain"), &file, why);
    if (r >= 0)
        r = plat_replace(AT_FDCWD, out, sm_buf_span(&file), 0644);
    if (r < 0) {
        cli_note(c, "%s: %s", out, why[0] ? why : sm_strerror(r));
    } else if (c->json) {
        json_t *j = json_pack("{s:s,s:I,s:I,s:I}", "file", out, "serial", (json_int_t)head.serial, "files", (json_int_t)g->n, "bytes", (json_int_t)file.n);
        cli_json(j);
        json_decref(j);
    } else {
        printf(T(c, "%s: 番号 %" PRIu64 "、ファイル %zu、%zu バイト\n", "%s: serial %" PRIu64 ", %zu files, %zu bytes\n"), out, head.serial, g->n, file.n);
    }
    sm_buf_wipe(&file);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int bundle_make(struct cli *c)
{
    const char *dir = cli_arg(c, 1), *key = cli_opt(c, "key");
    struct gathering g = { .c = c, .path = "" };
    struct crypto_sign_pair pair;

    if (!dir || !key || !cli_opt(c, "name") || !cli_opt(c, "licence") || !cli_opt(c, "out")) {
        cli_note(c, T(c, "make DIR と --key --name --licence --out が要ります", "make DIR, --key, --name, --licence and --out are needed"));
        return CLI_USAGE;
    }
    if (key_load(c, key, &pair) < 0)
        return CLI_USAGE;
    g.dir = plat_fs_open_dir(AT_FDCWD, dir);
    int r = g.dir < 0 ? g.dir : gather_folder(&g), e = CLI_FAILED;
    if (r < 0) {
        cli_note(c, T(c, "%s を読めません: %s", "cannot read %s: %s"), dir, sm_strerror(r));
    } else {
        size_t faults = check_rules(c, dir);
        if (faults)
            cli_note(c, T(c, "読めないルールが %zu あります。箱では使われません。", "%zu rules cannot be loaded; boxes will leave them out."), faults);
        e = make_bundle(c, &g, &pair);
    }
    if (g.dir >= 0)
        close(g.dir);
    gather_end(&g);
    crypto_sign_wipe(&pair);
    return e;
}

/* ---- check ---- */

static void say_bundle(struct cli *c, const struct bundle *b)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "作った人・組織", "Made by" }, { "serial", CLI_TEXT, "番号", "Serial" },
        { "made", CLI_TIME, "作られた日", "Made" }, { "licence", CLI_TEXT, "ライセンス", "Licence" }, { "note", CLI_TEXT, "変わったこと", "What changed" },
        { "files", CLI_TEXT, "ファイル", "Files" }, { "rules", CLI_TEXT, "ルール", "Rules" }, { "faults", CLI_TEXT, "読めないルール", "Faults" },
        { "signed", CLI_YES, "署名を確かめた", "Signature checked" } };
    const struct bundle_head *h = bundle_head(b);
    struct event_names *names = event_names_new();
    struct sigma_set *set = names ? sigma_set_new(names) : NULL;
    size_t faults = 0;

    for (size_t i = 0; set && i < bundle_count(b); i++) {
        const struct bundle_file *f = bundle_at(b, i);
        size_t before = sigma_count(set);
        if (bundle_is_rules(f->name) && (sigma_add(set, f->name, f->text, NULL, NULL) < 0 || sigma_count(set) == before))
            faults++;
    }
    json_t *j = json_pack("{s:s,s:I,s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "name", h->name, "serial", (json_int_t)h->serial, "made", h->made, "licence",
        h->licence, "note", h->note, "files", (json_int_t)bundle_count(b), "rules", (json_int_t)(set ? sigma_count(set) : 0), "faults",
        (json_int_t)faults, "signed", bundle_signer(b) != NULL);
    if (c->json)
        cli_json(j);
    else
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
    json_decref(j);
    sigma_set_free(set);
    event_names_free(names);
}

static int bundle_check(struct cli *c)
{
    const char *file = cli_arg(c, 1), *said = cli_opt(c, "key");
    struct sm_buf bytes = SM_BUF_INIT(BUNDLE_BYTES_MAX);
    struct bundle_key key;
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";

    if (!file || (said && bundle_key_read(SM_SPAN_STR(said), &key) < 0)) {
        cli_note(c, T(c, "check FILE と、鍵なら SKRB0-… を書いてください", "say check FILE, and a key as SKRB0-…"));
        return CLI_USAGE;
    }
    int r = plat_fs_read_file(AT_FDCWD, file, BUNDLE_BYTES_MAX, &bytes);
    if (r < 0)
        snprintf(why, sizeof why, "%s", sm_strerror(r));
    else
        r = said ? bundle_open(sm_buf_span(&bytes), &key, 1, &b, why) : bundle_look(sm_buf_span(&bytes), &b, why);
    if (r < 0) {
        cli_note(c, "%s: %s", file, why);
    } else {
        if (!said)
            cli_note(c, T(c, "署名は確かめていません(--key SKRB0-…)", "the signature was not checked (--key SKRB0-…)"));
        say_bundle(c, b);
    }
    bundle_free(b);
    sm_buf_wipe(&bytes);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

int cmd_rules_bundle(struct cli *c)
{
    const char *what = cli_arg(c, 0);

    if (!strcmp(what, "make"))
        return bundle_make(c);
    if (!strcmp(what, "check"))
        return bundle_check(c);
    if (!strcmp(what, "key"))
        return key_make(c);
    cli_note(c, T(c, "make、check、key のどれかです", "one of make, check and key"));
    return CLI_USAGE;
}
