/* The policy: taken from the box's order, handed to the parts that keep it for themselves. */
#include <errno.h>
#include <fcntl.h>

#include "core/log.h"
#include "plat/fs.h"
#include "sakimori-agent/judge/judge.h"
#include "sakimori-agent/orders.h"

int judge_policy_load(struct judge *j)
{
    struct sm_buf text = SM_BUF_INIT(ENDPOINT_ROW_MAX);
    char why[160];
    int r = endpoint_policy_load(&j->own, &j->policy, why);
    if (r == -ENOMEM)
        return r;
    if (r)
        sm_warn("the policy that was kept is not used: %s", why[0] ? why : sm_strerror(r)); /* the box sends it again */
    if (!r && j->policy.number && !plat_fs_read_file(AT_FDCWD, j->policy_path, ENDPOINT_ROW_MAX, &text) &&
        sm_json_parse(sm_buf_span(&text), ENDPOINT_ROW_MAX, &j->row, NULL))
        j->row = NULL;
    sm_buf_wipe(&text);
    return 0;
}

void judge_policy_give(struct judge *j, int peer)
{
    struct sm_buf b = SM_BUF_INIT(ENDPOINT_ROW_MAX);
    if (j->row && j->peer[peer] && peer != JUDGE_LOGS /* which needs none */ && !sm_json_dump(j->row, &b) && sm_ipc_send(j->peer[peer], E_POLICY, sm_buf_span(&b), -1))
        sm_warn("%s could not be given the policy", judge_peer_names[peer]); /* with its next channel */
    sm_buf_wipe(&b);
}

static void answer(struct sm_ipc *ipc, struct sm_ipc_msg *m, const char *state, const char *detail)
{
    struct sm_buf b = SM_BUF_INIT(1024);
    json_t *o = json_pack("{s:s,s:s}", "state", state, "detail", detail);
    if (o && !sm_json_dump(o, &b) && sm_ipc_reply(ipc, m, 0, sm_buf_span(&b), -1))
        sm_warn("an order could not be answered"); /* it is offered again */
    json_decref(o);
    sm_buf_wipe(&b);
}

/* Fresh, as any order; what is kept of it is read again whenever that is. */
static int take(struct judge *j, const json_t *row, char *why)
{
    struct order o = {0};
    int r = order_check(row, j->config.order_pub, j->config.device, &o, why);
    order_wipe(&o);
    return r ? r : endpoint_policy_take(row, &j->own, &j->policy, why);
}

void judge_order(struct judge *j, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    sm_cleanup(sm_json_free) json_t *row = NULL;
    char why[160] = "";
    int r = sm_json_parse(m->body, ORDER_MAX * 2, &row, why);
    if (!r)
        r = take(j, row, why);
    if (r && r != -SM_EEXISTS) {
        snprintf(j->refused, sizeof j->refused, "%s", why[0] ? why : sm_strerror(r));
        sm_warn("a policy was refused: %s", j->refused);
        answer(ipc, m, "refused", j->refused);
        return;
    }
    if (!r) {
        json_decref(j->row);
        j->row = json_pack("{s:O,s:O}", "order", json_object_get(row, "order"), "sig", json_object_get(row, "sig"));
        j->refused[0] = 0;
        for (int i = 0; i < JUDGE_PEERS; i++)
            judge_policy_give(j, i);
        sm_info("policy %llu of the box holds", (unsigned long long)j->policy.number);
    }
    judge_tell(j); /* before the answer: with it the box may ask how it is */
    answer(ipc, m, "done", r ? "in force already" : "");
}
