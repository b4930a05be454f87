/* sakimori-agent: the commands of a person, and the birth of the parts. */
#include <errno.h>
#include <getopt.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/fs.h"
#include "sakimori-agent/access.h"
#include "core/words.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/follow.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/inspect/inspect.h"
#include "sakimori-agent/media.h"
#include "sakimori-agent/join.h"
#include "sakimori-agent/kinds/kind.h"
#include "sakimori-agent/sensor/sensor.h"

static const char *standard_data(void)
{
    static char path[AGENT_PATH_MAX];
    const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");
    if (geteuid() == 0)
        return "/var/lib/sakimori-agent";
    if (xdg && xdg[0] == '/')
        snprintf(path, sizeof path, "%s/sakimori-agent", xdg);
    else
        snprintf(path, sizeof path, "%s/.local/share/sakimori-agent", home ? home : "/nonexistent");
    return path;
}

static bool japanese(void)
{
    const char *lang = getenv("SAKIMORI_LANG");
    if (!lang)
        lang = getenv("LC_ALL");
    if (!lang || !lang[0])
        lang = getenv("LANG");
    return lang && strncmp(lang, "ja", 2) == 0;
}

/* The reader's words first; what has none stands behind those of the number. */
static void say_failed(const char *ja, const char *en, int err, const char *why)
{
    const char *known = sm_word(SM_WORDS_PART, why, japanese());
    if (known || !japanese())
        fprintf(stderr, "%s: %s\n", japanese() ? ja : en, known ? known : why[0] ? why : sm_errtext(err, false));
    else
        fprintf(stderr, "%s: %s%s%s%s\n", ja, sm_errtext(err, true), why[0] ? "(" : "", why, why[0] ? ")" : "");
}

static int usage(FILE *to)
{
    fputs(japanese()
              ? "使い方:\n"
                "  sakimori-agent join URL CODE [--data DIR] [--name NAME]   この機器を Sakimori の箱につなぐ\n"
                "  sakimori-agent move URL [--data DIR]                      箱のアドレスが変わったとき、つなぎ先を変える\n"
                "  sakimori-agent run [--data DIR] [--local SOCKET]          動かす(ふだんは自動で動きます)\n"
                "  sakimori-agent status [--data DIR] [--json]               つながりと最後の保存を見る\n"
                "  sakimori-agent trust CODE [--data DIR]                    箱の新しいコードで、保存を開ける鍵を確かめ直す\n"
                "  sakimori-agent access add NAME --kind KIND [...]          データベースや NAS に入る方法を決める\n"
                "  sakimori-agent access test NAME --kind KIND [--share S]   入れるかどうか、ためす\n"
                "  sakimori-agent access list | remove NAME                  決めたものを見る、消す\n"
                "  sakimori-agent db-restore FILE --kind KIND --into NAME [--access NAME] [--replace]\n"
                "                                                            取り出したデータベースを、新しい名前で入れる\n"
                "  sakimori-agent sensor-check --protect DIR [...]           フォルダの見張りが何を見て、どれだけかかるかを、ためす\n"
                "  sakimori-agent --version\n"
              : "Usage:\n"
                "  sakimori-agent join URL CODE [--data DIR] [--name NAME]   join this machine to a Sakimori box\n"
                "  sakimori-agent move URL [--data DIR]                      the same box has another address now\n"
                "  sakimori-agent run [--data DIR] [--local SOCKET]          run (the service does this)\n"
                "  sakimori-agent status [--data DIR] [--json]               how it is joined, and the last backup\n"
                "  sakimori-agent trust CODE [--data DIR]                    pin anew, by a new code of the box, who can open its backups\n"
                "  sakimori-agent access add NAME --kind KIND [...]          how to get at a database server, a NAS\n"
                "  sakimori-agent access test NAME --kind KIND [--share S]   try it: names what it finds\n"
                "  sakimori-agent access list | remove NAME                  show these, remove one\n"
                "  sakimori-agent db-restore FILE --kind KIND --into NAME [--access NAME] [--replace]\n"
                "                                                            load a restored dump into a new database\n"
                "  sakimori-agent sensor-check --protect DIR [...]           try what watching a folder sees and costs\n"
                "  sakimori-agent --version\n",
        to);
    return to == stdout ? 0 : 2;
}

struct args {
    const char *data, *local, *name, *part, *skip;
    struct access_args access;
    const char *revived;
    bool json, help, version, kept;
};

