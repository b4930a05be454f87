#include "sakimorid/options.h"
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include "plat/fs.h"
#include "sakimorid/messages.h"

#define AT(field) offsetof(struct settings, field)
#define FILE_MAX ((size_t)256 << 10)

const struct sm_opt options_table[] = {
    { .name = "listen", .kind = SM_OPT_TEXT, .standard = "127.0.0.1", .min = 1, .max = 64, .offset = AT(listen),
        .ja = "画面と端末の接続を待つアドレス。院内の他の PC から使うときは、この機械のアドレス",
        .en = "Address to listen on.  For other PCs of the institution: the address of this machine" },
    { .name = "port", .kind = SM_OPT_INT, .standard = "8443", .min = 0, .max = 65534, .offset = AT(port),
        .ja = "画面のポート。端末用は次の番号。0 は空いている番号",
        .en = "Port of the console; agents use the next one.  0 picks a free one" },
    { .name = "names", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 1000, .offset = AT(names),
        .ja = "証明書に載せるこの機械の名前やアドレス(コンマ区切り)。自分の名前とアドレスは自動で載る",
        .en = "More names or addresses for the certificate, separated by commas; its own are always in it" },
    { .name = "web", .kind = SM_OPT_PATH, .standard = "", .min = 0, .max = 1024, .offset = AT(web),
        .ja = "画面のファイルの場所。空なら標準の場所", .en = "Folder of the console's files; empty = standard place" },
    { .name = "socket", .kind = SM_OPT_PATH, .standard = "", .min = 0, .max = 100, .offset = AT(socket),
        .ja = "コマンド sakimori のためのソケット。空なら DATA/run/cli.sock",
        .en = "Socket for the command sakimori; empty = DATA/run/cli.sock" },
    { .name = "group", .kind = SM_OPT_TEXT, .standard = "sakimori", .min = 0, .max = 32, .offset = AT(group),
        .ja = "このグループの人はソケットを使える", .en = "Members of this group may use the socket" },
    { .name = "connections", .kind = SM_OPT_INT, .standard = "256", .min = 16, .max = 4096, .offset = AT(connections),
        .ja = "同時接続の上限(画面と端末それぞれ)", .en = "Most connections at once, for console and agents each" },
    { .name = "connections_per_address", .kind = SM_OPT_INT, .standard = "64", .min = 4, .max = 4096,
        .offset = AT(connections_per_address), .ja = "一つのアドレスからの同時接続の上限",
        .en = "Most connections at once from one address" },
    { .name = "idle", .kind = SM_OPT_DURATION, .standard = "60s", .min = 5, .max = 600, .offset = AT(idle_s),
        .ja = "何も送ってこない接続を切るまでの時間", .en = "A connection that sends nothing is closed after this" },
    { .name = "disk_reserve", .kind = SM_OPT_BYTES, .standard = "2G", .min = 64 << 20, .max = 1LL << 44,
        .offset = AT(disk_reserve_bytes), .ja = "バックアップが使わずに残すディスクの空き",
        .en = "Free disk space that backups leave alone" },
    { .name = "disks", .kind = SM_OPT_PATH, .standard = "/dev/disk/by-uuid", .min = 0, .max = 1024, .offset = AT(disks),
        .ja = "つながっているディスクを UUID で見つける場所", .en = "Where disks that are plugged in are found by UUID" },
    { .name = "syslog_listen", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 64, .offset = AT(syslog_listen),
        .ja = "ログ(syslog)を待つアドレス。空なら listen と同じ", .en = "Address to listen on for logs (syslog); empty = as listen" },
    { .name = "syslog_udp", .kind = SM_OPT_INT, .standard = "0", .min = 0, .max = 65535, .offset = AT(syslog_udp),
        .ja = "ログを UDP で受けるポート(ふつう 514)。0 は受けない", .en = "Port for logs over UDP (usually 514); 0: none" },
    { .name = "syslog_tcp", .kind = SM_OPT_INT, .standard = "0", .min = 0, .max = 65535, .offset = AT(syslog_tcp),
        .ja = "ログを TCP で受けるポート(ふつう 514 か 601)。0 は受けない",
        .en = "Port for logs over TCP (usually 514 or 601); 0: none" },
    { .name = "syslog_tls", .kind = SM_OPT_INT, .standard = "0", .min = 0, .max = 65535, .offset = AT(syslog_tls),
        .ja = "ログを TLS で受けるポート(ふつう 6514)。0 は受けない。証明書はこの箱のもの",
        .en = "Port for logs over TLS (usually 6514), with the box's certificate; 0: none" },
    { .name = "rules", .kind = SM_OPT_PATH, .standard = "", .min = 0, .max = 1024, .offset = AT(rules),
        .ja = "製品に付いてくる検知ルールの場所。空なら標準の場所",
        .en = "Folder of the detection rules that are shipped; empty = standard place" },
    { .name = "scrub_days", .kind = SM_OPT_INT, .standard = "30", .min = 1, .max = 365, .offset = AT(scrub_days),
        .ja = "この日数のうちに、保存した物を全部読み直して確かめる",
        .en = "Everything that is kept is read again and checked within so many days" },
    { .name = "scrub_rate", .kind = SM_OPT_BYTES, .standard = "32M", .min = 1 << 20, .max = 1LL << 33,
        .offset = AT(scrub_rate_bytes), .ja = "その読み直しで 1 秒に読む量の上限",
        .en = "Most bytes a second that this reading takes" },
    { .name = "log_level", .kind = SM_OPT_CHOICE, .standard = "info", .choices = "debug|info|warn|error",
        .offset = AT(log_level), .ja = "記録の細かさ", .en = "How much the log says" },
    { .name = "mail_host", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 255, .offset = AT(mail_host),
        .ja = "お知らせメールを送るサーバー。画面の「設定」で変えたものが優先",
        .en = "Mail server; what was set in the console wins" },
    { .name = "mail_port", .kind = SM_OPT_INT, .standard = "587", .min = 1, .max = 65535, .offset = AT(mail_port),
        .ja = "メールサーバーのポート", .en = "Port of the mail server" },
    { .name = "mail_tls", .kind = SM_OPT_CHOICE, .standard = "starttls", .choices = "none|starttls|tls",
        .offset = AT(mail_tls), .ja = "メールの暗号化", .en = "Encryption of mail" },
    { .name = "mail_user", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 255, .offset = AT(mail_user),
        .ja = "メールサーバーの利用者名", .en = "User name at the mail server" },
    { .name = "mail_from", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 255, .offset = AT(mail_from),
        .ja = "差出人のアドレス", .en = "Sender's address" },
    { .name = "mail_password", .kind = SM_OPT_TEXT, .standard = "", .min = 0, .max = 255, .offset = AT(mail_password),
        .ja = "メールサーバーのパスワード(このファイルは管理者だけが読める)",
        .en = "Password at the mail server (only the administrator can read this file)" },
    { .name = "test_clock", .kind = SM_OPT_PATH, .standard = "", .min = 0, .max = 1024, .offset = AT(test_clock),
        .ja = "試験用の時計のファイル。ふだんは空(使うと画面に出る)",
        .en = "Clock file for tests; normally empty (in use, the console says so)" },
};
const size_t options_n = sizeof options_table / sizeof options_table[0];

