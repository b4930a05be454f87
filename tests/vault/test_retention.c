#include "store_kit.h"
#include "vault/retention/retention.h"

#define HOUR 3600
#define DAY 86400
#define DAY_MS ((uint64_t)86400000)
#define T0 ((int64_t)1767193200)   /* 2026-01-01 00:00 JST, a Thursday */

struct sim { struct retention_generation *g; struct retention_verdict *v; size_t n,
    cap; struct retention_policy p; uint64_t now_ms, seq; };

static void init(struct sim *s, size_t cap)
{
    *s = (struct sim){ .g = calloc(cap, sizeof *s->g), .v = calloc(cap, sizeof *s->v), .cap = cap, .p =
        RETENTION_DEFAULT };
    assert_true(s->g && s->v);
}

static void done(struct sim *s)
{
    free(s->g);
    free(s->v);
}

static struct retention_generation *add(struct sim *s, int64_t box_s, uint64_t running_ms)
{
    assert_true(s->n < s->cap);
    struct retention_generation *g = &s->g[s->n++];
    *g = (struct retention_generation){ .source = 1, .seq = ++s->seq, .box_s = box_s, .running_ms = running_ms, .run =
        RETENTION_SCHEDULED,
        .status = RETENTION_COMPLETE };
    s->now_ms = running_ms;
    return g;
}

static void plan(struct sim *s)
{
    assert_int_equal(retention_plan(&s->p, s->g, s->n, s->now_ms, s->v), 0);
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].locked_until_ms > s->g[i].locked_until_ms)
            s->g[i].locked_until_ms = s->v[i].locked_until_ms;
        s->g[i].slots_held |= s->v[i].slots;
    }
}

/* What expires is gone, as clean-up does it: so drift over many runs shows. */
static size_t drop(struct sim *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!s->v[i].expires)
            s->g[n++] = s->g[i];
    size_t gone = s->n - n;
    s->n = n;
    return gone;
}

static void slots_begin_at_midnight_in_japan(void **state)
{
    assert_int_equal(retention_slot(RETENTION_DAILY, T0) - retention_slot(RETENTION_DAILY, T0 - 1), 1);
    assert_int_equal(retention_slot(RETENTION_MONTHLY, T0) - retention_slot(RETENTION_MONTHLY, T0 - 1), 1);
    assert_int_equal(retention_slot(RETENTION_HOURLY, T0) - retention_slot(RETENTION_HOURLY, T0 - 1), 1);
    int64_t monday = T0 + 4 * DAY;
    assert_int_equal(retention_slot(RETENTION_WEEKLY, monday) - retention_slot(RETENTION_WEEKLY, monday - 1), 1);
    assert_int_equal(retention_slot(RETENTION_WEEKLY, monday + 7 * DAY - 1), retention_slot(RETENTION_WEEKLY, monday));
    assert_true(retention_slot(RETENTION_DAILY, INT64_MAX) >= retention_slot(RETENTION_DAILY, T0));
    assert_true(retention_slot(RETENTION_HOURLY, INT64_MIN) < retention_slot(RETENTION_HOURLY, T0));
}

static void two_years_of_quiet_hours_keep_their_slots(void **state)
{
    struct sim s;
    init(&s, 30000);
    size_t most = 0;
    for (int h = 0; h < 2 * 365 * 24; h++) {
        add(&s, T0 + (int64_t)h * HOUR + 60, (uint64_t)h * 3600000);
        if (h % 6)
            continue;
        plan(&s);
        (void)drop(&s);
        most = s.n > most ? s.n : most;
    }
    unsigned count[4] = { 0 };
    plan(&s);
    for (size_t i = 0; i < s.n; i++)
        for (unsigned k = 0; k < 4; k++)
            count[k] += s.v[i].slots >> k & 1;
    assert_int_equal(count[0], 48);
    assert_int_equal(count[1], 35);
    assert_int_equal(count[2], 26);
    assert_int_equal(count[3], 24);         /* two years have no more months */
    assert_true(most < 14 * 24 + 48 + 35 + 26 + 60);
    print_message("17520 hours, at most %zu kept\n", most);
    done(&s);
}

