/* Words for people: every code of the house has both languages, and what is not known still says something. */
#include "../test.h"
#include <errno.h>
#include "core/words.h"

static void every_number_of_the_house_has_words_in_both_languages(void **state)
{
    for (int e = SM_EFORMAT; e <= SM_EPEER; e++)
        for (int ja = 0; ja < 2; ja++)
            assert_non_null(sm_word(SM_WORDS_ERROR, sm_errname(e), ja));
}

static bool foreign(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return true;
    return false;
}

static void every_number_of_the_system_says_something_japanese(void **state)
{
    for (int e = 1; e < 134; e++) {
        assert_true(foreign(sm_errtext(e, true)));
        assert_true(foreign(sm_errtext(-e, true)));
        assert_false(foreign(sm_errtext(e, false)));
    }
    assert_true(foreign(sm_errtext(99999, true)));
}

static void no_row_is_empty_or_there_twice_and_each_is_in_its_language(void **state)
{
    for (size_t i = 0; i < sm_words_count(); i++) {
        enum sm_words set, other;
        const char *key, *ja, *en, *k2, *j2, *e2;
        sm_words_row(i, &set, &key, &ja, &en);
        if (!*key || !*ja || !*en || foreign(key) || (set != SM_WORDS_PLACE && !foreign(ja) && strcmp(ja, en) != 0))
            fail_msg("row \"%s\": \"%s\", \"%s\"", key, ja, en);
        for (size_t k = i + 1; k < sm_words_count(); k++) {
            sm_words_row(k, &other, &k2, &j2, &e2);
            if (set == other && !strcmp(key, k2))
                fail_msg("\"%s\" is there twice", key);
        }
    }
}

static void says(const char *error, const char *what, bool ja, const char *want)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    assert_ok(sm_problem_text(error, what, ja, &b));
    assert_string_equal(sm_buf_str(&b), want);
    sm_buf_wipe(&b);
}

static void why_a_file_could_not_be_read_is_said_in_the_readers_words(void **state)
{
    says("Permission denied", "open", true, "開くことを許されていません");
    says("No space left on device", "the box's disk is full", true, "ディスクにあきがありません(箱のディスク)");
    says("", "metadata", true, "持ち主や時刻");
    says("Permission denied", "open", false, "Permission denied");
    says("run", "nothing was heard of this run for a day", true, "保存できませんでした(一日のあいだ、知らせがありませんでした)");
    says("the box's record went back: it showed 9 before and 3 now", "head", true,
        "箱の記録が、前に見た所より戻っています。業者に電話してください(箱の記録)");
    says("ERROR: of a tool", "pg_dump", true, "ERROR: of a tool(pg_dump)");
    assert_string_equal(sm_problem_code("Permission denied"), "EACCES");
    assert_string_equal(sm_problem_code("stored data is damaged"), "SM_ECORRUPT");
    assert_string_equal(sm_problem_code("anything else"), "other");
    assert_string_equal(sm_problem_code(""), "none");
}

static void a_phrase_leads_back_to_its_number(void **state)
{
    for (int e = SM_EFORMAT; e <= SM_EPEER; e++)
        assert_int_equal(sm_errno_of(sm_strerror(e)), e);
    assert_int_equal(sm_errno_of(sm_strerror(ENOSPC)), ENOSPC);
    assert_int_equal(sm_errno_of("unknown error"), 0);
    assert_int_equal(sm_errno_of(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_the_house_has_words_in_both_languages),
        cmocka_unit_test(every_number_of_the_system_says_something_japanese),
        cmocka_unit_test(no_row_is_empty_or_there_twice_and_each_is_in_its_language),
        cmocka_unit_test(why_a_file_could_not_be_read_is_said_in_the_readers_words),
        cmocka_unit_test(a_phrase_leads_back_to_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
