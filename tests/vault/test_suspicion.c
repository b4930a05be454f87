#include "store_kit.h"

/*
 * Numbers as a clinic's file server gives them (bench/vault, scale 1): chunks of three kinds, counted as the box sees
 * them.
 * records: 60,000 small files in about 5,000 group chunks, compress 5x; images: 420 files, 1.8 GB, mostly
 * incompressible; db: 34,000
 * chunks of 16 KiB, compress 3x.
 */
#define KIB 1024ull
#define MIB (1024ull * 1024)

static struct suspicion_measures clinic(void)
{
    return (struct suspicion_measures){ .chunks = 5000 + 7000 + 34000,
        .chunk_bytes = 160 * MIB + 1430 * MIB + 180 * MIB, .stored_bytes = 1070 * MIB,
        .pages = 4200, .page_bytes = 12 * MIB };
}

static struct suspicion_input after(struct suspicion_measures m, uint64_t dropped, uint64_t dropped_bytes,
    uint64_t dropped_stored,
    uint64_t came, uint64_t came_bytes, uint64_t came_stored)
{
    struct suspicion_input in = { .base = { true, m }, .now = m };
    in.now.chunks += came - dropped;
    in.now.chunk_bytes += came_bytes - dropped_bytes;
    in.now.stored_bytes += came_stored - dropped_stored;
    in.now.chunks_new = came;
    in.now.chunk_bytes_new = came_bytes;
    in.now.stored_bytes_new = came_stored;
    in.now.chunks_dropped = dropped;
    in.now.chunk_bytes_dropped = dropped_bytes;
    in.now.stored_bytes_dropped = dropped_stored;
    return in;
}

static unsigned score(const struct suspicion_input *in)
{
    struct suspicion_result r;
    suspicion_judge(in, &r);
    for (size_t i = 0; i < r.n; i++) {
        assert_true(r.reasons[i].text[0] && suspicion_code_name(r.reasons[i].code));
        assert_true(i == 0 || r.reasons[i - 1].score >= r.reasons[i].score);
    }
    assert_true(r.score <= 100);
    return r.score;
}

static bool has(const struct suspicion_input *in, enum suspicion_code c)
{
    struct suspicion_result r;
    suspicion_judge(in, &r);
    for (size_t i = 0; i < r.n; i++)
        if (r.reasons[i].code == c)
            return true;
    return false;
}

#define CLEAN(in) assert_in_range(score(&(in)), 0, SUSPICION_THRESHOLD - 1)
#define ALARM(in) assert_in_range(score(&(in)), SUSPICION_THRESHOLD, 100)

static void a_first_backup_is_clean(void **state)
{
    struct suspicion_input in = { .now = clinic(), .facts = { .files = 60421, .files_new = 60421, .bytes = 3200 * MIB,
        .bytes_new_plain = 3200 * MIB,
        .bytes_new_stored = 1770 * MIB, .canaries = 20 } };
    in.now.chunks_new = in.now.chunks;
    in.now.chunk_bytes_new = in.now.chunk_bytes;
    in.now.stored_bytes_new = in.now.stored_bytes;
    CLEAN(in);
}

static void an_ordinary_day_is_clean(void **state)
{
    struct suspicion_input in = after(clinic(), 700, 5 * MIB, 0, 1300, 40 * MIB, 17 * MIB);
    in.facts = (struct suspicion_facts){ .files = 60600, .files_new = 184, .files_changed = 601, .files_deleted = 60,
        .renamed = 60, .extension_changed = 60,
        .bytes = 3200 * MIB, .bytes_new_plain = 70 * MIB, .bytes_new_stored = 40 * MIB, .canaries = 20 };
    assert_int_equal(score(&in), 0);
}