static void junk_that_comes_first_does_not_keep_the_good_one_out(void **state)
{
    struct sim s;
    init(&s, 8);
    add(&s, T0 + 10, 10)->status = RETENTION_PARTIAL;
    add(&s, T0 + 20, 20)->run = RETENTION_ADHOC;
    add(&s, T0 + 30, 30)->suspicious = true;
    add(&s, T0 + 40, 40);                   /* the first clean one */
    add(&s, T0 + 50, 50);
    add(&s, T0 + 60, 60)->run = RETENTION_MADE_UP;
    plan(&s);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.v[i].slots, i == 3 ? 15 : 0);
    done(&s);
}

static void a_slot_without_a_clean_one_keeps_its_first(void **state)
{
    struct sim s;
    init(&s, 8);
    add(&s, T0 + 10, 10);
    add(&s, T0 + DAY + 10, DAY_MS)->suspicious = true;
    add(&s, T0 + DAY + 20, DAY_MS + 10)->suspicious = true;
    plan(&s);
    assert_int_equal(s.v[0].slots, 15);
    assert_true(s.v[1].slots & RETENTION_DAILY);
    assert_false(s.v[1].slots & RETENTION_MONTHLY);
    assert_int_equal(s.v[2].slots, 0);
    done(&s);
}

static void a_flood_displaces_nothing(void **state)
{
    struct sim s;
    init(&s, 40000);
    for (int d = 0; d < 100; d++)
        add(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS);
    plan(&s);
    uint8_t before[100];
    for (size_t i = 0; i < 100; i++)
        before[i] = s.v[i].slots;
    /* Within the last day: thousands of ad hoc and suspicious ones, and scheduled ones more often than agreed. */
    for (int k = 0; k < 30000; k++) {
        struct retention_generation *g = add(&s, T0 + 99 * DAY + 1 + k % 80000, 99 * DAY_MS + (uint64_t)k);
        g->run = k % 3 ? RETENTION_ADHOC : RETENTION_SCHEDULED;
        g->suspicious = k % 2 == 0;
    }
    plan(&s);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(s.v[i].slots & (RETENTION_DAILY | RETENTION_WEEKLY | RETENTION_MONTHLY),
            before[i] & (RETENTION_DAILY | RETENTION_WEEKLY | RETENTION_MONTHLY));
    done(&s);
}

static void suspicious_days_do_not_use_up_clean_slots(void **state)
{
    struct sim s;
    init(&s, 4000);
    for (int d = 0; d < 35; d++)
        add(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS);
    /* False suspicion for ever: nobody thaws. */
    for (int d = 35; d < 400; d++) {
        struct retention_generation *g = add(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS);
        g->suspicious = true;
        for (size_t i = 0; i < s.n; i++)
            s.g[i].frozen = true;
        plan(&s);
        (void)drop(&s);
        assert_int_equal(s.g[0].seq, 1);    /* all 35 clean ones are still there */
        assert_int_equal(s.g[34].seq, 35);
    }
    plan(&s);
    for (size_t i = 0; i < 35; i++)
        assert_true(s.v[i].pinned && (s.v[i].slots & RETENTION_DAILY));
    assert_true(s.n < 35 + 14 + 48 + 35 + 26 + 60);   /* and the suspicious ones are bounded */
    print_message("365 suspicious days, %zu kept\n", s.n);
    done(&s);
}

static void a_six_month_drip_leaves_clean_months_behind(void **state)
{
    struct sim s;
    init(&s, 20000);
    for (int d = 0; d < 365; d++) {
        for (int h = 0; h < 10; h++) {
            struct retention_generation *g = add(&s, T0 + (int64_t)d * DAY + h * HOUR,
                (uint64_t)d * DAY_MS + (uint64_t)h * 3600000);
            g->suspicious = d >= 181 && h % 2;        /* from July on: noticed only now and then */
        }
        plan(&s);
        (void)drop(&s);
    }
    unsigned months = 0;
    plan(&s);
    for (size_t i = 0; i < s.n; i++)
        months += (s.v[i].slots & RETENTION_MONTHLY) && s.g[i].box_s < T0 + 181ll * DAY;
    assert_int_equal(months, 6);
    done(&s);
}