/* Who is told what.  The mail server's secret goes to out alone. */
static const struct {
    const char *name;
    unsigned to;
} shown[] = {
    { "connections", WHO_FRONT }, { "connections_per_address", WHO_FRONT }, { "idle", WHO_FRONT },
    { "disk_reserve", WHO_VAULT | WHO_BRAIN | WHO_WATCH }, { "scrub_days", WHO_VAULT },
    { "scrub_rate", WHO_VAULT }, { "log_level", WHO_CHILDREN },
    { "disks", WHO_BRAIN }, { "syslog_udp", WHO_BRAIN }, { "syslog_tcp", WHO_BRAIN }, { "syslog_tls", WHO_BRAIN },
    { "mail_host", WHO_OUT | WHO_BRAIN }, { "mail_port", WHO_OUT | WHO_BRAIN }, { "mail_tls", WHO_OUT | WHO_BRAIN },
    { "mail_user", WHO_OUT | WHO_BRAIN }, { "mail_from", WHO_OUT | WHO_BRAIN }, { "mail_password", WHO_OUT },
};

enum { ARG_TEXT, ARG_FLAG, ARG_NUMBER };
static const struct arg_row {
    const char *name;
    int kind;
    size_t offset;
    const char *value, *ja, *en; /* ja NULL: not shown */
} arg_rows[] = {
    { "local-agent", ARG_TEXT, offsetof(struct arguments, local_agent), "PROGRAM", "この機械自身の端末プログラムも動かす",
        "also run the agent of this same machine" },
    { "agent-data", ARG_TEXT, offsetof(struct arguments, agent_data), "DIR", "その端末プログラムのデータの場所(ふだんは DATA-agent)",
        "that agent's folder (normally DATA-agent)" },
    { "data", ARG_TEXT, offsetof(struct arguments, data), "DIR", "データの場所", "folder of the data" },
    { "listen", ARG_TEXT, offsetof(struct arguments, listen), "ADDR", "待つアドレス", "address to listen on" },
    { "port", ARG_TEXT, offsetof(struct arguments, port), "N", "画面のポート(端末は N + 1)",
        "port of the console (agents: N + 1)" },
    { "config", ARG_TEXT, offsetof(struct arguments, config), "FILE", "設定ファイル", "settings file" },
    { "web", ARG_TEXT, offsetof(struct arguments, web), "DIR", "画面のファイル", "files of the console" },
    { "rules", ARG_TEXT, offsetof(struct arguments, rules), "DIR", "製品に付いてくる検知ルール", "detection rules that are shipped" },
    { "headless", ARG_FLAG, offsetof(struct arguments, headless), NULL, "起動後に JSON を一行だけ出す",
        "print one JSON line once it serves" },
    { "help", ARG_FLAG, offsetof(struct arguments, help), NULL, "この説明", "this text" },
    { "version", ARG_FLAG, offsetof(struct arguments, version), NULL, "版", "version" },
    { "child", ARG_TEXT, offsetof(struct arguments, child), NULL, NULL, NULL },
    { "parent", ARG_NUMBER, offsetof(struct arguments, parent), NULL, NULL, NULL },
};
#define ARG_ROWS (sizeof arg_rows / sizeof arg_rows[0])

