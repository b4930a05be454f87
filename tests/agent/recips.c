/* Whom a machine wraps for when its box lies: what was pinned, and what the sheet signed, and nothing else. */
#include "../test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/init.h"
#include "crypto/sign.h"
#include "plat/fs.h"
#include "sakimori-agent/recips.h"
#include "vault/store/order.h"

static char dir[64], path[96];
static struct crypto_sign_pair orders[4];
static struct sm_buf sets[4];
static struct agent_config config;

static int setup(void **s)
{
    (void)s;
    snprintf(dir, sizeof dir, "/tmp/sakimori-follow-test-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/recipients.json", dir);
    if (mkdir(dir, 0700) || crypto_init())
        return -1;
    memset(config.vault.b, 7, 16);
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t seed[32] = {0, i, 9}, other[32] = {0, i, 8};
        struct crypto_x25519_pair a, b;
        assert_ok(crypto_sign_from_seed(seed, &orders[i]));
        assert_ok(crypto_x25519_from_secret(seed, &a));
        assert_ok(crypto_x25519_from_secret(other, &b));
        struct recipients r = {.n = 2, .r = {{RECIPIENT_SHEET, RECIPIENT_X25519, SM_SPAN(a.public_key, 32)},
            {RECIPIENT_BOX, RECIPIENT_X25519, SM_SPAN(b.public_key, 32)}}};
        assert_ok(recipients_put(&r, &sets[i]));
    }
    config.recipients = sets[0];
    config.has_orders = true;
    memcpy(config.orders_pub, orders[0].public_key, 32);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    for (size_t i = 0; i < 4; i++)
        sm_buf_wipe(&sets[i]);
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

static json_t *change(unsigned from, unsigned to, unsigned by)
{
    struct order o = {.kind = ORDER_RECIPIENTS, .vault = config.vault, .reason = "x", .made = "x"};
    struct sm_buf text = {0}, message = {0};
    uint8_t sig[64];
    char hex[129];
    memset(o.nonce, (int)(16 * from + to), sizeof o.nonce);
    recipients_fingerprint(sm_buf_span(&sets[from]), o.recipients.before);
    memcpy(o.recipients.orders, orders[to].public_key, 32);
    memcpy(o.recipients.set, sets[to].p, sets[to].n);
    o.recipients.set_n = sets[to].n;
    assert_ok(order_put(&o, &text));
    assert_ok(order_message(sm_buf_span(&text), &message));
    assert_ok(crypto_sign(&orders[by], sm_buf_span(&message), sig));
    sm_hex(sig, 64, hex);
    json_t *j = json_pack("{s:s%,s:s}", "order", (const char *)text.p, text.n, "sig", hex);
    sm_buf_wipe(&text);
    sm_buf_wipe(&message);
    return j;
}

static bool wraps_for(const struct recips *f, unsigned set)
{
    return sm_span_eq(SM_SPAN(f->s.set, f->s.set_n), sm_buf_span(&sets[set]));
}

static void fresh(struct recips *f)
{
    unlink(path);
    assert_ok(recips_open(f, &config, path));
}

static void it_follows_what_the_sheet_signed_and_remembers_it(void **s)
{
    struct recips f;
    json_t *shown = json_pack("[o,o]", change(0, 1, 0), change(1, 2, 1));
    (void)s;
    json_t *none = json_array();
    fresh(&f);
    assert_ok(recips_take(&f, none));
    json_decref(none);
    assert_true(wraps_for(&f, 0) && !f.alarm);
    assert_ok(recips_take(&f, shown));
    assert_true(wraps_for(&f, 2) && !f.alarm);
    recips_wipe(&f);
    assert_ok(recips_open(&f, &config, path));
    assert_true(wraps_for(&f, 2));
    assert_ok(recips_take(&f, shown));
    assert_true(wraps_for(&f, 2) && !f.alarm);
    recips_wipe(&f);
    json_decref(shown);
}

static void a_set_that_another_key_signed_is_refused_and_told(void **s)
{
    struct recips f;
    json_t *shown = json_pack("[o]", change(0, 3, 3)), *mixed = json_pack("[o,o]", change(0, 1, 0), change(1, 3, 3));
    (void)s;
    fresh(&f);
    assert_ok(recips_take(&f, shown));
    assert_true(wraps_for(&f, 0) && f.alarm && strstr(f.why, "did not sign"));
    assert_ok(recips_take(&f, mixed)); /* what is good of it holds, what is not is told */
    assert_true(wraps_for(&f, 1) && f.alarm);
    recips_wipe(&f);
    json_decref(shown);
    json_decref(mixed);
}