static void a_day_with_a_tenth_changed_is_clean(void **state)
{
    struct suspicion_input in = after(clinic(), 6500 + 600, 52 * MIB, 0, 9000, 320 * MIB, 110 * MIB);
    in.facts = (struct suspicion_facts){ .files = 62000, .files_new = 1842, .files_changed = 6001, .files_deleted = 600,
        .renamed = 600, .extension_changed = 600,
        .bytes = 3400 * MIB, .bytes_new_plain = 500 * MIB, .bytes_new_stored = 320 * MIB, .canaries = 20 };
    CLEAN(in);
}

static void a_big_import_of_pictures_is_clean(void **state)
{
    struct suspicion_input in = after(clinic(), 700, 5 * MIB, 0, 40000, 9000 * MIB, 8900 * MIB);
    in.facts = (struct suspicion_facts){ .files = 63000, .files_new = 2500, .files_changed = 601, .bytes = 12000 * MIB,
        .bytes_new_plain = 9100 * MIB,
        .bytes_new_stored = 9000 * MIB };
    CLEAN(in);
    /* Even on a busy day. */
    in = after(clinic(), 7100, 52 * MIB, 0, 49000, 9100 * MIB, 8900 * MIB);
    CLEAN(in);
}

static void encryption_alarms_also_when_the_client_lies(void **state)
{
    struct suspicion_measures m = clinic();
    /* All of it: every chunk is another one, nothing compresses, files have the same sizes. */
    struct suspicion_input in = after(m, m.chunks, m.chunk_bytes, m.stored_bytes, 20000, 3200 * MIB, 3200 * MIB);
    ALARM(in);
    assert_true(has(&in, SUSPICION_REPLACED));
    assert_true(has(&in, SUSPICION_INCOMPRESSIBLE));
    /* 4 KiB of each 64 KiB: a quarter of the database's chunks, nearly all others. */
    in = after(m, 4900 + 6900 + 8500, 155 * MIB + 1400 * MIB + 45 * MIB, 1050 * MIB, 21000, 2500 * MIB, 2400 * MIB);
    ALARM(in);
    /* Only the records: a tenth of the bytes, the client says nothing. */
    in = after(m, 5000, 160 * MIB, 0, 5200, 780 * MIB, 780 * MIB);
    assert_true(score(&in) < SUSPICION_THRESHOLD || has(&in, SUSPICION_INCOMPRESSIBLE));
    /* The same with an honest client. */
    in.facts = (struct suspicion_facts){ .files = 60421, .files_changed = 60000, .lost_magic = 41000,
        .bytes = 3200 * MIB, .bytes_new_plain = 780 * MIB,
        .bytes_new_stored = 780 * MIB, .extension_changed = 60000 };
    ALARM(in);
    assert_true(has(&in, SUSPICION_LOST_MAGIC) && has(&in, SUSPICION_RENAMED) && has(&in, SUSPICION_CHANGED));
}

static void deletion_of_a_third_alarms_also_when_the_client_lies(void **state)
{
    struct suspicion_measures m = clinic();
    struct suspicion_input in = after(m, m.chunks * 35 / 100, m.chunk_bytes * 35 / 100, m.stored_bytes * 35 / 100, 0, 0,
        0);
    in.now.page_bytes = m.page_bytes * 66 / 100;
    ALARM(in);
    assert_true(has(&in, SUSPICION_DELETED));
    /* Scattered small files: their group chunks live on, but the lists shrink. */
    in = after(m, 100, 2 * MIB, 0, 0, 0, 0);
    in.now.page_bytes = m.page_bytes * 69 / 100;
    ALARM(in);
    assert_true(has(&in, SUSPICION_SHRUNK));
    in.now.page_bytes = m.page_bytes * 90 / 100;
    CLEAN(in);
}

