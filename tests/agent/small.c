/* Join codes, the machine's own policy, the last head of the box. */
#include "../test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>
#include "core/json.h"
#include "crypto/init.h"
#include "plat/fs.h"
#include "sakimori-agent/access.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/heads.h"
#include "sakimori-agent/helper.h"
#include "sakimori-agent/join.h"
#include "sakimori-agent/policy.h"

static char dir[64];

static void write_policy(const char *text)
{
    int d = plat_fs_open_dir(AT_FDCWD, dir);
    assert_true(d >= 0);
    assert_ok(plat_replace(d, "policy.conf", SM_SPAN_STR(text), 0600));
    close(d);
}

static void a_join_code_is_read_as_people_type_it(void **s)
{
    uint8_t raw[26];
    struct join_code code;
    struct sm_buf b = SM_BUF_INIT(256);
    char typed[128];
    (void)s;
    for (unsigned i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(7 * i + 1);
    assert_ok(sm_base32(SM_SPAN(raw, sizeof raw), &b));
    for (unsigned version = 1; version <= 2; version++) {
        snprintf(typed, sizeof typed, "skj%u-%.*s %.*s", version, 20, (char *)b.p, (int)b.n - 20, (char *)b.p + 20);
        assert_ok(join_code_read(typed, &code));
        assert_int_equal(code.version, version);
        assert_memory_equal(code.secret, raw, JOIN_SECRET_LEN);
        assert_memory_equal(code.pin, raw + JOIN_SECRET_LEN, JOIN_PIN_LEN);
    }
    sm_buf_wipe(&b);
}

static void a_wrong_join_code_is_refused(void **s)
{
    static const char *const codes[] = {
        "", "SKJ1", "SKJ1-", "SKJ1-AAAA", "SKC1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "SKJ1-0000-1111",
        "SKJ3-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct join_code code;
    (void)s;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(join_code_read(codes[i], &code), -SM_EFORMAT);
}

static void without_a_policy_everything_may_be_read(void **s)
{
    struct agent_policy p = {0};
    char why[160] = "";
    (void)s;
    assert_ok(policy_load(dir, NULL, &p, why));
    assert_true(policy_may_read(&p, "/srv/x"));
    assert_int_equal(p.skip_n, 1); /* the agent's own folder */
    policy_wipe(&p);
}

static void a_policy_allows_only_what_it_names(void **s)
{
    struct agent_policy p = {0};
    char why[160] = "";
    (void)s;
    write_policy("# of the administrator\nallow = /srv/karte\n\nallow = /home/\n");
    assert_ok(policy_load(dir, NULL, &p, why));
    assert_true(policy_may_read(&p, "/srv/karte"));
    assert_true(policy_may_read(&p, "/srv/karte/2026"));
    assert_true(policy_may_read(&p, "/home/a"));
    assert_false(policy_may_read(&p, "/srv/karte2"));
    assert_false(policy_may_read(&p, "/srv/karte/../../etc"));
    assert_false(policy_may_read(&p, "/etc"));
    policy_wipe(&p);
}

static void a_policy_decides_which_kinds_of_sources_there_are(void **s)
{
    static const struct {
        const char *text;
        bool postgresql, sqlite;
    } rows[] = {{"", true, true}, {"kind = postgresql\n", true, false}, {"allow = /srv\n", false, true},
        {"allow = /srv\nkind = postgresql\nkind = sqlite\n", true, true}, {"kind = mariadb\n", false, false}};
    char why[160] = "";
    (void)s;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct agent_policy p = {0};
        write_policy(rows[i].text);
        assert_ok(policy_load(dir, NULL, &p, why));
        assert_int_equal(policy_may_kind(&p, "postgresql"), rows[i].postgresql);
        assert_int_equal(policy_may_kind(&p, "sqlite"), rows[i].sqlite);
        policy_wipe(&p);
    }
    struct agent_policy p = {0};
    write_policy("kind = ../x\n");
    assert_int_equal(policy_load(dir, NULL, &p, why), -SM_EINVAL);
    write_policy("");
}

static void an_access_is_for_its_kind_and_for_nobody_elses_eyes(void **s)
{
    struct access a = {.port = 5433}, b = {.port = 0};
    char why[160] = "", path[256];
    (void)s;
    assert_ok(access_folders(dir));
    assert_ok(access_load(dir, "postgresql", "local", &b, why));
    assert_string_equal(b.host, "");
    assert_int_equal(access_load(dir, "postgresql", "orca", &b, why), -SM_ENOTFOUND);
    snprintf(a.name, sizeof a.name, "orca");
    snprintf(a.kind, sizeof a.kind, "postgresql");
    snprintf(a.host, sizeof a.host, "192.0.2.1");
    snprintf(a.password, sizeof a.password, "ひみつ\"\\ :");
    assert_ok(access_save(dir, &a));
    assert_ok(access_load(dir, "postgresql", "orca", &b, why));
    assert_string_equal(b.password, a.password);
    assert_int_equal(b.port, 5433);
    assert_int_equal(access_load(dir, "mariadb", "orca", &b, why), -SM_EMISMATCH);
    assert_null(strstr(why, "ひみつ"));
    snprintf(path, sizeof path, "%s/access/orca.json", dir);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(access_load(dir, "postgresql", "orca", &b, why), -SM_EDENIED);
    assert_int_equal(chmod(path, 0600), 0);
    static const char *const names[] = {"", "../x", "A", "a/b", "-x", "_", "abcdefghijklmnopqrstuvwxyz0123456789"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_false(access_name_ok(names[i]));
    json_t *f = access_features(dir);
    char *text = json_dumps(f, 0);
    assert_non_null(strstr(text, "\"access:postgresql:orca\""));
    assert_null(strstr(text, "192.0.2.1"));
    free(text);
    json_decref(f);
}

static void a_helpers_work_has_one_form(void **s)
{
    struct helper_work w = {.kind = "postgresql", .name = "orca", .limit_s = 60}, got;
    (void)s;
    memset(w.source, 'a', 32);
    assert_ok(helper_work_get(SM_SPAN(&w, sizeof w), &got));
    assert_string_equal(got.name, "orca");
    assert_int_equal(helper_work_get(SM_SPAN(&w, sizeof w - 1), &got), -SM_EPROTO);
    static const char *const names[] = {"", "../x", "a b", "a/b", "A", "\xe3\x81\x82"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct helper_work bad = w;
        memset(bad.name, 0, sizeof bad.name);
        snprintf(bad.name, sizeof bad.name, "%s", names[i]);
        assert_int_equal(helper_work_get(SM_SPAN(&bad, sizeof bad), &got), -SM_EPROTO);
    }
    memset(w.name, 'a', sizeof w.name);
    assert_int_equal(helper_work_get(SM_SPAN(&w, sizeof w), &got), -SM_EPROTO);
}

static void what_stagings_hold_is_removed_without_following_links(void **s)
{
    char path[300], outside[300], link[300];
    (void)s;
    assert_ok(access_folders(dir));
    snprintf(outside, sizeof outside, "%s/kept", dir);
    assert_int_equal(mkdir(outside, 0700), 0);
    snprintf(path, sizeof path, "%s/kept/file", dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/staging/source%d", dir, i);
        assert_int_equal(mkdir(path, 0700), 0);
        snprintf(link, sizeof link, "%.280s/trap", path);
        assert_int_equal(symlink(outside, link), 0);
    }
    assert_ok(staging_clear(dir, "source0"));
    snprintf(path, sizeof path, "%s/staging/source0", dir);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/staging/source1", dir);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(staging_clear(dir, NULL));
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/kept/file", dir);
    assert_int_equal(access(path, F_OK), 0);
}

static void a_wrong_policy_line_is_named(void **s)
{
    struct agent_policy p = {0};
    char why[160] = "";
    (void)s;
    write_policy("allow = /srv\nalow = /x\n");
    assert_int_equal(policy_load(dir, NULL, &p, why), -SM_EINVAL);
    assert_non_null(strstr(why, "policy.conf:2"));
    policy_wipe(&p);
}

static struct crypto_sign_pair head_key;
static const struct vault_id vault = {"0123456789abcde"};

static void head_hex(uint64_t seq, uint8_t fill, const struct crypto_sign_pair *by, char ret[257])
{
    struct journal_signed_head h = {.s = 1700000000};
    struct sm_buf m = SM_BUF_INIT(512), b = SM_BUF_INIT(256);
    memcpy(h.vault, vault.b, 16);
    h.head.seq = seq;
    memset(h.head.hash, fill, 32);
    assert_ok(journal_head_message(&h, &m));
    assert_ok(crypto_sign(by, sm_buf_span(&m), h.sig));
    assert_ok(journal_head_put(&h, &b));
    sm_hex(b.p, b.n, ret);
    sm_buf_wipe(&m);
    sm_buf_wipe(&b);
}

static void a_head_that_goes_back_or_forks_raises_the_alarm(void **s)
{
    char path[128], hex[257];
    struct heads h;
    (void)s;
    snprintf(path, sizeof path, "%s/head", dir);
    assert_ok(heads_open(&h, path, head_key.public_key, &vault));
    head_hex(10, 1, &head_key, hex);
    assert_ok(heads_take(&h, hex));
    head_hex(12, 2, &head_key, hex);
    assert_ok(heads_take(&h, hex));
    assert_ok(heads_save(&h));
    struct heads again;
    assert_ok(heads_open(&again, path, head_key.public_key, &vault));
    assert_int_equal(again.last.seq, 12);
    head_hex(11, 2, &head_key, hex);
    assert_int_equal(heads_take(&again, hex), -SM_EMISMATCH);
    assert_true(again.alarm);
    again.alarm = false;
    head_hex(12, 3, &head_key, hex);
    assert_int_equal(heads_take(&again, hex), -SM_EMISMATCH);
    assert_true(again.alarm);
    assert_int_equal(again.last.seq, 12);
}

static void an_overtaken_answer_may_show_an_older_head_but_not_one_older_than_its_question(void **s)
{
    char path[128], hex[257];
    struct heads h;
    (void)s;
    snprintf(path, sizeof path, "%s/head3", dir);
    assert_ok(heads_open(&h, path, head_key.public_key, &vault));
    head_hex(10, 1, &head_key, hex);
    assert_ok(heads_take(&h, hex));
    head_hex(14, 2, &head_key, hex);
    assert_ok(heads_take_late(&h, hex, 10));
    head_hex(12, 3, &head_key, hex);
    assert_ok(heads_take_late(&h, hex, 10));
    assert_int_equal(h.last.seq, 14);
    assert_false(h.alarm);
    head_hex(14, 4, &head_key, hex);
    assert_int_equal(heads_take_late(&h, hex, 10), -SM_EMISMATCH);
    h.alarm = false;
    head_hex(9, 5, &head_key, hex);
    assert_int_equal(heads_take_late(&h, hex, 10), -SM_EMISMATCH);
    assert_true(h.alarm);
}

static void a_head_of_another_key_is_refused(void **s)
{
    struct crypto_sign_pair other;
    char path[128], hex[257];
    struct heads h;
    (void)s;
    snprintf(path, sizeof path, "%s/head2", dir);
    assert_ok(crypto_sign_generate(&other));
    assert_ok(heads_open(&h, path, head_key.public_key, &vault));
    head_hex(1, 1, &other, hex);
    assert_int_equal(heads_take(&h, hex), -SM_EAUTH);
    assert_false(h.alarm);
    assert_int_equal(heads_take(&h, "00"), -SM_EFORMAT);
}

static void configuration_and_keys_survive_writing_and_reading(void **s)
{
    struct agent_config c = {.recipients.max = 4096}, d;
    struct agent_keys k, l;
    char path[128], why[160];
    (void)s;
    snprintf(path, sizeof path, "%s/keys", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(c.data, sizeof c.data, "%s", dir);
    snprintf(c.url, sizeof c.url, "https://127.0.0.1:8444");
    snprintf(c.device, sizeof c.device, "dev1");
    snprintf(c.name, sizeof c.name, "受付パソコン1");
    snprintf(c.institution, sizeof c.institution, "さくら内科");
    memset(c.client.b, 7, 16);
    memset(c.head_pub, 9, 32);
    assert_ok(sm_buf_put(&c.recipients, "\1\2\3", 3));
    assert_ok(agent_config_save(&c));
    assert_ok(agent_config_load(dir, &d, why));
    assert_string_equal(d.name, c.name);
    assert_memory_equal(d.head_pub, c.head_pub, 32);
    assert_int_equal(d.recipients.n, 3);
    assert_ok(agent_keys_make(dir, &k));
    assert_int_equal(agent_keys_make(dir, &l), -SM_EEXISTS);
    assert_ok(agent_keys_load(dir, &l, why));
    assert_memory_equal(&k, &l, sizeof k);
    agent_config_wipe(&c);
    agent_config_wipe(&d);
}

static void a_generation_carries_its_sources_name_cut_at_a_characters_end(void **s)
{
    char name[3 * 400 + 1] = "";
    (void)s;
    for (size_t i = 0; i < 400; i++)
        memcpy(name + 3 * i, "\xe5\x8f\x97", 4); /* 1,200 bytes */
    const struct { const char *name, *label; size_t n; } rows[] = {{"受付", "受付", 6}, {"", "", 0}, {name, name, 1023},
        {"sakimori:self", "", 0}, {"sakimori:", "", 0}, {"sakimori", "sakimori", 8}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sm_cleanup(sm_json_free) json_t *source = json_pack("{s:s}", "name", rows[i].name);
        struct sm_span label = backupd_label(source);
        assert_int_equal(label.n, rows[i].n);
        assert_memory_equal(label.p, rows[i].label, label.n);
        assert_true(sm_utf8_valid(label));
    }
    sm_cleanup(sm_json_free) json_t *nameless = json_object();
    assert_int_equal(backupd_label(nameless).n, 0);
    assert_int_equal(backupd_label(NULL).n, 0);
}

static int setup(void **s)
{
    (void)s;
    snprintf(dir, sizeof dir, "/tmp/sakimori-agent-test-%d", (int)getpid());
    return mkdir(dir, 0700) || crypto_init() || crypto_sign_generate(&head_key);
}

static int teardown(void **s)
{
    (void)s;
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_code_is_read_as_people_type_it),
        cmocka_unit_test(a_wrong_join_code_is_refused),
        cmocka_unit_test(without_a_policy_everything_may_be_read),
        cmocka_unit_test(a_policy_allows_only_what_it_names),
        cmocka_unit_test(a_policy_decides_which_kinds_of_sources_there_are),
        cmocka_unit_test(an_access_is_for_its_kind_and_for_nobody_elses_eyes),
        cmocka_unit_test(a_helpers_work_has_one_form),
        cmocka_unit_test(what_stagings_hold_is_removed_without_following_links),
        cmocka_unit_test(a_wrong_policy_line_is_named),
        cmocka_unit_test(a_head_that_goes_back_or_forks_raises_the_alarm),
        cmocka_unit_test(an_overtaken_answer_may_show_an_older_head_but_not_one_older_than_its_question),
        cmocka_unit_test(a_head_of_another_key_is_refused),
        cmocka_unit_test(configuration_and_keys_survive_writing_and_reading),
        cmocka_unit_test(a_generation_carries_its_sources_name_cut_at_a_characters_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
