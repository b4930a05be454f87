/* The story of the demo, from an empty folder to the alarm. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/demo/demo.h"

#define ALARM_MS 120000

static void step(const struct demo *d, const char *ja, const char *en)
{
    if (!cli_flag(d->c, "headless"))
        cli_note(d->c, "・%s / %s", ja, en);
}

/* ---- before ---- */

static int three_days(struct demo *d)
{
    int e = CLI_OK;
    for (unsigned day = 1; day <= 3 && e == CLI_OK; day++) {
        step(d, "一日の診療とバックアップ", "a day of work, and its backup");
        if (day > 1)
            e = demo_work_a_day(d, day);
        if (e == CLI_OK)
            e = demo_back_up(d);
    }
    return e;
}

/* ---- the attack ---- */

static int encrypt_clinic(struct demo *d)
{
    struct plat_proc p = PLAT_PROC_NONE;
    int status = -1, e = demo_encrypt(d, "full,rename,note", &p);
    uint64_t until = demo_until(120000);
    while (e == CLI_OK && plat_proc_wait(&p, 0, &status) == -SM_ETIME && demo_wait(until))
        ;
    demo_end(&p);
    return e == CLI_OK && status == 0 ? CLI_OK : CLI_FAILED;
}

static int wait_alarm(struct demo *d)
{
    uint64_t until = demo_until(ALARM_MS);
    do {
        json_t *list = NULL, *a;
        size_t i;
        int e = cli_call(d->c, "GET", "/api/v1/alarms", NULL, &list);
        json_array_foreach(json_object_get(list, "items"), i, a)
            if (!d->alarm && !strcmp(cli_str(a, "state"), "call") && json_is_null(json_object_get(a, "closed")))
                d->alarm = json_incref(a);
        json_decref(list);
        if (e != CLI_OK || d->alarm)
            return e;
    } while (demo_wait(until));
    if (!demo_stopped())
        cli_note(d->c, T(d->c, "警報が出ません", "no alarm came"));
    return CLI_FAILED;
}

/* Is every generation from before the attack still there, as it was? */
static bool all_kept(const struct demo *d)
{
    size_t i, k, found = 0;
    json_t *a, *b;
    json_array_foreach(d->before, i, a)
        json_array_foreach(d->generations, k, b)
            found += json_equal(a, b);
    return found == json_array_size(d->before);
}

static int attack(struct demo *d)
{
    step(d, "攻撃のまね: すべてのファイルを暗号化し、名前を変え、脅しの手紙を置く", "mock attack: encrypt every file, rename, leave a note");
    int e = demo_copy_tree(d, "clinic", "reference");
    if (e == CLI_OK)
        e = demo_take_generations(d, &d->before);
    if (e == CLI_OK)
        e = encrypt_clinic(d);
    step(d, "何も知らない次のバックアップ", "the next backup, knowing nothing");
    if (e == CLI_OK)
        e = demo_back_up(d);
    step(d, "攻撃のまね: 盗んだ鍵でバックアップを壊そうとする", "mock attack: destroy the backups with stolen keys");
    if (e == CLI_OK)
        e = demo_steal_keys(d);
    step(d, "警報を待つ", "waiting for the alarm");
    return e == CLI_OK ? wait_alarm(d) : e;
}

/* ---- what to do now ---- */

static void print_json(const struct demo *d)
{
    char clinic[DEMO_PATH], reference[DEMO_PATH];
    demo_path(d, "clinic", clinic);
    demo_path(d, "reference", reference);
    json_t *j = json_deep_copy(d->said);
    json_object_update(j, d->secrets);
    json_object_set_new(j, "pid", json_integer(getpid()));
    json_object_set_new(j, "password", json_string(d->password));
    json_object_set_new(j, "demo", json_string(d->dir));
    json_object_set_new(j, "clinic", json_string(clinic));
    json_object_set_new(j, "reference", json_string(reference));
    json_object_set_new(j, "source", json_string(d->source));
    json_object_set_new(j, "device", json_string(d->device));
    json_object_set(j, "alarm", d->alarm);
    json_object_set(j, "attacks", d->attacks);
    json_object_set(j, "generations", d->generations);
    json_object_set(j, "before", d->before);
    json_object_set_new(j, "kept", json_boolean(all_kept(d)));
    if (json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS) == 0)
        putchar('\n');
    fflush(stdout);
    json_decref(j);
}

