/* `sakimori completion bash`: the completion of bash, made from the table of commands, so that it never falls behind. */
#include <string.h>
#include "sakimori/commands.h"

/* "a|b|c" in small letters and hyphens are words to offer; anything else is a placeholder. */
static bool is_choice(const char *value)
{
    if (!strchr(value, '|'))
        return false;
    for (const char *p = value; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || *p == '|' || *p == '-'))
            return false;
    return true;
}

static bool is_file(const char *value)
{
    return strstr(value, "FILE") || strstr(value, "DIR");
}

static void put_choices(const char *value)
{
    for (const char *p = value; *p; p++)
        putchar(*p == '|' ? ' ' : *p);
}

static void put_options(const struct cli_opt *o)
{
    for (; o && o->name; o++)
        printf(" --%s", o->name);
}

/* What may follow an option that takes a value. */
static void put_values(const char *cmd, const struct cli_opt *o)
{
    for (; o && o->name; o++) {
        if (!o->value)
            continue;
        bool any = !strcmp(cmd, "*");
        printf("        %s%s%s:--%s) ", any ? "" : "'", cmd, any ? "" : "'", o->name);
        if (is_choice(o->value)) {
            fputs("_sakimori_words '", stdout);
            put_choices(o->value);
            puts("'; return ;;");
        } else {
            puts(is_file(o->value) ? "_sakimori_files; return ;;" : "COMPREPLY=(); return ;;");
        }
    }
}

static void put_command(const struct cli_cmd *k)
{
    printf("        '%s') opts='", k->name);
    put_options(k->opts);
    printf("'; args='");
    /* "[structure|data]": the words without the brackets. */
    char words[128];
    size_t n = 0;
    for (const char *p = k->args; *p && n + 1 < sizeof words; p++)
        if (*p != '[' && *p != ']')
            words[n++] = *p;
    words[n] = 0;
    if (is_choice(words))
        put_choices(words);
    else if (is_file(words))
        fputs("@files", stdout);
    puts("' ;;");
}

static const char script_head[] =
    "# bash completion of sakimori; made by `sakimori completion bash`\n"
    "_sakimori_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
    "_sakimori_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
    "_sakimori()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i w first='' two='' cmd='' next='' opts='' args=''\n"
    "    # bash hands the parts of --option=value over one by one.\n"
    "    [ \"$cur\" = = ] && cur=''\n"
    "    [ \"$prev\" = = ] && prev=${COMP_WORDS[COMP_CWORD - 2]}\n";

static const char script_parse[] =
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        w=${COMP_WORDS[i]}\n"
    "        case $w in -* | =) continue ;; esac\n"
    "        case \"$valued\" in *\" ${COMP_WORDS[i - 1]} \"*) continue ;; esac\n"
    "        [ \"${COMP_WORDS[i - 1]}\" = = ] && continue\n"
    "        if [ -z \"$first\" ]; then first=$w; elif [ -z \"$two\" ]; then two=\"$first $w\"; fi\n"
    "    done\n"
    "    case \"$names\" in *\"|$two|\"*) cmd=$two ;; *\"|$first|\"*) cmd=$first ;; esac\n";

static const char script_tail[] =
    "    case $cur in -*) _sakimori_words \"$opts $global\"; return ;; esac\n"
    "    if [ -n \"$cmd\" ]; then\n"
    "        if [ \"$args\" = @files ]; then _sakimori_files; else _sakimori_words \"$args\"; fi\n"
    "        [ \"$cmd\" = \"$first\" ] || return\n"
    "        next=\" ${COMPREPLY[*]}\"\n"
    "    fi\n"
    "    # The next word of the commands that begin so.\n"
    "    [ -n \"$two\" ] && return\n"
    "    local IFS='|'\n"
    "    for w in $names; do\n"
    "        if [ -z \"$first\" ]; then next=\"$next ${w%% *}\"\n"
    "        elif [ \"${w#\"$first \"}\" != \"$w\" ]; then next=\"$next ${w#\"$first \"}\"; fi\n"
    "    done\n"
    "    IFS=$' \\t\\n'\n"
    "    [ \"$args\" = @files ] && [ -z \"${next// /}\" ] || _sakimori_words \"$next\"\n"
    "}\n"
    "complete -F _sakimori sakimori\n";

static void put_valued(const struct cli_opt *o)
{
    for (; o && o->name; o++)
        if (o->value)
            printf("--%s ", o->name);
}

int cmd_completion(struct cli *c)
{
    if (strcmp(cli_arg(c, 0), "bash") != 0) {
        cli_note(c, T(c, "bash だけがあります", "there is one for bash only"));
        return CLI_USAGE;
    }
    fputs(script_head, stdout);
    fputs("    local names='|", stdout);
    for (size_t i = 0; i < cli_commands_n; i++)
        printf("%s|", cli_commands[i].name);
    fputs("' global='", stdout);
    put_options(cli_global_opts);
    fputs("' valued=' ", stdout);
    put_valued(cli_global_opts);
    for (size_t i = 0; i < cli_commands_n; i++)
        put_valued(cli_commands[i].opts);
    puts("'");
    fputs(script_parse, stdout);
    puts("    case $cmd in");
    for (size_t i = 0; i < cli_commands_n; i++)
        put_command(&cli_commands[i]);
    puts("    esac\n    case \"$cmd:$prev\" in");
    put_values("*", cli_global_opts);
    for (size_t i = 0; i < cli_commands_n; i++)
        put_values(cli_commands[i].name, cli_commands[i].opts);
    puts("    esac");
    fputs(script_tail, stdout);
    return CLI_OK;
}
