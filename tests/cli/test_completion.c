/* The completion of bash as bash itself runs it. */
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The words that bash offers for the last word of the line. */
static char *offers(const char *words)
{
    static char got[8192];
    char script[2048];
    int pair[2], status = -1;
    (void)snprintf(script, sizeof script,
        ". <(" SAKIMORI " completion bash); COMP_WORDS=(sakimori %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "_sakimori 2>/dev/null; printf ' %%s' \"${COMPREPLY[@]}\"; echo ' '", words);
    assert_int_equal(pipe(pair), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(pair[1], 1);
        execl("/bin/bash", "bash", "-c", script, NULL);
        _exit(127);
    }
    close(pair[1]);
    size_t n = 0;
    for (ssize_t r; n + 1 < sizeof got && (r = read(pair[0], got + n, sizeof got - 1 - n)) > 0;)
        n += (size_t)r;
    close(pair[0]);
    got[n] = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return got;
}

static void commands_are_offered_word_by_word(void **state)
{
    (void)state;
    assert_non_null(strstr(offers("\"\""), " setup "));
    assert_non_null(strstr(offers("sou"), " source "));
    assert_non_null(strstr(offers("source \"\""), " add "));
    assert_null(strstr(offers("source \"\""), " setup "));
    assert_string_equal(offers("card \"\""), "  \n");
}

static void options_belong_to_their_command_and_offer_their_words(void **state)
{
    (void)state;
    assert_non_null(strstr(offers("source add x --"), " --every "));
    assert_non_null(strstr(offers("source add x --"), " --json "));
    assert_null(strstr(offers("backup list --"), " --every "));
    assert_string_equal(offers("source add x --every \"\""), " hour day week off \n");
    assert_string_equal(offers("source add x --every = w"), " week \n");
    assert_string_equal(offers("--lang en verify \"\""), " structure data \n");
}

static void files_are_offered_where_a_file_is_wanted(void **state)
{
    (void)state;
    assert_string_equal(offers("recover --vault /etc/hostna"), " /etc/hostname \n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_offered_word_by_word),
        cmocka_unit_test(options_belong_to_their_command_and_offer_their_words),
        cmocka_unit_test(files_are_offered_where_a_file_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