static void a_clock_that_jumps_expires_nothing_early(void **state)
{
    struct sim s;
    init(&s, 4000);
    for (int d = 0; d < 60; d++)
        add(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS);
    plan(&s);
    size_t gone = drop(&s);
    size_t kept = s.n;
    assert_true(gone > 0);
    /* Ten years ahead, and back again: the wall is wrong, the running time is not. */
    add(&s, T0 + 3650ll * DAY, 60 * DAY_MS);
    plan(&s);
    unsigned out = 0;
    for (size_t i = 0; i < s.n; i++)
        out += s.v[i].expires;
    assert_true(out <= 1);                  /* one slot came, one goes; not years of them */
    add(&s, T0 - 3650ll * DAY, 60 * DAY_MS + 1000);
    plan(&s);
    assert_true(drop(&s) <= 3);
    assert_true(s.n >= kept - 1);
    done(&s);
}

static void locks_count_running_time_and_only_extend(void **state)
{
    struct sim s;
    init(&s, 8);
    s.p = (struct retention_policy){ 0, 0, 0, 0, 14 };
    add(&s, T0, 0);
    add(&s, T0 + 1, 1);
    add(&s, T0 + 2, 2);
    s.now_ms = 14 * DAY_MS - 1;             /* whatever the wall says */
    plan(&s);
    assert_int_equal(s.v[0].why, RETENTION_LOCKED);
    assert_int_equal(s.v[2].why, RETENTION_LAST);
    s.now_ms = 14 * DAY_MS;
    plan(&s);
    assert_int_equal(s.v[0].why, RETENTION_EXPIRED);
    assert_int_equal(s.v[1].why, RETENTION_LOCKED);
    s.p.min_days = 1;                       /* a shorter policy does not shorten what was promised */
    plan(&s);
    assert_int_equal(s.v[1].locked_until_ms, 14 * DAY_MS + 1);
    s.p.min_days = 30;
    plan(&s);
    assert_int_equal(s.v[1].locked_until_ms, 30 * DAY_MS + 1);
    done(&s);
}

/* ---- what survives an attack: a year of hourly backups, then the attack, and what is left of the year ---- */

struct attack { const char *name; int days; void (*day)(struct sim *s, int day, int64_t wall, uint64_t running); };

static void honest(struct sim *s, int64_t wall, uint64_t running, bool suspicious)
{
    for (int h = 0; h < 24; h++) {
        struct retention_generation *g = add(s, wall + h * HOUR, running + (uint64_t)h * 3600000);
        g->suspicious = suspicious;
        g->bytes = 1000;
        g->new_bytes = suspicious ? 100 : 10;
    }
}

static void freeze(struct sim *s, uint64_t since)
{
    for (size_t i = 0; i < s->n; i++) {
        s->g[i].frozen = true;
        s->g[i].frozen_ms = since;
    }
}

static void junk_first(struct sim *s, int day, int64_t wall, uint64_t running)
{
    for (int h = 0; h < 24; h++) {
        struct retention_generation *g = add(s, wall + h * HOUR, running + (uint64_t)h * 3600000);
        g->run = h % 2 ? RETENTION_ADHOC : RETENTION_SCHEDULED;
        g->status = h % 2 ? RETENTION_COMPLETE : RETENTION_PARTIAL;
        add(s, wall + h * HOUR + 60, running + (uint64_t)h * 3600000 + 60000);
    }
}

static void drip(struct sim *s, int day, int64_t wall, uint64_t running)
{
    honest(s, wall, running, day % 2 == 0);
}

static void suspicion(struct sim *s, int day, int64_t wall, uint64_t running)
{
    honest(s, wall, running, true);
    freeze(s, 365 * DAY_MS);
}

