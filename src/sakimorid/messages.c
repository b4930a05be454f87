#include <errno.h>
#include "sakimorid/messages.h"

#define KIB(n) ((uint32_t)(n) << 10)
#define FULL ((uint32_t)SM_IPC_BODY_MAX)
#define FC (WHO_FRONT | WHO_COLLECTOR)
#define FB (WHO_FRONT | WHO_OPENER)
#define FS (WHO_FRONT | WHO_SELF)
#define BS (WHO_BRAIN | WHO_SELF)

#define ROW(type_, max_, from_, to_, kind_) { type_, #type_, max_, from_, to_, MSG_##kind_, false }
#define ROW_FD(type_, max_, from_, to_, kind_) { type_, #type_, max_, from_, to_, MSG_##kind_, true }

const struct msg_row msg_table[] = {
    ROW(P_CONFIG, KIB(64), WHO_PARENT, WHO_CHILDREN, NOTICE),
    ROW_FD(P_ATTACH, KIB(1), WHO_PARENT, WHO_CHILDREN, NOTICE),
    ROW(P_STOP, KIB(1), WHO_PARENT, WHO_CHILDREN, NOTICE),
    ROW_FD(P_LISTEN, KIB(1), WHO_PARENT, FC, NOTICE),
    ROW(P_CHILD, KIB(4), WHO_PARENT, WHO_BRAIN, NOTICE),
    ROW(P_DISKS, KIB(8), WHO_PARENT, WHO_BRAIN, NOTICE),
    ROW(P_OPENER, KIB(1), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_MAIL, KIB(8), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_FIREWALL, KIB(8), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_COPIER, KIB(8), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_COURIER, KIB(1), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_ADDRESS, KIB(16), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_SELF, KIB(1), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(P_HOUSE, KIB(8), WHO_BRAIN, WHO_PARENT, REQUEST),
    ROW(C_READY, KIB(4), WHO_CHILDREN, WHO_PARENT, NOTICE),
    ROW(C_FATAL, KIB(4), WHO_CHILDREN, WHO_PARENT, NOTICE),
    ROW(C_NOTE, KIB(8), WHO_CHILDREN, WHO_PARENT, NOTICE),

    ROW(B_HTTP, FULL, WHO_FRONT, WHO_BRAIN, REQUEST),
    ROW(B_GONE, KIB(1), WHO_FRONT, WHO_BRAIN, NOTICE),
    ROW(F_EVENT, KIB(256), WHO_BRAIN, WHO_FRONT, NOTICE),
    ROW(F_DROP, KIB(1), WHO_BRAIN, WHO_FRONT, NOTICE),
    ROW(F_CERT, KIB(64), WHO_BRAIN, FC, NOTICE),

    ROW(K_TLS_SIGN, KIB(1), FC, WHO_KEYD, REQUEST),
    ROW(K_SIGN_HEAD, 256, WHO_VAULT, WHO_KEYD, REQUEST),
    ROW(K_OPEN, FULL, WHO_OPENER, WHO_KEYD, REQUEST),
    ROW(K_ORDERS_PUB, 0, WHO_VAULT, WHO_KEYD, REQUEST),
    ROW(K_STATUS, KIB(1), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SETUP_BEGIN, KIB(16), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SETUP_SHEET, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SETUP_CONFIRM, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SETUP_RESTORE, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CERT_SERVER, KIB(16), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CERT_DEVICE, KIB(32), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_ORDER_SIGN, KIB(256), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_UNLOCK, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_LOCK, KIB(1), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_GRANT_AGENT, FULL, WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_GRANT_OPENER, FULL, WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_REKEY_PASSWORD, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CHECK_SHEET, KIB(8), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CHALLENGE, KIB(1), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_ESCROW, KIB(1), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CARD_NEW, KIB(4), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SELF, 48, WHO_SELF, WHO_KEYD, REQUEST),
    ROW(K_CHANGE, KIB(32), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_CHANGE_TAKE, KIB(32), WHO_VAULT, WHO_KEYD, REQUEST), /* who knows what waited and was executed */
    ROW(K_CHANGE_DROP, 256, WHO_VAULT, WHO_KEYD, REQUEST),
    ROW(K_LINKS, KIB(64), WHO_BRAIN, WHO_KEYD, REQUEST),
    ROW(K_SEAL_BEGIN, 0, WHO_WATCH, WHO_KEYD, REQUEST),
    ROW(K_SEAL_SIGN, KIB(65), WHO_WATCH, WHO_KEYD, REQUEST),
    ROW(K_EVENT, KIB(4), WHO_KEYD, WHO_BRAIN, NOTICE),

    ROW(V_PACK_BEGIN, KIB(1), FS, WHO_VAULT, REQUEST),
    ROW(V_PACK_DATA, KIB(256) + 4, FS, WHO_VAULT, REQUEST),
    ROW(V_PACK_END, KIB(1), FS, WHO_VAULT, REQUEST),
    ROW(V_PACK_ABORT, KIB(1), WHO_FRONT, WHO_VAULT, REQUEST),
    ROW(V_OBJECTS, KIB(256), FB, WHO_VAULT, REQUEST),
    ROW(V_STATUS, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CLIENT, KIB(16), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_SESSION, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PACK_STATE, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_HAVE, KIB(512), BS, WHO_VAULT, REQUEST),
    ROW(V_MANIFEST, KIB(512), BS, WHO_VAULT, REQUEST),
    ROW(V_GENERATIONS, KIB(64), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_GENERATION, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CLOSURE, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_GRANT, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_UNGRANT, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_FREEZE, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_THAW, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_POLICY, KIB(16), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_ACCESS, KIB(32), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_LOG, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_VERIFY, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_SCRUB, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_ANCESTRY, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_HEAD, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_RETENTION, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_ORDER, KIB(48), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_HOLD, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CLEAN, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_DATE, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_QUOTA, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_RECIPIENTS, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CHANGE, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_COPY_LABEL, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PEER, KIB(8), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PEER_PACK, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PEER_FILE, KIB(544), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PEER_READ, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_PEER_LIST, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_COPY_SEAL, KIB(1), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CACHE_PUT, KIB(264), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_CACHE_GET, KIB(4), WHO_BRAIN, WHO_VAULT, REQUEST),
    ROW(V_EVENT, KIB(64), WHO_VAULT, WHO_BRAIN, NOTICE),

    ROW(O_LOAD, KIB(512), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_LIST, KIB(64), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_STAT, KIB(64), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_FIND, KIB(16), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_DIFF, KIB(64), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_SAMPLE, KIB(4), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_SEARCH, KIB(16), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_TICKET, KIB(64), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_CLOSE, KIB(4), WHO_BRAIN, WHO_OPENER, REQUEST),
    ROW(O_STREAM, KIB(4), WHO_FRONT, WHO_OPENER, REQUEST),

    ROW(X_MAIL, KIB(256), WHO_BRAIN, WHO_OUT, REQUEST),
    ROW(X_WEBHOOK, KIB(256), WHO_BRAIN, WHO_OUT, REQUEST),
    ROW(X_SYSLOG, KIB(16), WHO_BRAIN, WHO_OUT, REQUEST),
    ROW(X_FIREWALL, KIB(16), WHO_BRAIN, WHO_OUT, REQUEST),
    ROW(X_RESULT, KIB(4), WHO_OUT, WHO_BRAIN, NOTICE),

    ROW(Y_RUN, KIB(4), WHO_BRAIN, WHO_COPIER, REQUEST),
    ROW(Y_CANCEL, KIB(1), WHO_BRAIN, WHO_COPIER, REQUEST),
    ROW(Y_EVENT, KIB(8), WHO_COPIER, WHO_BRAIN, NOTICE),

    ROW(N_RUN, KIB(4), WHO_BRAIN, WHO_COURIER, REQUEST),
    ROW(N_CANCEL, KIB(1), WHO_BRAIN, WHO_COURIER, REQUEST),
    ROW(N_EVENT, KIB(8), WHO_COURIER, WHO_BRAIN, NOTICE),
    ROW(N_SEAL, KIB(1), WHO_COURIER, WHO_BRAIN, REQUEST),
    ROW(S_HELLO, KIB(1), WHO_BRAIN, WHO_SELF, REQUEST),
    ROW(S_RUN, KIB(16), WHO_BRAIN, WHO_SELF, REQUEST),

    ROW(L_BATCH, FULL, WHO_COLLECTOR, WHO_WATCH, REQUEST),
    ROW(L_DOORS, KIB(1), WHO_BRAIN, WHO_COLLECTOR, NOTICE),
    ROW(L_SENDERS, KIB(128), WHO_COLLECTOR, WHO_BRAIN, NOTICE),
    ROW(W_EVENTS, FULL, WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_CONFIG, FULL, WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_STATUS, KIB(1), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_RULES, KIB(4), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_RULE, KIB(4), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_TRY, KIB(512), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_BUNDLE, KIB(256), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_OWN, FULL, WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_SAVE, KIB(1), WHO_BRAIN, WHO_WATCH, REQUEST),
    ROW(W_SOURCES, KIB(256), WHO_WATCH, WHO_BRAIN, NOTICE),
    ROW(W_SIGNALS, KIB(256), WHO_WATCH, WHO_BRAIN, NOTICE),
    ROW(W_EVENT, KIB(4), WHO_WATCH, WHO_BRAIN, NOTICE),
    ROW(W_HITS, KIB(256), WHO_WATCH, WHO_BRAIN, NOTICE),

    ROW(J_SEARCH, KIB(16), WHO_BRAIN, WHO_SEEKER, REQUEST),
    ROW(J_HISTOGRAM, KIB(16), WHO_BRAIN, WHO_SEEKER, REQUEST),
    ROW(J_VERIFY, KIB(4), WHO_BRAIN, WHO_SEEKER, REQUEST),
    ROW(J_EXPORT, KIB(16), WHO_BRAIN, WHO_SEEKER, REQUEST),
    ROW(J_EVENT, KIB(4), WHO_BRAIN, WHO_SEEKER, REQUEST),

    ROW(H_SEARCH, KIB(16), WHO_BRAIN, WHO_HOUSE, REQUEST),
    ROW(H_HISTOGRAM, KIB(16), WHO_BRAIN, WHO_HOUSE, REQUEST),
    ROW(H_EXPORT, KIB(16), WHO_BRAIN, WHO_HOUSE, REQUEST),
    ROW(H_EVENT, KIB(4), WHO_BRAIN, WHO_HOUSE, REQUEST),
    ROW(H_INIT, KIB(1), WHO_BRAIN, WHO_HOUSE, REQUEST),
    ROW(H_STATE, KIB(4), WHO_HOUSE, WHO_BRAIN, NOTICE),
};
const size_t msg_table_n = sizeof msg_table / sizeof msg_table[0];
_Static_assert(sizeof msg_table / sizeof msg_table[0] <= MSG_ROWS_MAX, "raise MSG_ROWS_MAX");

static const char *const who_names[WHO_COUNT] = { "parent", "front", "keyd", "brain", "vault", "opener", "out",
    "copier", "courier", "selfsave", "collector", "watch", "seeker", "house" };

const struct msg_row *msg_find(uint16_t type)
{
    for (size_t i = 0; i < msg_table_n; i++)
        if (msg_table[i].type == type)
            return &msg_table[i];
    return NULL;
}

const char *msg_name(uint16_t type)
{
    const struct msg_row *r = msg_find(type);

    return r ? r->name : "?";
}

const char *msg_who_name(unsigned who)
{
    for (unsigned i = 0; i < WHO_COUNT; i++)
        if (who == 1u << i)
            return who_names[i];
    return "?";
}

unsigned msg_who(const char *name)
{
    for (unsigned i = 0; i < WHO_COUNT; i++)
        if (!strcmp(name, who_names[i]))
            return 1u << i;
    return 0;
}

size_t msg_rules(unsigned me, unsigned peer, struct sm_ipc_rule ret[MSG_ROWS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < msg_table_n; i++) {
        const struct msg_row *r = &msg_table[i];
        if (!(r->from & peer) || !(r->to & me))
            continue;
        ret[n++] = (struct sm_ipc_rule){ .type = r->type, .body_max = r->body_max, .with_fd = r->with_fd,
            .name = r->name };
    }
    return n;
}

bool msg_channel(unsigned a, unsigned b)
{
    for (size_t i = 0; a != b && i < msg_table_n; i++) {
        const struct msg_row *r = &msg_table[i];
        if (((r->from & a) && (r->to & b)) || ((r->from & b) && (r->to & a)))
            return true;
    }
    return false;
}

static int say(char *ret_why, int err, const char *text)
{
    if (ret_why)
        snprintf(ret_why, 160, "%s", text);
    return err;
}

int msg_json(struct sm_span body, size_t json_max, json_t **ret_json, char *ret_why)
{
    json_t *j = NULL;
    int r = sm_json_parse(body, json_max, &j, ret_why);

    if (r < 0)
        return r;
    if (!json_is_object(j)) {
        json_decref(j);
        return say(ret_why, -SM_EFORMAT, "not a JSON object");
    }
    *ret_json = j;
    return 0;
}

int msg_split(struct sm_span body, size_t json_max, json_t **ret_json, struct sm_span *ret_raw, char *ret_why)
{
    struct sm_rd rd = SM_RD(body);
    uint32_t n = sm_rd_u32(&rd);
    struct sm_span text;
    int r;

    if (!rd.err && n > json_max)
        return say(ret_why, -SM_ELIMIT, "JSON part too long");
    text = sm_rd_bytes(&rd, n);
    if (rd.err)
        return say(ret_why, -SM_EFORMAT, "shorter than it says");
    r = msg_json(text, json_max, ret_json, ret_why);
    if (r < 0)
        return r;
    *ret_raw = SM_SPAN(rd.p, rd.n);
    return 0;
}

int msg_join(const json_t *json, struct sm_span raw, struct sm_buf *ret)
{
    size_t start = ret->n;
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r;

    if (!json_is_object(json))
        return -SM_EINVAL;
    r = sm_json_dump(json, &text);
    if (r >= 0)
        r = sm_buf_put_u32(ret, (uint32_t)text.n);
    if (r >= 0)
        r = sm_buf_put_span(ret, sm_buf_span(&text));
    if (r >= 0)
        r = sm_buf_put_span(ret, raw);
    sm_buf_wipe(&text);
    if (r < 0)
        ret->n = start;
    return r < 0 ? r : 0;
}
