/* The command line: find the command, sort options from arguments, print help. */
#include <errno.h>
#include "sakimori/cli.h"

const struct cli_opt cli_global_opts[] = {
    { .name = "data", .value = "DIR", .ja = "箱のデータの場所(その中のソケットにつなぐ)",
        .en = "folder of the box's data (its local socket is used)" },
    { .name = "url", .value = "URL", .ja = "ネットワーク越しの箱(https://…)", .en = "a box over the network (https://...)" },
    { .name = "ca", .value = "FILE", .ja = "箱の CA 証明書(--url のとき)", .en = "CA certificate of the box (with --url)" },
    { .name = "token-file", .value = "FILE", .ja = "サインインの控えの場所", .en = "where sign-in keeps its token" },
    { .name = "json", .ja = "JSON で出す", .en = "answer in JSON" },
    { .name = "lang", .value = "ja|en", .ja = "ことば", .en = "language" },
    { .name = "help", .ja = "説明", .en = "help" },
    { .name = "version", .ja = "版", .en = "version" },
    { 0 },
};

int cli_language(const char *text)
{
    if (text && !strncmp(text, "ja", 2))
        return 1;
    return text && !strncmp(text, "en", 2) ? 0 : -1;
}

static const struct cli_opt *find_in(const struct cli_opt *list, const char *name, size_t n)
{
    for (; list && list->name; list++)
        if (strlen(list->name) == n && !memcmp(list->name, name, n))
            return list;
    return NULL;
}

/* The command whose name is the most of the first words; *ret_words: how many. */
static const struct cli_cmd *find_cmd(const char *const *arg, size_t args, size_t *ret_words)
{
    char name[96] = "";
    const struct cli_cmd *found = NULL;
    size_t len = 0;
    for (size_t n = 0; n < args && n < 3; n++) {
        int r = snprintf(name + len, sizeof name - len, "%s%s", n ? " " : "", arg[n]);
        if (r < 0 || (size_t)r >= sizeof name - len)
            break; /* no command is that long */
        len += (size_t)r;
        for (size_t i = 0; i < cli_commands_n; i++)
            if (!strcmp(cli_commands[i].name, name)) {
                found = &cli_commands[i];
                *ret_words = n + 1;
            }
    }
    return found;
}

/* Is `a` the first word of commands of two words? */
static bool is_group(const char *a)
{
    size_t n = strlen(a);
    for (size_t i = 0; i < cli_commands_n; i++)
        if (!strncmp(cli_commands[i].name, a, n) && cli_commands[i].name[n] == ' ')
            return true;
    return false;
}

/* The command's words, which are the first arguments that are no options. */
static void pick_command(struct cli_line *l)
{
    size_t drop = 0;
    l->cmd = find_cmd(l->arg, l->args, &drop);
    if (!l->cmd)
        return;
    memmove(l->arg, l->arg + drop, (l->args - drop) * sizeof *l->arg);
    l->args -= drop;
}

/* Before the command is known, an option is taken as the first command that has it takes it. */
static bool takes_value(const struct cli_line *l, const char *arg, size_t n)
{
    size_t drop;
    const struct cli_cmd *cmd = find_cmd(l->arg, l->args, &drop);
    const struct cli_opt *o = find_in(cmd ? cmd->opts : NULL, arg, n);
    o = o ? o : find_in(cli_global_opts, arg, n);
    for (size_t i = 0; !o && i < cli_commands_n; i++)
        o = find_in(cli_commands[i].opts, arg, n);
    return o && o->value;
}

/* First round: the arguments alone, to know the command. */
static void words(int argc, char **argv, struct cli_line *l)
{
    bool only = false;
    l->args = 0;
    for (int i = 1; i < argc && l->args < CLI_VALUES_MAX; i++) {
        if (!only && !strcmp(argv[i], "--")) {
            only = true;
        } else if (!only && !strncmp(argv[i], "--", 2)) {
            size_t n = strcspn(argv[i] + 2, "=");
            if (!argv[i][2 + n] && takes_value(l, argv[i] + 2, n))
                i++;
        } else {
            l->arg[l->args++] = argv[i];
        }
    }
}

static int one_option(int argc, char **argv, int *i, bool ja, struct cli_line *l, char *why)
{
    const char *a = argv[*i] + 2;
    size_t n = strcspn(a, "=");
    const struct cli_opt *o = find_in(l->cmd ? l->cmd->opts : NULL, a, n);
    if (!o)
        o = find_in(cli_global_opts, a, n);
    if (!o) {
        snprintf(why, 240, ja ? "--%.*s というオプションはありません" : "--%.*s: no such option", (int)(n < 60 ? n : 60), a);
        return -SM_EINVAL;
    }
    const char *value = a[n] ? a + n + 1 : NULL;
    if (o->value && !value && *i + 1 < argc)
        value = argv[++*i];
    bool again = false;
    for (size_t k = 0; k < l->values; k++)
        again |= l->value[k].opt == o;
    if (!o->value == !!value || (o->value && !value)) {
        snprintf(why, 240, o->value ? (ja ? "--%s には値がいります" : "--%s: a value is needed")
            : (ja ? "--%s に値は付けられません" : "--%s: takes no value"), o->name);
        return -SM_EINVAL;
    }
    if ((again && !o->many && o->value) || l->values == CLI_VALUES_MAX) {
        snprintf(why, 240, ja ? "--%s が重なっています" : "--%s: given again", o->name);
        return -SM_EINVAL;
    }
    l->value[l->values++] = (struct cli_value){ o, value };
    l->help |= !strcmp(o->name, "help");
    return 0;
}