static void flood(struct sim *s, int day, int64_t wall, uint64_t running)
{
    for (int i = 0; i < 400; i++) {
        struct retention_generation *g = add(s, wall + i * 200, running + (uint64_t)i * 200000);
        g->suspicious = i % 3 == 0;
        g->bytes = g->new_bytes = 1000;
    }
}

static void clock_ahead(struct sim *s, int day, int64_t wall, uint64_t running)
{
    honest(s, wall + (int64_t)day * 23 * HOUR, running, false);
}

static void clock_years(struct sim *s, int day, int64_t wall, uint64_t running)
{
    honest(s, wall + (day % 2 ? 3650ll : -3650ll) * DAY, running, false);
}

static void clock_months(struct sim *s, int day, int64_t wall, uint64_t running)
{
    honest(s, wall + (int64_t)day * 31 * DAY, running, false);
}

static void an_attack_takes_nothing_of_the_year_before_its_time(void **state)
{
    static const struct attack rows[] = { { "junk first in the slot", 30, junk_first }, { "six-month drip", 183, drip },
        { "false suspicion for ever", 365, suspicion }, { "flood", 30, flood }, { "23 h ahead thirty times", 30, clock_ahead },
        { "ten years ahead and back", 30, clock_years }, { "a month ahead a day", 60, clock_months } };
    print_message("%-26s %5s %5s %5s %5s %6s %6s %6s\n", "attack", "days", "year", "lost", "early", "kept", "clean",
        "susp.");
    for (size_t a = 0; a < sizeof rows / sizeof *rows; a++) {
        struct sim s;
        init(&s, 60000);
        for (int d = 0; d < 365; d++) {
            honest(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS, false);
            plan(&s);
            (void)drop(&s);
        }
        size_t before = s.n, early = 0, lost = 0, kept[2] = { 0 };
        uint64_t last = s.seq;
        for (int d = 0; d < rows[a].days; d++) {
            rows[a].day(&s, d, T0 + (365ll + d) * DAY, (365 + (uint64_t)d) * DAY_MS);
            plan(&s);
            for (size_t i = 0; i < s.n; i++) {
                const struct retention_generation *g = &s.g[i];
                if (!s.v[i].expires || g->seq > last)
                    continue;
                uint8_t h = g->slots_held;
                uint64_t span = h & RETENTION_MONTHLY ? 60 * 31 : h & RETENTION_WEEKLY ? 26 * 7 : h & RETENTION_DAILY ? 35 : 14;
                early += s.now_ms < g->running_ms + span * DAY_MS;
                lost++;
            }
            (void)drop(&s);
        }
        for (size_t i = 0; i < s.n; i++)
            kept[s.g[i].suspicious]++;
        print_message("%-26s %5d %5zu %5zu %5zu %6zu %6zu %6zu\n", rows[a].name, rows[a].days, before, lost, early, s.n,
            kept[0], kept[1]);
        assert_int_equal(early, 0);
        assert_true(s.n < 24 * 14 + 400 * 15 + 1200);
        done(&s);
    }
}

static void a_freeze_thins_the_suspicious_and_after_thirty_days_lets_them_rotate(void **state)
{
    struct sim s;
    init(&s, 4000);
    struct retention_generation *g = add(&s, T0, 0);
    g->bytes = 1000;
    for (int d = 1; d <= 20; d++)
        honest(&s, T0 + (int64_t)d * DAY, (uint64_t)d * DAY_MS, true);
    freeze(&s, DAY_MS);
    plan(&s);
    (void)drop(&s);
    size_t thinned = 0;
    uint64_t bytes = 0;
    plan(&s);
    for (size_t i = 0; i < s.n; i++) {
        thinned += s.v[i].why == RETENTION_THINNED;
        bytes += s.v[i].why == RETENTION_THINNED ? s.g[i].new_bytes : 0;
        assert_int_equal(s.g[i].suspicious ? s.v[i].slots : 0, 0);
    }
    assert_int_equal(thinned, 9);           /* of 100 bytes each, with the newest, as much as one clean copy has */
    assert_int_equal(bytes, 900);
    assert_true(s.v[0].pinned);
    assert_int_equal(s.g[1].seq, 2);        /* the first after the attack is among them */
    s.now_ms = 31 * DAY_MS + DAY_MS;
    plan(&s);
    assert_true(s.v[0].pinned);
    assert_int_equal(s.v[1].why, RETENTION_SLOT);
    assert_false(s.v[1].slots == 0);
    done(&s);
}