/* The old sheet was stolen, a new one holds: its thief cannot bring the machine back or elsewhere. */
static void the_old_sheet_signs_nothing_after_the_change(void **s)
{
    struct recips f;
    json_t *good = json_pack("[o]", change(0, 1, 0)), *back = json_pack("[o,o]", change(0, 1, 0), change(1, 3, 0)),
           *fork = json_pack("[o,o]", change(0, 3, 0), change(0, 1, 0));
    (void)s;
    fresh(&f);
    assert_ok(recips_take(&f, good));
    assert_ok(recips_take(&f, back));
    assert_true(wraps_for(&f, 1) && f.alarm);
    assert_ok(recips_take(&f, fork)); /* another branch from before, signed by the stolen sheet */
    assert_true(wraps_for(&f, 1));
    recips_wipe(&f);
    json_decref(good);
    json_decref(back);
    json_decref(fork);
}

static void a_box_that_hides_a_change_again_went_back(void **s)
{
    struct recips f;
    json_t *good = json_pack("[o]", change(0, 1, 0)), *none = json_array(), *other = json_pack("[o]", change(0, 3, 0));
    (void)s;
    fresh(&f);
    assert_ok(recips_take(&f, good));
    assert_ok(recips_take(&f, none));
    assert_true(wraps_for(&f, 1) && f.alarm && strstr(f.why, "went back"));
    assert_ok(recips_take(&f, other));
    assert_true(wraps_for(&f, 1) && f.alarm);
    assert_ok(recips_take(&f, good));
    assert_false(f.alarm);
    recips_wipe(&f);
    json_decref(good);
    json_decref(none);
    json_decref(other);
}

static void nonsense_is_refused_and_changes_nothing(void **s)
{
    static const char *const lies[] = {"[1]", "[{}]", "[{\"order\":1,\"sig\":2}]", "[{\"order\":\"{}\",\"sig\":\"00\"}]", "[null]"};
    struct recips f;
    (void)s;
    fresh(&f);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        json_t *j = json_loads(lies[i], 0, NULL);
        assert_ok(recips_take(&f, j));
        assert_true(wraps_for(&f, 0) && f.alarm);
        json_decref(j);
    }
    recips_wipe(&f);
}

static void a_file_of_its_own_that_was_changed_counts_for_nothing(void **s)
{
    struct recips f;
    json_t *forged = json_pack("{s:[o]}", "changes", change(0, 3, 3));
    char *text = json_dumps(forged, JSON_SORT_KEYS | JSON_COMPACT);
    (void)s;
    fresh(&f);
    recips_wipe(&f);
    assert_ok(plat_replace(AT_FDCWD, path, SM_SPAN_STR(text), 0600));
    assert_ok(recips_open(&f, &config, path));
    assert_true(wraps_for(&f, 0));
    recips_wipe(&f);
    free(text);
    json_decref(forged);
}

static void a_machine_of_an_older_code_follows_nothing_and_says_what_to_do(void **s)
{
    struct recips f;
    json_t *good = json_pack("[o]", change(0, 1, 0));
    (void)s;
    config.has_orders = false;
    fresh(&f);
    assert_ok(recips_take(&f, good));
    assert_true(wraps_for(&f, 0) && f.alarm && strstr(f.why, "sakimori-agent trust"));
    recips_wipe(&f);
    config.recipients = sets[1]; /* after `trust` with a code of the new set */
    config.has_orders = true;
    memcpy(config.orders_pub, orders[1].public_key, 32);
    fresh(&f);
    assert_ok(recips_take(&f, good));
    assert_true(wraps_for(&f, 1) && !f.alarm);
    recips_wipe(&f);
    config.recipients = sets[0];
    memcpy(config.orders_pub, orders[0].public_key, 32);
    json_decref(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_follows_what_the_sheet_signed_and_remembers_it),
        cmocka_unit_test(a_set_that_another_key_signed_is_refused_and_told),
        cmocka_unit_test(the_old_sheet_signs_nothing_after_the_change),
        cmocka_unit_test(a_box_that_hides_a_change_again_went_back),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
        cmocka_unit_test(a_file_of_its_own_that_was_changed_counts_for_nothing),
        cmocka_unit_test(a_machine_of_an_older_code_follows_nothing_and_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