static void small_sources_are_judged_gently_and_still_judged(void **state)
{
    struct suspicion_measures m = { .chunks = 20, .chunk_bytes = 800 * KIB, .pages = 2, .page_bytes = 4 * KIB };
    struct suspicion_input in = after(m, 3, 120 * KIB, 0, 3, 130 * KIB, 0);
    in.facts = (struct suspicion_facts){ .files = 20, .files_changed = 3, .bytes = 2 * MIB,
        .bytes_new_plain = 300 * KIB, .bytes_new_stored = 130 * KIB };
    CLEAN(in);                              /* three of twenty edited */
    in = after(m, 3, 500 * KIB, 0, 3, 500 * KIB, 0);
    CLEAN(in);                              /* the three big ones */
    struct suspicion_measures one = { .chunks = 1, .chunk_bytes = 90 * KIB, .pages = 1, .page_bytes = KIB };
    in = after(one, 1, 90 * KIB, 0, 1, 95 * KIB, 0);
    CLEAN(in);                              /* one document, saved again */
    in = after(m, 20, 800 * KIB, 0, 20, 2000 * KIB, 2000 * KIB);
    ALARM(in);                              /* all twenty, the client silent */
    in = after(m, 2, 80 * KIB, 0, 1, 40 * KIB, 0);
    in.facts = (struct suspicion_facts){ .files = 14, .files_deleted = 8 };
    ALARM(in);                              /* eight of twenty-two deleted, by the client's word */
    in.facts = (struct suspicion_facts){ .files = 20, .files_deleted = 2 };
    CLEAN(in);
}

static void canaries_and_the_clients_word_only_raise(void **state)
{
    struct suspicion_input in = after(clinic(), 700, 5 * MIB, 0, 1300, 40 * MIB, 17 * MIB);
    in.facts.canaries = 20;
    in.facts.canaries_changed = 1;
    ALARM(in);
    in.facts.canaries_changed = 0;
    in.facts.canaries_missing = 2;
    ALARM(in);
    in.facts.canaries_missing = 0;
    in.facts.client_suspicion = 80;
    ALARM(in);
    struct suspicion_measures m = clinic();
    in = after(m, m.chunks, m.chunk_bytes, m.stored_bytes, 20000, 3200 * MIB, 3200 * MIB);
    unsigned alone = score(&in);
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {        /* whatever it says, it cannot talk the box out of it */
        uint64_t *f = (uint64_t *)(void *)&in.facts;
        for (size_t k = 0; k < sizeof in.facts / 8; k++)
            f[k] = kit_random(&seed) >> (5 + kit_random(&seed) % 59);
        in.facts.client_suspicion %= 101;
        assert_true(score(&in) >= alone);
    }
}

static void a_slow_drip_shows_against_months_ago(void **state)
{
    struct suspicion_measures m = clinic(), then = clinic();
    /* A hundredth a day turned incompressible for ninety days: no single day stands out. */
    m.stored_bytes = m.chunk_bytes * 80 / 100;
    struct suspicion_input in = after(m, 500, 8 * MIB, 0, 600, 20 * MIB, 18 * MIB);
    CLEAN(in);
    in.days90 = (struct suspicion_past){ true, then };
    in.now.stored_bytes = in.now.chunk_bytes - 300 * MIB;
    ALARM(in);
    assert_true(has(&in, SUSPICION_SLOW));
    in.now = then;
    in.base.m = then;
    CLEAN(in);
    in.now.chunk_bytes += 900 * MIB;         /* three months of pictures */
    in.now.stored_bytes += 900 * MIB;
    CLEAN(in);
}

static void a_folder_that_moved_is_clean(void **state)
{
    (void)state;
    struct suspicion_input in = after(clinic(), 0, 0, 0, 0, 0, 0);
    in.facts = (struct suspicion_facts){ .files = 60000, .files_new = 58000, .files_deleted = 58000, .bytes = 3000 * MIB };
    CLEAN(in);
    /* Gone without coming back is another thing. */
    in.facts.files_new = 0;
    in.facts.files = 2000;
    ALARM(in);
}

