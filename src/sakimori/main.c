/* The command line of Sakimori: find the command, run it, answer with its exit code. */
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/init.h"
#include "sakimori/cli.h"

static bool speak_japanese(int argc, char **argv)
{
    int by = -1;
    for (int i = 1; i + 1 < argc && by < 0; i++)
        if (!strcmp(argv[i], "--lang"))
            by = cli_language(argv[i + 1]);
    for (int i = 1; i < argc && by < 0; i++)
        if (!strncmp(argv[i], "--lang=", 7))
            by = cli_language(argv[i] + 7);
    static const char *const names[] = { "SAKIMORI_LANG", "LC_ALL", "LC_MESSAGES", "LANG" };
    for (size_t i = 0; i < 4 && by < 0; i++) {
        const char *v = getenv(names[i]);
        /* The first that is set decides, as for every program; ours alone may be a language we do not speak. */
        if (v && *v)
            by = cli_language(v) >= 0 ? cli_language(v) : i == 0 ? -1 : 0;
    }
    return by == 1;
}

static int usage(bool ja, const char *why)
{
    fputs("sakimori: ", stderr);
    cli_text(stderr, why);
    fputs(ja ? "\nsakimori --help で一覧が出ます\n" : "\nsakimori --help lists everything\n", stderr);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    static struct cli c; /* its line is large */
    char why[240] = "";
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it only widths could differ */
    (void)signal(SIGPIPE, SIG_IGN);       /* cannot fail for this signal */
    umask(077);
    c.ja = speak_japanese(argc, argv);
    c.tty_err = isatty(2);
    if (crypto_init() < 0) {
        cli_note(&c, T(&c, "暗号の部品が始まりません", "the crypto library does not start"));
        return CLI_FAILED;
    }
    if (cli_parse(argc, argv, c.ja, &c.line, why) < 0)
        return usage(c.ja, why);
    c.json = cli_flag(&c, "json");
    if (cli_opt(&c, "lang") && cli_language(cli_opt(&c, "lang")) < 0)
        return usage(c.ja, T(&c, "--lang は ja か en です", "--lang: ja or en"));
    if (cli_flag(&c, "version")) {
        puts("sakimori " SM_VERSION);
        return CLI_OK;
    }
    if (c.line.help || !c.line.cmd) {
        cli_help(c.line.help ? stdout : stderr, c.ja, c.line.cmd);
        return c.line.help ? CLI_OK : CLI_USAGE;
    }
    int e = cli_net_open(&c);
    if (e == CLI_OK)
        e = c.line.cmd->run(&c);
    cli_progress_end(&c);
    cli_net_close(&c);
    if (c.answers) {
        json_decref(c.answers->o);
        free(c.answers);
    }
    if (fflush(stdout) != 0 && e == CLI_OK)
        e = CLI_FAILED;
    return e;
}
