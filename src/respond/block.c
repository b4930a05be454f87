/* Blocking at the edge: commands for the device, to be entered by whoever looks after it, and those that take it back. */
#include "respond/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ACCOUNTS_MAX = 8 };

struct device { const char *name; const char *const *add, *const *undo; };
#define LINES(...) (const char *const[]){ __VA_ARGS__, NULL }

/* Addresses.  A null route drops the answers, so no connection comes about; where the device has a block of its own, that. */
static const struct device edges[] = {
    { "fortigate", LINES("diagnose user banned-ip add src4 %s 86400 admin"), LINES("diagnose user banned-ip delete src4 %s") },
    { "yamaha-rtx", LINES("administrator", "ip route %s gateway null", "save"), LINES("administrator", "no ip route %s", "save") },
    { "nec-ix", LINES("configure", "ip route %s/32 Null0.0", "write memory"), LINES("configure", "no ip route %s/32 Null0.0", "write memory") },
    { "cisco-asa", LINES("shun %s"), LINES("no shun %s") },
    { "cisco-ios", LINES("configure terminal", "ip route %s 255.255.255.255 Null0", "end"),
        LINES("configure terminal", "no ip route %s 255.255.255.255 Null0", "end") },
    { "linux-iptables", LINES("iptables -w -t raw -I PREROUTING -s %s/32 -j DROP"), LINES("iptables -w -t raw -D PREROUTING -s %s/32 -j DROP") },
    { "linux-nft", LINES("nft add table inet sakimori", "nft add set inet sakimori blocked '{ type ipv4_addr; flags timeout; }'",
                       "nft add chain inet sakimori edge '{ type filter hook prerouting priority -150; }'",
                       "nft add rule inet sakimori edge ip saddr @blocked drop",
                       "nft add element inet sakimori blocked '{ %s timeout 1d }'"),
        LINES("nft delete element inet sakimori blocked '{ %s }'") },
};
/* Accounts. */
static const struct device homes[] = {
    { "active-directory", LINES("Disable-ADAccount -Identity '%s'"), LINES("Enable-ADAccount -Identity '%s'") },
    { "windows", LINES("net user \"%s\" /active:no"), LINES("net user \"%s\" /active:yes") },
    { "linux", LINES("usermod --lock --expiredate 1 '%s'", "loginctl terminate-user '%s'"), LINES("usermod --unlock --expiredate '' '%s'") },
    { "fortigate", LINES("config user local", "edit \"%s\"", "set status disable", "next", "end"),
        LINES("config user local", "edit \"%s\"", "set status enable", "next", "end") },
};
static const char *const edge_names[] = { "fortigate-api", "generic-api", "fortigate", "yamaha-rtx", "nec-ix", "cisco-asa", "cisco-ios", "linux-iptables", "linux-nft", NULL };
static const char *const home_names[] = { "active-directory", "windows", "linux", "fortigate", NULL };

/* An IPv4 address of the outside: the institution's own is never blocked by a rule that fired. */
bool respond_outside(const char *text)
{
    struct in_addr in;

    if (inet_pton(AF_INET, text, &in) != 1)
        return false;
    uint32_t a = ntohl(in.s_addr);
    return !(a >> 24 == 10 || a >> 24 == 127 || a >> 24 == 0 || a >> 28 >= 0xe || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe ||
        a >> 22 == 0x191 /* 100.64/10 */);
}

static bool plain(const char *text)
{
    return *text && strlen(text) <= 64 && *text != '-' && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") == strlen(text);
}

static int block(const struct device *list, size_t n, const json_t *params, const char *what, const char *value, const char *ja, const char *en,
    json_t **ret)
{
    const char *name = respond_text(params, "device");

    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) != 0)
            continue;
        *ret = json_pack("{s:s,s:o,s:o,s:s,s:s,s:o,s:o}", "effect", "commands", "ja", json_sprintf("%s を%s", value, ja), "en",
            json_sprintf("%s %s", en, value), "device", name, what, value, "commands", respond_lines(list[i].add, value), "undo_commands",
            respond_lines(list[i].undo, value));
        return *ret ? 0 : -ENOMEM;
    }
    return -SM_EINVAL; /* respond_check knows the same names */
}

static const struct respond_param address_params[] = {
    { "device", true, edge_names, "入口の機器", "device at the edge" },
    { "address", false, NULL, "止めるアドレス(なければ、この件の外のアドレス)", "address to block (else the outside one of the incident)" },
    { "hours", false, NULL, "止める時間(1から168。API の機器だけ。なければ 24)", "hours, 1 to 168, of devices with an API (24 if none)" },
    { NULL, false, NULL, NULL, NULL },
};