static const struct arg_row *arg_find(const char *arg, const char **ret_value)
{
    for (size_t i = 0; i < ARG_ROWS; i++) {
        size_t n = strlen(arg_rows[i].name);
        if (strncmp(arg, arg_rows[i].name, n))
            continue;
        if (arg[n] != '\0' && arg[n] != '=')
            continue;
        *ret_value = arg[n] == '=' ? arg + n + 1 : NULL;
        return &arg_rows[i];
    }
    return NULL;
}

static int arg_store(const struct arg_row *row, const char *value, struct arguments *ret)
{
    void *at = (char *)ret + row->offset;
    char *end = NULL;

    if (row->kind == ARG_FLAG) {
        *(bool *)at = true;
        return 0;
    }
    if (row->kind == ARG_TEXT) {
        *(const char **)at = value;
        return 0;
    }
    errno = 0;
    *(int64_t *)at = strtoll(value, &end, 10);
    return errno || *end || !*value ? -SM_EINVAL : 0;
}

int options_arguments(int argc, char **argv, struct arguments *ret, char *ret_why)
{
    struct arguments a = { 0 };

    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct arg_row *row = strncmp(argv[i], "--", 2) ? NULL : arg_find(argv[i] + 2, &value);
        if (!row || (row->kind == ARG_FLAG && value)) {
            snprintf(ret_why, 240, "%.100s: no such option; --help lists them", argv[i]);
            return -SM_EINVAL;
        }
        if (row->kind != ARG_FLAG && !value && i + 1 < argc)
            value = argv[++i];
        if ((row->kind != ARG_FLAG && !value) || arg_store(row, value, &a) < 0) {
            snprintf(ret_why, 240, "--%s: a value is needed", row->name);
            return -SM_EINVAL;
        }
    }
    *ret = a;
    return 0;
}