static int read_args(int argc, char **argv, struct args *a)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},
        {"local", required_argument, NULL, 'l'},
        {"name", required_argument, NULL, 'n'},
        {"part", required_argument, NULL, 'p'},
        {"skip", required_argument, NULL, 's'},
        {"kind", required_argument, NULL, 'K'},
        {"host", required_argument, NULL, 'H'},
        {"port", required_argument, NULL, 'P'},
        {"user", required_argument, NULL, 'U'},
        {"as", required_argument, NULL, 'A'},
        {"domain", required_argument, NULL, 'D'},
        {"share", required_argument, NULL, 'S'},
        {"folder", required_argument, NULL, 'F'},
        {"password-file", required_argument, NULL, 'W'},
        {"access", required_argument, NULL, 'X'},
        {"into", required_argument, NULL, 'I'},
        {"replace", no_argument, NULL, 'R'},
        {"kept", no_argument, NULL, 'k'}, /* between supervisor and guard */
        {"revived", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    const struct {
        int c;
        const char **text; /* NULL: flag */
        bool *flag;
    } to[] = {{'d', &a->data, NULL}, {'l', &a->local, NULL}, {'n', &a->name, NULL}, {'p', &a->part, NULL},
        {'s', &a->skip, NULL}, {'K', &a->access.kind, NULL}, {'H', &a->access.host, NULL}, {'P', &a->access.port, NULL},
        {'U', &a->access.user, NULL}, {'A', &a->access.as, NULL}, {'W', &a->access.password_file, NULL},
        {'X', &a->access.access, NULL}, {'D', &a->access.domain, NULL}, {'S', &a->access.share, NULL},
        {'F', &a->access.folder, NULL}, {'I', &a->access.into, NULL}, {'R', NULL, &a->access.replace},
        {'k', NULL, &a->kept},
        {'r', &a->revived, NULL}, {'j', NULL, &a->json}, {'h', NULL, &a->help}, {'V', NULL, &a->version}};
    const size_t n = sizeof to / sizeof to[0];
    int c;
    while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
        size_t i = 0;
        while (i < n && to[i].c != c)
            i++;
        if (i == n)
            return -SM_EINVAL;
        if (to[i].text)
            *to[i].text = optarg;
        else
            *to[i].flag = true;
    }
    return 0;
}

static int join_command(const struct args *a, int argc, char **argv)
{
    char why[256] = "";
    if (argc - optind != 3)
        return usage(stderr);
    int r = join_box(a->data, argv[optind + 1], argv[optind + 2], a->name ? a->name : "", why);
    if (r) {
        say_failed("つなげませんでした", "could not join", r, why);
        return 1;
    }
    puts(japanese() ? "つながりました。sakimori-agent を動かすと、保存が始まります。"
                    : "Joined. Backups begin when sakimori-agent runs.");
    return 0;
}

static int move_command(const struct args *a, int argc, char **argv)
{
    char why[256] = "";
    if (argc - optind != 2)
        return usage(stderr);
    int r = follow_move(a->data, argv[optind + 1], why);
    if (r) {
        say_failed("つなぎ先を変えられませんでした", "the address could not be changed", r, why);
        return 1;
    }
    puts(japanese() ? "つなぎ先を変えました。sakimori-agent を始め直してください(systemctl restart sakimori-agent)。"
                    : "The address is changed. Restart sakimori-agent now (systemctl restart sakimori-agent).");
    return 0;
}

static int trust_command(const struct args *a, int argc, char **argv)
{
    char why[256] = "";
    if (argc - optind != 2)
        return usage(stderr);
    int r = join_trust(a->data, argv[optind + 1], why);
    if (r) {
        say_failed("変えていません", "nothing was changed", r, why);
        return 1;
    }
    puts(japanese() ? "確かめました。次の保存から、箱のいまの鍵(金庫の紙とカード)で開けるように包みます。"
                    : "Pinned. From the next backup on it wraps for the box's present sheet and card.");
    return 0;
}

/* The folder to leave out by the path it has for every part, wherever they stand. */
static int run_command(const struct args *a)
{
    char skip[PLAT_PATH_MAX];
    size_t there;
    int r = a->skip ? plat_real_path(a->skip, skip, &there) : 0;
    if (!r && a->skip && strcmp(skip, "/") == 0)
        r = -SM_EINVAL;
    if (r) {
        sm_error("--skip %s: %s (an absolute path is expected)", a->skip, sm_strerror(r));
        return 2;
    }
    return supervisor_main(a->data, a->local, a->skip ? skip : NULL, a->revived);
}