static void a_new_archive_is_no_evidence_against_the_files_that_changed(void **state)
{
    (void)state;
    /* Three hundred of three hundred records edited a little, and an export of 200 MB beside them. */
    struct suspicion_measures m = { .chunks = 300, .chunk_bytes = 60 * MIB, .pages = 4, .page_bytes = 40 * KIB };
    struct suspicion_input in = after(m, 6, MIB, 0, 220, 201 * MIB, 200 * MIB);
    in.facts = (struct suspicion_facts){ .files = 301, .files_new = 1, .files_changed = 300, .bytes = 320 * MIB,
        .bytes_new_plain = 202 * MIB, .bytes_new_stored = 201 * MIB, .new_files_plain = 200 * MIB,
        .new_files_stored = 200 * MIB };
    assert_int_equal(score(&in), 0);
    /* An older client that does not tell them apart is judged as before. */
    in.facts.new_files_plain = in.facts.new_files_stored = 0;
    ALARM(in);
    /* The same files written over with noise, the same export beside them. */
    in = after(m, 20, 3 * MIB, 0, 240, 260 * MIB, 260 * MIB);
    in.facts = (struct suspicion_facts){ .files = 301, .files_new = 1, .files_changed = 300, .bytes = 320 * MIB,
        .bytes_new_plain = 300 * MIB, .bytes_new_stored = 300 * MIB, .new_files_plain = 200 * MIB,
        .new_files_stored = 200 * MIB };
    ALARM(in);
    assert_true(has(&in, SUSPICION_CHANGED) && has(&in, SUSPICION_INCOMPRESSIBLE));
}

static void a_tenth_renamed_into_mush_alarms(void **state)
{
    (void)state;
    struct suspicion_input in = after(clinic(), 4000, 150 * MIB, 0, 4000, 300 * MIB, 300 * MIB);
    in.facts = (struct suspicion_facts){ .files = 1905, .files_changed = 190, .extension_changed = 190, .renamed = 190, .bytes = 300 * MIB,
        .bytes_new_plain = 30 * MIB, .bytes_new_stored = 30 * MIB };
    ALARM(in);
    in.facts.bytes_new_stored = 12 * MIB; /* documents saved in another format still compress */
    in.now.stored_bytes_new = 0;
    CLEAN(in);
}

static void facts_from_outside_are_checked(void **state)
{
    struct suspicion_facts f = { .files = 3 };
    assert_int_equal(suspicion_facts_parse(SM_SPAN_STR("{\"files\":7,\"facts\":1,\"unknown\":[1]}"), &f), 0);
    assert_int_equal(f.files, 7);
    const char *bad[] = { "{\"files\":-1}", "{\"files\":\"7\"}", "{\"client_suspicion\":101}", "[]", "{",
        "{\"files\":1,\"files\":2}", "{\"files\":1.5}",
        "{\"files\":99999999999999999999}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(suspicion_facts_parse(SM_SPAN_STR(bad[i]), &f) < 0);
    assert_int_equal(f.files, 7);
    assert_int_equal(suspicion_facts_parse(SM_SPAN(NULL, 0), &f), 0);
    assert_int_equal(f.files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_backup_is_clean),
        cmocka_unit_test(an_ordinary_day_is_clean),
        cmocka_unit_test(a_day_with_a_tenth_changed_is_clean),
        cmocka_unit_test(a_big_import_of_pictures_is_clean),
        cmocka_unit_test(encryption_alarms_also_when_the_client_lies),
        cmocka_unit_test(deletion_of_a_third_alarms_also_when_the_client_lies),
        cmocka_unit_test(small_sources_are_judged_gently_and_still_judged),
        cmocka_unit_test(canaries_and_the_clients_word_only_raise),
        cmocka_unit_test(a_slow_drip_shows_against_months_ago),
        cmocka_unit_test(a_folder_that_moved_is_clean),
        cmocka_unit_test(a_new_archive_is_no_evidence_against_the_files_that_changed),
        cmocka_unit_test(a_tenth_renamed_into_mush_alarms),
        cmocka_unit_test(facts_from_outside_are_checked),
    };
    return cmocka_run_group_tests_name("suspicion", tests, NULL, NULL);
}