static void a_hold_keeps_what_nothing_else_keeps(void **state)
{
    struct sim s;
    init(&s, 8);
    s.p = (struct retention_policy){ 0, 0, 0, 0, 1 };
    add(&s, T0, 0)->held = true;
    add(&s, T0 + 1, 1);
    add(&s, T0 + 2, 2);
    s.now_ms = 400 * DAY_MS;
    plan(&s);
    assert_int_equal(s.v[0].why, RETENTION_HELD);
    assert_int_equal(s.v[1].why, RETENTION_EXPIRED);
    done(&s);
}

static void a_damaged_one_is_not_the_clean_one_of_its_slot(void **state)
{
    struct sim s;
    init(&s, 8);
    add(&s, T0, 0)->damaged = true;
    add(&s, T0 + 1, 1);
    add(&s, T0 + 2, 2)->damaged = true;
    plan(&s);
    assert_int_equal(s.v[0].slots, 0);
    assert_int_equal(s.v[1].slots, 15);
    assert_int_equal(s.v[2].why, RETENTION_LAST);
    done(&s);
}

static void sources_do_not_touch_each_other(void **state)
{
    struct sim s;
    init(&s, 200);
    for (int i = 0; i < 100; i++) {
        add(&s, T0 + i * HOUR, (uint64_t)i)->source = 1 + i % 2;
    }
    plan(&s);
    unsigned n[3] = { 0 };
    for (size_t i = 0; i < s.n; i++)
        n[s.g[i].source] += (s.v[i].slots & RETENTION_HOURLY) != 0;
    assert_int_equal(n[1], 48);
    assert_int_equal(n[2], 48);
    done(&s);
}

static void impossible_policies_are_refused_in_words(void **state)
{
    struct retention_policy p = RETENTION_DEFAULT;
    char why[120];
    p.daily = RETENTION_SLOTS_MAX + 1;
    assert_int_equal(retention_policy_check(&p, why), -SM_EINVAL);
    assert_non_null(strstr(why, "daily"));
    p = RETENTION_DEFAULT;
    p.min_days = 0;
    assert_int_equal(retention_policy_check(&p, why), -SM_EINVAL);
    assert_int_equal(retention_plan(&p, NULL, 0, 0, NULL), -SM_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_begin_at_midnight_in_japan),
        cmocka_unit_test(two_years_of_quiet_hours_keep_their_slots),
        cmocka_unit_test(junk_that_comes_first_does_not_keep_the_good_one_out),
        cmocka_unit_test(a_slot_without_a_clean_one_keeps_its_first),
        cmocka_unit_test(a_flood_displaces_nothing),
        cmocka_unit_test(suspicious_days_do_not_use_up_clean_slots),
        cmocka_unit_test(a_six_month_drip_leaves_clean_months_behind),
        cmocka_unit_test(a_clock_that_jumps_expires_nothing_early),
        cmocka_unit_test(locks_count_running_time_and_only_extend),
        cmocka_unit_test(an_attack_takes_nothing_of_the_year_before_its_time),
        cmocka_unit_test(a_freeze_thins_the_suspicious_and_after_thirty_days_lets_them_rotate),
        cmocka_unit_test(a_hold_keeps_what_nothing_else_keeps),
        cmocka_unit_test(a_damaged_one_is_not_the_clean_one_of_its_slot),
        cmocka_unit_test(sources_do_not_touch_each_other),
        cmocka_unit_test(impossible_policies_are_refused_in_words),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