static int plan_address(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *given = respond_text(params, "address"), *address = *given ? given : respond_entity(incident, "address", respond_outside);

    if (!address) {
        snprintf(ret_why, RESPOND_WHY, "no IPv4 address of the outside in this incident");
        return -SM_ENOTFOUND;
    }
    if (!respond_outside(address)) {
        snprintf(ret_why, RESPOND_WHY, "address: an IPv4 address of the outside");
        return -SM_EINVAL;
    }
    const char *hours = respond_text(params, "hours");
    char *end = NULL;
    long n = *hours ? strtol(hours, &end, 10) : 24;
    if ((end && *end) || n < 1 || n > 168) {
        snprintf(ret_why, RESPOND_WHY, "hours: 1 to 168");
        return -SM_EINVAL;
    }
    int r = respond_by_api(respond_text(params, "device"), address, n, ret);
    return r != -SM_ENOTFOUND ? r : block(edges, sizeof edges / sizeof *edges, params, "address", address, "入口で止めます", "Blocks at the edge:", ret);
}

const struct respond_action respond_block_address = { "block-address", "相手のアドレスを入口で止める", "block an address at the edge", address_params, true,
    plan_address };

static const struct respond_param account_params[] = {
    { "device", true, home_names, "利用者を持つ仕組み", "where the account lives" },
    { "account", false, NULL, "止める利用者(なければ、この件の利用者すべて。作り付けの管理者は除く)", "account to block (else those of the incident, built-in ones never)" },
    { NULL, false, NULL, NULL, NULL },
};

/* Whoever disables these locks the house out; their password is changed. */
static bool built_in(const char *text)
{
    static const char *const names[] = { "administrator", "admin", "root", "guest", "krbtgt", "postgres" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(names[i], text))
            return true;
    return false;
}

bool respond_somebodys(const char *text)
{
    return plain(text) && !built_in(text);
}

static int extend(json_t *plan, const char *key, const json_t *more)
{
    return json_array_extend(json_object_get(plan, key), json_object_get(more, key));
}

/* One more account in the plan of others: a person enters the commands of those that are meant. */
static int join(json_t *plan, const json_t *more, const char *account)
{
    json_t *ja = json_sprintf("%s、%s", account, json_string_value(json_object_get(plan, "ja"))),
           *en = json_sprintf("%s, %s", json_string_value(json_object_get(plan, "en")), account);
    int r = ja && en && !json_object_set(plan, "ja", ja) && !json_object_set(plan, "en", en) && !extend(plan, "commands", more) &&
        !extend(plan, "undo_commands", more) ? 0 : -ENOMEM;

    json_decref(ja);
    json_decref(en);
    return r;
}

static int plan_one(const json_t *params, const char *account, json_t **ret)
{
    return block(homes, sizeof homes / sizeof *homes, params, "account", account, "使えなくします", "Disables the account", ret);
}

/* Every account that the incident names, ACCOUNTS_MAX at most. */
static int plan_all(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    json_t *plan = NULL, *more = NULL;
    const json_t *row;
    size_t i, n = 0;
    int r = 0;

    json_array_foreach(json_object_get(incident, "entities"), i, row) {
        const char *text = json_string_value(json_array_get(row, 1));
        if (!text || strcmp(json_string_value(json_array_get(row, 0)) ? json_string_value(json_array_get(row, 0)) : "", "account") != 0 ||
            !respond_somebodys(text) || n == ACCOUNTS_MAX)
            continue;
        r = plan_one(params, text, n ? &more : &plan);
        if (r >= 0 && n++)
            r = join(plan, more, text);
        json_decref(more);
        more = NULL;
        if (r < 0)
            break;
    }
    if (r >= 0 && !n) {
        snprintf(ret_why, RESPOND_WHY, respond_entity(incident, "account", plain) ? "built-in accounts only: change their passwords" :
            "no account in this incident");
        r = -SM_ENOTFOUND;
    }
    if (r < 0)
        json_decref(plan);
    else
        *ret = plan;
    return r;
}

static int plan_account(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *given = respond_text(params, "account");

    if (!*given)
        return plan_all(params, incident, ret, ret_why);
    if (!plain(given)) {
        snprintf(ret_why, RESPOND_WHY, "account: letters, digits and . _ - @ only");
        return -SM_EINVAL;
    }
    return plan_one(params, given, ret);
}

const struct respond_action respond_block_account = { "block-account", "利用者を使えなくする", "disable an account", account_params, true, plan_account };