int cli_parse(int argc, char **argv, bool ja, struct cli_line *ret, char *ret_why)
{
    *ret = (struct cli_line){ 0 };
    words(argc, argv, ret);
    const char *first = ret->args ? ret->arg[0] : "";
    bool group = ret->args && is_group(first);
    pick_command(ret);
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        int r = strncmp(argv[i], "--", 2) ? 0 : one_option(argc, argv, &i, ja, ret, ret_why);
        if (r < 0)
            return r;
    }
    if (ret->help || (!ret->cmd && !ret->args))
        return 0;
    if (!ret->cmd) {
        snprintf(ret_why, 240,
            group
                ? (ja ? "%.60s の後に続くことばを確かめてください" : "%.60s: what to do with it is missing or unknown")
                : (ja ? "%.60s という命令はありません" : "%.60s: no such command"),
            first);
        return -SM_EINVAL;
    }
    if (ret->args < ret->cmd->min || ret->args > ret->cmd->max) {
        snprintf(ret_why, 240, ja ? "使い方: sakimori %s %s" : "usage: sakimori %s %s", ret->cmd->name, ret->cmd->args);
        return -SM_EINVAL;
    }
    return 0;
}

const char *cli_opt_nth(const struct cli *c, const char *name, size_t i)
{
    for (size_t k = 0; k < c->line.values; k++)
        if (!strcmp(c->line.value[k].opt->name, name) && i-- == 0)
            return c->line.value[k].value ? c->line.value[k].value : "";
    return NULL;
}

const char *cli_opt(const struct cli *c, const char *name)
{
    const char *last = NULL, *v;
    for (size_t i = 0; (v = cli_opt_nth(c, name, i)) != NULL; i++)
        last = v;
    return last;
}

bool cli_flag(const struct cli *c, const char *name)
{
    return cli_opt_nth(c, name, 0) != NULL;
}

const char *cli_arg(const struct cli *c, size_t i)
{
    return i < c->line.args ? c->line.arg[i] : NULL;
}

int64_t cli_number(const struct cli *c, const char *name, int64_t min, int64_t max)
{
    const char *s = cli_opt(c, name);
    char *end = NULL;
    if (!s)
        return -1;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || !*s || *end || v < min || v > max) {
        cli_note(c, T(c, "--%s は %lld から %lld までの数です", "--%s: a whole number from %lld to %lld"), name, (long long)min,
            (long long)max);
        return -2;
    }
    return v;
}

static void help_opts(FILE *to, bool ja, const struct cli_opt *o)
{
    for (; o && o->name; o++)
        fprintf(
            to, "  --%s%s%s\n      %s\n", o->name, o->value ? " " : "", o->value ? o->value : "", ja ? o->ja : o->en);
}

void cli_help(FILE *to, bool ja, const struct cli_cmd *cmd)
{
    if (cmd) {
        fprintf(to, ja ? "使い方: sakimori %s %s [オプション]\n%s\n" : "Usage: sakimori %s %s [options]\n%s\n",
            cmd->name, cmd->args, ja ? cmd->ja : cmd->en);
        help_opts(to, ja, cmd->opts);
    } else {
        fputs(ja ? "使い方: sakimori 命令 [引数] [オプション]\n\n" : "Usage: sakimori COMMAND [arguments] [options]\n\n", to);
        for (size_t i = 0; i < cli_commands_n; i++)
            fprintf(to, "  %s%s%s\n      %s\n", cli_commands[i].name, *cli_commands[i].args ? " " : "",
                cli_commands[i].args, ja ? cli_commands[i].ja : cli_commands[i].en);
        fputs(ja ? "\nどの命令にも:\n" : "\nWith every command:\n", to);
    }
    if (cmd)
        fputs(ja ? "どの命令にも:\n" : "With every command:\n", to);
    help_opts(to, ja, cli_global_opts);
    fputs(
        ja ? "\n終わりの番号: 0 できた、1 失敗、2 書き方、3 サインインか権限、4 見つからない、5 鍵の解除が必要、6 一部だけ、7 箱につながらない\n"
           : "\nExit codes: 0 done, 1 failed, 2 usage, 3 not signed in or denied, 4 not found, 5 unlock needed, 6 done in part, "
             "7 box not reachable\n",
        to);
}
