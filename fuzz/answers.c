/* The answers file of set-up, sign-in and unlock. */
#include "sakimori/cli.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    json_t *j = NULL;
    char why[160], code[8];
    if (cli_answers_parse(SM_SPAN(p, n), &j, why) == 0) {
        struct cli_answers a = { j };
        struct cli c = { .answers = &a };
        const char *secret = cli_answer(&c, "totp_secret");
        if (secret)
            (void)!cli_totp(secret, code); /* any answer will do */
        (void)cli_answer(&c, "director.password");
        json_decref(j);
    }
    return 0;
}