static void print_people(const struct demo *d)
{
    char code[8] = "";
    size_t i;
    json_t *one;
    (void)!cli_totp(cli_str(d->secrets, "totp_secret"), code); /* it was good at the set-up */
    printf(
        "\n────────────────────────────────────────\n"
        "見本のクリニックが攻撃されました。取り戻してみてください。\nThe sample clinic was attacked.  Bring it back.\n\n"
        "  画面 / console      %s\n  アカウント / account  %s\n  パスワード / password %s\n  6桁 / code now       %s  (鍵 / secret %s)\n",
        cli_str(d->said, "console_url"), cli_str(d->secrets, "account"), d->password, code,
        cli_str(d->secrets, "totp_secret"));
    printf("  一回限り / one-time  ");
    json_array_foreach(json_object_get(d->secrets, "codes"), i, one)
        printf("%s%s", i && i % 5 == 0 ? "\n                      " : "", json_string_value(one)), putchar(' ');
    printf("\n  戻すカード / restore card %s\n\n", cli_str(d->secrets, "card"));
    printf(
        "1. 画面を開き(証明書の警告は、指紋を確かめて進む)、サインインします。最初の画面に警報があります。\n"
        "   Open the console (check the fingerprint at the browser's warning) and sign in: the alarm is on the first screen.\n"
        "2. 「戻す」で、パスワードと戻すカードで一度だけ解除します。\n"
        "   In Restore, unlock once with the password and the restore card.\n"
        "3. 最後の正常な世代、全部を元の場所へ、確かめて始める、の三つの手順で戻ります。\n"
        "   いまのファイルは消えず、となりの clinic.before-restore-時刻 に移ります。\n"
        "   Three steps: the last clean generation, everything to the original place, check and start.\n"
        "   The present files are not erased: they go to clinic.before-restore-TIME beside the folder.\n\n");
    printf("  証明書の指紋 / CA    %s\n  守っているフォルダー / folder  %s/clinic\n", cli_str(d->said, "ca_fingerprint"), d->dir);
    printf("  盗んだ鍵での攻撃 / attacks with stolen keys  %zu(拒否 / refused %u)\n", json_array_size(d->attacks), demo_refused(d));
    printf("  攻撃の前の世代 / generations from before  %s\n\n",
        all_kept(d) ? "すべてそのまま / all unchanged" : "変わっています / CHANGED");
    printf("終わるには Ctrl-C / Ctrl-C ends it\n");
    fflush(stdout);
}

/* Until a signal, or until the box is gone. */
static int stay(struct demo *d)
{
    int status;
    while (!demo_stopped()) {
        if (plat_proc_wait(&d->box, 0, &status) != -SM_ETIME) {
            cli_note(d->c, T(d->c, "箱が止まりました", "the box stopped"));
            return CLI_FAILED;
        }
        cli_sleep_ms(200);
    }
    return CLI_OK;
}

static int story(struct demo *d)
{
    int e = demo_find_bin(d);
    if (e == CLI_OK)
        e = demo_make_dir(d);
    if (e == CLI_OK)
        e = demo_find_share(d);
    step(d, "見本のクリニックを作る", "making a sample clinic");
    if (e == CLI_OK)
        e = demo_make_clinic(d);
    step(d, "箱を始めて設定する", "starting the box and setting it up");
    if (e == CLI_OK)
        e = demo_start_box(d);
    if (e == CLI_OK)
        e = demo_set_up(d);
    step(d, "機器を登録して守る対象を決める", "joining the machine, choosing what to protect");
    if (e == CLI_OK)
        e = demo_join(d);
    if (e == CLI_OK)
        e = demo_wait_device(d);
    if (e == CLI_OK)
        e = demo_add_source(d);
    if (e == CLI_OK)
        e = three_days(d);
    if (e == CLI_OK)
        e = attack(d);
    return e == CLI_OK ? demo_take_generations(d, &d->generations) : e;
}

int cmd_demo_clinic(struct cli *c)
{
    struct demo *d = calloc(1, sizeof *d);
    if (!d)
        return CLI_FAILED;
    d->c = c;
    d->box = d->agent = PLAT_PROC_NONE;
    d->attacks = json_array();
    d->policy = "endpoint = no\n"; /* the story is that of backups: nothing on the machine stops the mock attack */
    demo_catch_signals();
    int e = story(d);
    if (e == CLI_OK && cli_flag(c, "headless"))
        print_json(d);
    else if (e == CLI_OK)
        print_people(d);
    if (e == CLI_OK)
        e = stay(d);
    if (demo_stopped())
        e = CLI_OK; /* being told to end is no failure */
    demo_clear(d);
    free(d);
    return e;
}
