/* logs store: where logs are searched, on this box alone or in ClickHouse too. */
#include <stdlib.h>
#include "journal/house.h"
#include "sakimori/commands.h"

static int show(struct cli *c)
{
    static const struct cli_col cols[] = {{"store", CLI_TEXT, "置く所", "Store"},
        {"urls", CLI_TEXT, "サーバー", "Servers"}, {"database", CLI_TEXT, "データベース", "Database"},
        {"table", CLI_TEXT, "表", "Table"}, {"user", CLI_TEXT, "利用者", "User"},
        {"ca", CLI_TEXT, "証明書", "Certificates"}, {"state.there", CLI_YES, "つながっている", "Answers"},
        {"state.why", CLI_TEXT, "理由", "Why not"}, {"state.events", CLI_TEXT, "送った件数", "Events there"},
        {"state.waiting", CLI_TEXT, "送っていない件数", "Events waiting"},
        {"state.odd", CLI_TEXT, "件数の合わない束", "Blocks with a wrong number of rows"},
        {"state.damaged", CLI_TEXT, "読めない束", "Blocks that cannot be read"}};
    json_t *j = NULL;
    int e = cli_call(c, "GET", "/api/v1/logs/store", NULL, &j);

    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_record(c, j, cols, sizeof cols / sizeof *cols);
    json_decref(j);
    return e;
}

static int set(struct cli *c, const char *store)
{
    static const char *const keys[][2] = {
        {"servers", "urls"}, {"database", "database"}, {"table", "table"}, {"user", "user"}, {"server-ca", "ca"}};
    json_t *body = json_pack("{s:s}", "store", store);

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (cli_opt(c, keys[i][0]))
            json_object_set_new(body, keys[i][1], json_string(cli_opt(c, keys[i][0])));
    if (cli_opt(c, "user")) {
        char *secret = cli_secret(c, "store_password", T(c, "ClickHouse のパスワード: ", "Password of that user: "));
        if (!secret) {
            json_decref(body);
            return CLI_DENIED;
        }
        json_object_set_new(body, "password", json_string(secret));
        cli_secret_free(secret);
    }
    int e = cli_call(c, "PUT", "/api/v1/logs/store", body, NULL);
    return e == CLI_OK && !strcmp(store, "clickhouse") ? show(c) : e;
}

/* What a person who administers ClickHouse types there; nothing is asked of a box. */
static int schema(struct cli *c)
{
    struct sm_buf b = SM_BUF_INIT(64 << 10);
    const char *database = cli_opt(c, "database"), *table = cli_opt(c, "table");
    int r = house_schema(database ? database : "sakimori", table ? table : "events", cli_opt(c, "cluster"), &b);
    const char *text = r < 0 ? NULL : sm_buf_str(&b);

    if (text)
        (void)fputs(text, stdout); /* who reads is gone */
    else
        cli_note(c, T(c, "名前に使えるのは、英数字と _ です", "names: letters, digits and _"));
    sm_buf_wipe(&b);
    return text ? CLI_OK : CLI_USAGE;
}

static int init(struct cli *c)
{
    json_t *body = json_object();

    if (cli_opt(c, "cluster"))
        json_object_set_new(body, "cluster", json_string(cli_opt(c, "cluster")));
    return cli_call(c, "POST", "/api/v1/logs/store/init", body, NULL);
}

int cmd_logs_store(struct cli *c)
{
    const char *what = cli_arg(c, 0) ? cli_arg(c, 0) : "show";

    if (!strcmp(what, "show"))
        return show(c);
    if (!strcmp(what, "clickhouse") || !strcmp(what, "local"))
        return set(c, what);
    if (!strcmp(what, "schema"))
        return schema(c);
    if (!strcmp(what, "init"))
        return init(c);
    cli_note(
        c, T(c, "show、clickhouse、local、init、schema のどれかです", "one of show, clickhouse, local, init, schema"));
    return CLI_USAGE;
}

/* Why what was set did not answer. */
const char *logs_away(const struct cli *c, const char *reason)
{
    static const struct {
        const char *reason, *ja, *en;
    } rows[] = {{"network", "つながりません", "it cannot be reached"},
        {"tls", "証明書が確かめられません", "its certificate cannot be verified"},
        {"keys", "利用者名かパスワードが違います", "user or password is wrong"},
        {"rights", "利用者の権利が足りません", "the user may not"},
        {"table", "表がありません", "the table is not there"}, {"busy", "込み合っています", "it is busy"},
        {"full", "空きがありません", "it is full"}, {"starting", "まだ準備中です", "not ready yet"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].reason, reason))
            return T(c, rows[i].ja, rows[i].en);
    return reason;
}