int status_main(const char *data, bool json)
{
    struct agent_config c = {0};
    char why[160] = "", path[AGENT_PATH_MAX + 32];
    struct sm_buf text = SM_BUF_INIT(1 << 16);
    json_t *last = NULL, *o;
    int r = agent_config_load(data, &c, why);
    if (r) {
        fprintf(stderr, "%s\n",
            r == -SM_ENOTFOUND
                ? (japanese() ? "この機器は、まだ箱につないでいません。" : "This machine has not joined a box.")
                : why);
        return 1;
    }
    snprintf(path, sizeof path, "%s/cache/status.json", data);
    if (!plat_fs_read_file(AT_FDCWD, path, 1 << 16, &text))
        (void)sm_json_parse(sm_buf_span(&text), 1 << 16, &last, NULL); /* none yet */
    const char *alarm = json_string_value(json_object_get(last, "alarm"));
    o = json_pack("{s:s,s:s,s:s,s:s,s:O?}", "url", c.url, "device", c.device, "name", c.name, "institution",
        c.institution, "last", last);
    if (json) {
        json_dumpf(o, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        const char *at = json_string_value(json_object_get(last, "at")),
                   *st = json_string_value(json_object_get(last, "status"));
        printf(japanese() ? "箱: %s(%s)\nこの機器の名前: %s\n最後の保存: %s %s\n"
                          : "box: %s (%s)\nthis machine: %s\nlast backup: %s %s\n",
            c.url, c.institution, c.name, at ? at : "-", st ? st : "");
        if (alarm && alarm[0])
            printf("%s: %s\n", japanese() ? "■ すぐ電話してください" : "■ CALL NOW", alarm);
    }
    bool call = alarm && alarm[0];
    json_decref(o);
    json_decref(last);
    sm_buf_wipe(&text);
    agent_config_wipe(&c);
    return call ? 1 : 0;
}

static const struct {
    const char *name;
    int (*main)(const char *data, const char *skip);
} parts[] = {
    {"link", link_main},
    {"backup", backup_main},
    {"restore", restore_main},
    {"decoy", decoy_main},
    {"lend", lend_main},
    {"logs", logs_main},
    {"inspect", inspect_main},
    {"judge", judge_main},
    {"scan", scan_main},
    {"yara", yara_main},
    {"sensor", sensor_main},
    {"media", media_main},
    {"actor", actor_main},
    {"prepare", prepare_main},
    {"hook", hook_main},
    {"proof", proof_main},
};

static int part(const struct args *a)
{
    char name[48];
    snprintf(name, sizeof name, "sakimori-agent %s", a->part);
    sm_log_init(name, SM_INFO);
    if (strcmp(a->part, "guard") == 0)
        return guard_main(a->data, a->skip, a->local, a->kept);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(a->part, parts[i].name) == 0)
            return parts[i].main(a->data, a->skip);
    return 2;
}

/* The parts work in "/": their folder is named whole. */
static int whole_data(struct args *a)
{
    static char data[PLAT_PATH_MAX];
    char here[PLAT_PATH_MAX], path[2 * PLAT_PATH_MAX];
    size_t there;
    if (a->data[0] == '/')
        return 0;
    int r = !a->data[0] ? -SM_EINVAL : getcwd(here, sizeof here) ? 0 : -errno;
    if (!r) {
        snprintf(path, sizeof path, "%s/%s", here, a->data); /* too long: refused by the next line */
        r = plat_real_path(path, data, &there);
    }
    if (r)
        fprintf(stderr, "--data %s: %s\n", a->data, sm_errtext(r, japanese()));
    else
        a->data = data;
    return r;
}

int main(int argc, char **argv)
{
    struct args a = {.data = standard_data()};
    if (argc > 1 && strcmp(argv[1], "sensor-check") == 0) {
        sm_log_init("sakimori-agent sensor-check", SM_INFO);
        return sensor_check_command(argc - 1, argv + 1, japanese());
    }
    if (read_args(argc, argv, &a))
        return usage(stderr);
    if (whole_data(&a))
        return 2;
    if (a.version) {
        puts("sakimori-agent " SM_VERSION);
        return 0;
    }
    if (a.part && strcmp(a.part, "sqlite-copy") == 0 && argc - optind == 2)
        return sqlite_copy_main(argv[optind], argv[optind + 1], a.skip);
    if (a.part && strcmp(a.part, "access-test") == 0 && argc - optind == 1)
        return access_test_part(a.data, &a.access, argv[optind]);
    if (a.part)
        return part(&a);
    const char *command = optind < argc ? argv[optind] : NULL;
    if (a.help || !command)
        return usage(a.help ? stdout : stderr);
    sm_log_init("sakimori-agent", SM_INFO);
    if (strcmp(command, "join") == 0)
        return join_command(&a, argc, argv);
    if (strcmp(command, "move") == 0)
        return move_command(&a, argc, argv);
    if (strcmp(command, "trust") == 0)
        return trust_command(&a, argc, argv);
    if (strcmp(command, "status") == 0)
        return status_main(a.data, a.json);
    if (strcmp(command, "db-restore") == 0) {
        int r = db_restore_command(a.data, &a.access, argc - optind - 1, argv + optind + 1, japanese());
        return r == 2 ? usage(stderr) : r;
    }
    if (strcmp(command, "access") == 0) {
        a.access.json = a.json;
        int r = access_command(a.data, &a.access, argc - optind - 1, argv + optind + 1, japanese());
        return r == 2 ? usage(stderr) : r;
    }
    if (strcmp(command, "run") == 0 && argc - optind == 1)
        return run_command(&a);
    return usage(stderr);
}