void options_help(FILE *to)
{
    fprintf(to, "使い方: sakimorid [--data DIR] [--listen ADDR] [--port N] …\n"
                "Usage:  sakimorid [--data DIR] [--listen ADDR] [--port N] ...\n\n");
    for (size_t i = 0; i < ARG_ROWS; i++) {
        const struct arg_row *r = &arg_rows[i];
        if (r->ja)
            fprintf(to, "  --%s%s%s\n      %s\n      %s\n", r->name, r->value ? " " : "", r->value ? r->value : "",
                r->ja, r->en);
    }
}

/* ---- settings ---- */

static int create_file(const char *file, const struct settings *s)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    int r = sm_opt_print(options_table, options_n, s, &text);

    if (r >= 0)
        r = plat_replace(AT_FDCWD, file, sm_buf_span(&text), 0600);
    sm_buf_wipe(&text);
    return r;
}

static int read_settings(const char *file, bool create, struct settings *s, char *ret_why)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    int r = plat_fs_read_file(AT_FDCWD, file, FILE_MAX, &text);

    if (r == -ENOENT && create)
        r = create_file(file, s);
    else if (r >= 0)
        r = sm_opt_parse(options_table, options_n, file, sm_buf_span(&text), s, ret_why);
    if (r < 0 && r != -SM_EINVAL)
        snprintf(ret_why, 240, "%.160s: %s", file, sm_strerror(r));
    sm_buf_wipe(&text);
    return r;
}

static int put_over(const char *name, const char *value, struct settings *s, char *ret_why)
{
    char why[240];
    int r;

    if (!value)
        return 0;
    r = sm_opt_set(options_table, options_n, name, value, s, why);
    if (r < 0)
        snprintf(ret_why, 240, "--%s: %.200s", name, why);
    return r;
}

int options_load(const char *file, bool create, const struct arguments *a, struct settings *ret, char *ret_why)
{
    struct settings s = { 0 };
    char web[PATH_MAX], rules[PATH_MAX];
    const char *rules_full = a->rules && realpath(a->rules, rules) ? rules : a->rules;
    const char *web_full = a->web && realpath(a->web, web) ? web : a->web;
    int r = sm_opt_defaults(options_table, options_n, &s);

    if (r >= 0)
        r = read_settings(file, create, &s, ret_why);
    if (r >= 0)
        r = put_over("listen", a->listen, &s, ret_why);
    if (r >= 0)
        r = put_over("port", a->port, &s, ret_why);
    if (r >= 0)
        r = put_over("web", web_full, &s, ret_why);
    if (r >= 0)
        r = put_over("rules", rules_full, &s, ret_why);
    if (r < 0) {
        options_wipe(&s);
        return r;
    }
    *ret = s;
    return 0;
}

void options_wipe(struct settings *s)
{
    if (s->mail_password)
        sm_zero(s->mail_password, strlen(s->mail_password));
    sm_opt_wipe(options_table, options_n, s);
}

static const struct sm_opt *find(const char *name)
{
    for (size_t i = 0; i < options_n; i++)
        if (!strcmp(options_table[i].name, name))
            return &options_table[i];
    return NULL;
}

static json_t *value_of(const struct settings *s, const struct sm_opt *o)
{
    const void *at = (const char *)s + o->offset;

    switch (o->kind) {
    case SM_OPT_BOOL:
        return json_boolean(*(const bool *)at);
    case SM_OPT_TEXT:
    case SM_OPT_PATH:
    case SM_OPT_CHOICE:
        return json_string(*(char *const *)at);
    default:
        return json_integer(*(const int64_t *)at);
    }
}

json_t *options_for(const struct settings *s, unsigned who)
{
    json_t *j = json_object();

    for (size_t i = 0; j && i < sizeof shown / sizeof shown[0]; i++) {
        const struct sm_opt *o = find(shown[i].name);
        if (!(shown[i].to & who) || !o)
            continue;
        if (json_object_set_new(j, o->name, value_of(s, o)) < 0) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}
