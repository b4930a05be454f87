/* settings, contacts, card. */
#include <fcntl.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimorid/options.h"

#define FILE_LONGEST ((size_t)256 << 10)

static void flat(const json_t *o, const char *prefix, unsigned depth)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)o, key, v) {
        char name[256];
        (void)snprintf(name, sizeof name, "%.120s%s%.120s", prefix, *prefix ? "." : "", key); /* our own names are short */
        if (json_is_object(v) && depth < 8) {
            flat(v, name, depth + 1);
            continue;
        }
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        cli_text(stdout, name);
        printf(" = ");
        cli_text(stdout, text ? text : "");
        putchar('\n');
        free(text);
    }
}

int cmd_settings_get(struct cli *c)
{
    json_t *s = NULL;
    int e = cli_call(c, "GET", "/api/v1/settings", NULL, &s);
    const json_t *part = e == CLI_OK && cli_arg(c, 0) ? cli_at(s, cli_arg(c, 0)) : s;
    if (e == CLI_OK && !part) {
        cli_note(c, T(c, "%s という設定はありません", "%s: no such setting"), cli_arg(c, 0));
        e = CLI_NOT_FOUND;
    }
    if (e == CLI_OK && (c->json || !json_is_object(part)))
        cli_json(part);
    else if (e == CLI_OK)
        flat(part, cli_arg(c, 0) ? cli_arg(c, 0) : "", 0);
    json_decref(s);
    return e;
}

/* "mail.port" = value → {"mail":{"port":value}}; the value is JSON, or text when it is none. */
static json_t *nested(const char *name, const char *value)
{
    json_error_t err;
    json_t *v = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &err);
    v = v ? v : json_string(value);
    const char *end = name + strlen(name);
    while (v && end > name) {
        const char *dot = end;
        while (dot > name && dot[-1] != '.')
            dot--;
        json_t *o = json_object();
        char key[128];
        (void)snprintf(key, sizeof key, "%.*s", (int)(end - dot), dot); /* cut: then it is unknown to the box */
        json_object_set_new(o, key, v);
        v = o;
        end = dot > name ? dot - 1 : name;
    }
    return v;
}

int cmd_settings_set(struct cli *c)
{
    const char *name = cli_arg(c, 0), *value = cli_arg(c, 1);
    bool token = !strcmp(name, "firewall.token"), secret = token || !strcmp(name, "mail.password");
    if (!value && !secret) {
        cli_note(c, T(c, "値がいります", "a value is needed"));
        return CLI_USAGE;
    }
    if (value && secret) {
        cli_note(c, T(c, "パスワードは引数では受け取りません", "a password is never taken from the command line"));
        return CLI_USAGE;
    }
    char *typed = token ? cli_secret(c, "firewall_token", T(c, "入口の機器の API の合言葉: ", "Token of the firewall's API: "))
        : secret ? cli_secret(c, "mail_password", T(c, "メールのパスワード: ", "Mail password: ")) : NULL;
    if (secret && !typed)
        return CLI_USAGE;
    json_t *o = token ? json_pack("{s:{s:s}}", "firewall", "token", typed) : secret ? json_pack("{s:{s:s}}", "mail", "password", typed) : nested(name, value);
    cli_secret_free(typed);
    return o ? cli_call(c, "PATCH", "/api/v1/settings", o, NULL) : CLI_USAGE;
}

/* The commented settings file with its standards, or the one of --data checked and printed anew. */
int cmd_settings_print(struct cli *c)
{
    const char *file = cli_arg(c, 0);
    struct settings s = { 0 };
    struct sm_buf text = SM_BUF_INIT(FILE_LONGEST), out = SM_BUF_INIT(FILE_LONGEST);
    char why[240] = "";
    int r = sm_opt_defaults(options_table, options_n, &s);
    if (!r && file)
        r = plat_fs_read_file(AT_FDCWD, file, FILE_LONGEST, &text);
    if (!r && file)
        r = sm_opt_parse(options_table, options_n, file, sm_buf_span(&text), &s, why);
    if (!r)
        r = sm_opt_print(options_table, options_n, &s, &out);
    if (!r)
        fwrite(out.p, 1, out.n, stdout);
    else
        cli_note(c, "%s", cli_why(c, r, why));
    options_wipe(&s);
    sm_buf_wipe(&text);
    sm_buf_wipe(&out);
    return r == 0 ? CLI_OK : r == -SM_EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cmd_contacts(struct cli *c)
{
    static const struct cli_col cols[] = { { "name", CLI_TEXT, "名前", "Name" }, { "role", CLI_WORD, "役割", "Role" },
        { "phone", CLI_TEXT, "電話", "Phone" }, { "hours", CLI_TEXT, "時間", "Hours" },
        { "note", CLI_TEXT, "メモ", "Note" }, { "checked_on", CLI_TEXT, "確認日", "Checked on" } };
    return cli_list(c, "/api/v1/contacts", cols, sizeof cols / sizeof *cols);
}

int cmd_contacts_set(struct cli *c)
{
    struct sm_buf text = SM_BUF_INIT(FILE_LONGEST);
    json_t *list = NULL;
    char why[160] = "";
    int r = plat_fs_read_file(
        AT_FDCWD, !strcmp(cli_arg(c, 0), "-") ? "/dev/stdin" : cli_arg(c, 0), FILE_LONGEST, &text);
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), FILE_LONGEST, &list, why);
    sm_buf_wipe(&text);
    if (r < 0) {
        cli_note(c, "%s: %s", cli_arg(c, 0), cli_why(c, r, why));
        return CLI_USAGE;
    }
    if (json_is_array(list))
        list = json_pack("{s:o}", "items", list);
    return cli_call(c, "PUT", "/api/v1/contacts", list, NULL);
}

static void text_line(const char *before, const char *text)
{
    printf("%s", before);
    cli_text(stdout, text);
    putchar('\n');
}

/* The card as on paper: what not to do, the steps with their minutes, whom to call, what to say. */
static void card_print(const struct cli *c, const json_t *card)
{
    static const struct cli_col contacts[] = { { "role", CLI_WORD, "相手", "Who" }, { "name", CLI_TEXT, "名前", "Name" },
        { "phone", CLI_TEXT, "電話", "Phone" }, { "hours", CLI_TEXT, "時間", "Hours" } };
    json_t *v, *line;
    size_t i, k;
    text_line("", cli_str(card, "title"));
    text_line("", cli_str(card, "institution"));
    text_line("", cli_str(card, "lead"));
    text_line("", cli_str(card, "calm"));
    puts(T(c, "\nしないこと", "\nDo not"));
    json_array_foreach(json_object_get(card, "dont"), i, v) text_line("  x ", json_string_value(v));
    json_array_foreach(json_object_get(card, "steps"), i, v) {
        printf(T(c, "\n%s分  ", "\nMinute %s  "), cli_str(v, "minutes"));
        text_line("", cli_str(v, "title"));
        json_array_foreach(json_object_get(v, "lines"), k, line) text_line("  - ", json_string_value(line));
    }
    putchar('\n');
    cli_table(c, json_object_get(card, "contacts"), contacts, sizeof contacts / sizeof *contacts);
    text_line("\n", cli_str(card, "say"));
    text_line("", cli_str(card, "review"));
    text_line(T(c, "印刷 ", "Printed "), cli_str(card, "printed"));
}

int cmd_card(struct cli *c)
{
    json_t *card = NULL;
    int e = cli_call(c, "GET", "/api/v1/card", NULL, &card);
    if (e == CLI_OK && c->json)
        cli_json(card);
    else if (e == CLI_OK)
        card_print(c, card);
    json_decref(card);
    return e;
}
