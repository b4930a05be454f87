/* What the agents of the machines concerned do: cut off, block an address, disable accounts, kill what is suspected. */
#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct respond_param none[] = { { NULL, false, NULL, NULL, NULL } };
static const struct respond_param hours_param[] = {
    { "hours", false, NULL, "続ける時間(1から168。なければ 24)", "hours, 1 to 168 (24 if none)" },
    { NULL, false, NULL, NULL, NULL },
};
static const struct respond_param address_params[] = {
    { "address", false, NULL, "止めるアドレス(なければ、この件の外のアドレス)", "address to block (else the outside one of the incident)" },
    { "hours", false, NULL, "続ける時間(1から168。なければ 24)", "hours, 1 to 168 (24 if none)" },
    { NULL, false, NULL, NULL, NULL },
};
static const struct respond_param account_params[] = {
    { "account", false, NULL, "止める利用者(なければ、この件の利用者)", "account to disable (else that of the incident)" },
    { NULL, false, NULL, NULL, NULL },
};

static int hours_of(const json_t *params, long *ret, char *ret_why)
{
    const char *text = respond_text(params, "hours");
    char *end = NULL;
    long n = *text ? strtol(text, &end, 10) : 24;

    if ((end && *end) || n < 1 || n > 168) {
        snprintf(ret_why, RESPOND_WHY, "hours: 1 to 168");
        return -SM_EINVAL;
    }
    *ret = n;
    return 0;
}

/* Takes args.  The machines of the incident as the other actions on machines name them. */
static int on_machines(const char *action, const char *undo, json_t *args, long hours, const char *ja, const char *en, const json_t *incident, json_t **ret, char *ret_why)
{
    json_t *plan = NULL;
    int r = args ? respond_on_hosts("machine", ja, en, incident, &plan, ret_why) : -ENOMEM;

    if (!r && (json_object_set_new(plan, "machine_action", json_string(action)) || json_object_set(plan, "args", args) ||
                  (undo && json_object_set_new(plan, "machine_undo", json_string(undo))) ||
                  (hours && json_object_set_new(plan, "for_s", json_integer(hours * 3600)))))
        r = -ENOMEM;
    json_decref(args);
    if (r)
        json_decref(plan);
    else
        *ret = plan;
    return r;
}

static int plan_isolate(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    long hours = 24;
    int r = hours_of(params, &hours, ret_why);
    return r ? r : on_machines("isolate", "release", json_object(), hours, "通信を、箱とだけにします", "Leaves only the box reachable for", incident, ret, ret_why);
}

static int plan_block(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *given = respond_text(params, "address"), *address = *given ? given : respond_entity(incident, "address", respond_outside);
    char ja[160], en[160];
    long hours = 24;
    int r = hours_of(params, &hours, ret_why);

    if (r)
        return r;
    if (!address) {
        snprintf(ret_why, RESPOND_WHY, "no IPv4 address of the outside in this incident");
        return -SM_ENOTFOUND;
    }
    if (!respond_outside(address)) {
        snprintf(ret_why, RESPOND_WHY, "address: an IPv4 address of the outside");
        return -SM_EINVAL;
    }
    snprintf(ja, sizeof ja, "機器から、%.60s への通信を止めます", address);
    snprintf(en, sizeof en, "Blocks %.60s on", address);
    r = on_machines("block_address", "unblock_address", json_pack("{s:s}", "to", address), hours, ja, en, incident, ret, ret_why);
    if (!r)
        r = json_object_set_new(*ret, "address", json_string(address)) ? -ENOMEM : 0; /* a known place is never blocked */
    return r;
}

static int plan_account(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *given = respond_text(params, "account"), *account = *given ? given : respond_entity(incident, "account", respond_somebodys);
    char ja[160], en[160];

    if (!account) {
        snprintf(ret_why, RESPOND_WHY, "no account in this incident");
        return -SM_ENOTFOUND;
    }
    if (!respond_somebodys(account) || strchr(account, '@')) {
        snprintf(ret_why, RESPOND_WHY, "account: letters, digits and . _ - @ only");
        return -SM_EINVAL;
    }
    snprintf(ja, sizeof ja, "利用者 %.60s を使えなくします", account);
    snprintf(en, sizeof en, "Disables the account %.60s on", account);
    return on_machines("disable_account", "enable_account", json_pack("{s:s}", "account", account), 0, ja, en, incident, ret, ret_why);
}

static int plan_kill(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    (void)params;
    return on_machines("kill", NULL, json_object(), 0, "疑わしいプログラムを、すべて終わらせます", "Kills what is suspected on", incident, ret, ret_why);
}

const struct respond_action respond_isolate = { "isolate-machine", "機器を切りはなす(箱とだけ通信)", "isolate the machine (only the box stays reachable)", hours_param,
    true, plan_isolate };
const struct respond_action respond_machine_block = { "block-on-machine", "機器から相手への通信を止める", "block an address on the machine", address_params, true,
    plan_block };
const struct respond_action respond_machine_account = { "disable-on-machine", "機器の利用者を使えなくする", "disable an account on the machine", account_params, true,
    plan_account };
const struct respond_action respond_kill = { "kill-suspects", "疑わしいプログラムを終わらせる", "kill suspected programs", none, false, plan_kill };
