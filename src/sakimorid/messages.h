/*
 * Everything the processes of the box say to each other: one table, from which every channel's
 * receive rules and the list of channels itself are made (docs/PROCESSES.md says what the bodies hold).
 * A message that is not in the table for (sender, receiver) ends the process that received it.
 * To add one: a number here, a row in messages.c, a line in docs/PROCESSES.md.  Numbers are never reused.
 */
#ifndef SAKIMORID_MESSAGES_H
#define SAKIMORID_MESSAGES_H
#include "core/buf.h"
#include "core/ipc.h"
#include "core/json.h"

/* The processes, as bits so that one row can name several. */
enum msg_who {
    WHO_PARENT = 1, WHO_FRONT = 2, WHO_KEYD = 4, WHO_BRAIN = 8, WHO_VAULT = 16, WHO_OPENER = 32, WHO_OUT = 64,
    WHO_COPIER = 128, WHO_COURIER = 256, WHO_SELF = 512, WHO_COLLECTOR = 1024, WHO_WATCH = 2048, WHO_SEEKER = 4096, WHO_HOUSE = 8192,
    WHO_CHILDREN = 16382,
};
#define WHO_COUNT 14

enum msg_type {
    /* parent → children, children → parent */
    P_CONFIG = 0x0100, P_ATTACH = 0x0101, P_STOP = 0x0102, P_LISTEN = 0x0103, P_CHILD = 0x0104, P_DISKS = 0x0105,
    P_OPENER = 0x0110, P_MAIL = 0x0111, P_COPIER = 0x0112, P_COURIER = 0x0113, P_ADDRESS = 0x0114, P_SELF = 0x0118, P_FIREWALL = 0x0119,
    P_HOUSE = 0x011a,
    C_READY = 0x0200, C_FATAL = 0x0201, C_NOTE = 0x0202,
    /* front ↔ brain */
    B_HTTP = 0x0300, B_GONE = 0x0301,
    F_EVENT = 0x0400, F_DROP = 0x0401, F_CERT = 0x0402,
    /* → keyd, keyd ⇢ brain */
    K_TLS_SIGN = 0x0500, K_SIGN_HEAD = 0x0501, K_OPEN = 0x0502, K_ORDERS_PUB = 0x0503,
    K_STATUS = 0x0510, K_SETUP_BEGIN = 0x0511, K_SETUP_SHEET = 0x0512, K_SETUP_CONFIRM = 0x0513,
    K_SETUP_RESTORE = 0x0514, K_CERT_SERVER = 0x0515, K_CERT_DEVICE = 0x0516, K_ORDER_SIGN = 0x0517,
    K_UNLOCK = 0x0518, K_LOCK = 0x0519, K_GRANT_AGENT = 0x051a, K_GRANT_OPENER = 0x051b,
    K_REKEY_PASSWORD = 0x051c, K_CHECK_SHEET = 0x051d, K_CHALLENGE = 0x051e, K_ESCROW = 0x051f, K_EVENT = 0x0520,
    K_CARD_NEW = 0x0521, K_SELF = 0x0538,
    K_SEAL_BEGIN = 0x0540, K_SEAL_SIGN = 0x0541,
    K_CHANGE = 0x0530, K_CHANGE_TAKE = 0x0531, K_LINKS = 0x0532, K_CHANGE_DROP = 0x0533,
    /* → vault, vault ⇢ brain */
    V_PACK_BEGIN = 0x0600, V_PACK_DATA = 0x0601, V_PACK_END = 0x0602, V_PACK_ABORT = 0x0603, V_OBJECTS = 0x0604,
    V_STATUS = 0x0610, V_CLIENT = 0x0611, V_SESSION = 0x0612, V_PACK_STATE = 0x0613, V_HAVE = 0x0614,
    V_MANIFEST = 0x0615, V_GENERATIONS = 0x0616, V_GENERATION = 0x0617, V_CLOSURE = 0x0618, V_GRANT = 0x0619,
    V_UNGRANT = 0x061a, V_FREEZE = 0x061b, V_THAW = 0x061c, V_POLICY = 0x061d, V_ACCESS = 0x061e, V_LOG = 0x061f,
    V_VERIFY = 0x0620, V_ANCESTRY = 0x0621, V_HEAD = 0x0622, V_RETENTION = 0x0623,
    V_ORDER = 0x0624, V_HOLD = 0x0625, V_CLEAN = 0x0626, V_DATE = 0x0627, V_SCRUB = 0x0628,
    V_QUOTA = 0x0629, V_COPY_LABEL = 0x0630, V_COPY_SEAL = 0x0631, V_CACHE_PUT = 0x0634, V_CACHE_GET = 0x0635, V_RECIPIENTS = 0x0638, V_CHANGE = 0x0639,
    V_EVENT = 0x0640,
    V_PEER = 0x0650, V_PEER_PACK = 0x0651, V_PEER_FILE = 0x0652, V_PEER_READ = 0x0653, V_PEER_LIST = 0x0654,
    /* → opener */
    O_LOAD = 0x0700, O_LIST = 0x0701, O_STAT = 0x0702, O_FIND = 0x0703, O_TICKET = 0x0704, O_CLOSE = 0x0705,
    O_DIFF = 0x0706, O_SEARCH = 0x0707, O_SAMPLE = 0x0708,
    O_STREAM = 0x0710,
    /* brain → out, out ⇢ brain */
    X_MAIL = 0x0800, X_WEBHOOK = 0x0801, X_RESULT = 0x0802, X_SYSLOG = 0x0803, X_FIREWALL = 0x0804,
    /* brain → copier, copier ⇢ brain */
    Y_RUN = 0x0900, Y_CANCEL = 0x0901, Y_EVENT = 0x0902,
    /* the same with courier; courier → brain */
    N_RUN = 0x0a00, N_CANCEL = 0x0a01, N_EVENT = 0x0a02, N_SEAL = 0x0a03,
    /* brain → selfsave */
    S_HELLO = 0x0c00, S_RUN = 0x0c01,
    /* collector → watch, collector ⇢ brain */
    L_BATCH = 0x0d00, L_SENDERS = 0x0d01, L_DOORS = 0x0d02,
    /* brain → watch, watch ⇢ brain */
    W_EVENTS = 0x0e00, W_CONFIG = 0x0e01, W_STATUS = 0x0e02, W_RULES = 0x0e03,
    W_RULE = 0x0e04, W_TRY = 0x0e05, W_BUNDLE = 0x0e06, W_OWN = 0x0e07, W_SAVE = 0x0e08,
    W_SOURCES = 0x0e10, W_SIGNALS = 0x0e11, W_EVENT = 0x0e12, W_HITS = 0x0e13,
    /* brain → seeker */
    J_SEARCH = 0x0f00, J_HISTOGRAM = 0x0f01, J_VERIFY = 0x0f02, J_EXPORT = 0x0f03, J_EVENT = 0x0f04,
    /* brain → house: the same, and its own; house ⇢ brain */
    H_SEARCH = 0x1000, H_HISTOGRAM = 0x1001, H_EXPORT = 0x1003, H_EVENT = 0x1004, H_INIT = 0x1005, H_STATE = 0x1010,
};

enum msg_kind { MSG_NOTICE, MSG_REQUEST };
struct msg_row {
    uint16_t type;
    const char *name;
    uint32_t body_max;    /* of the message itself; answers may have SM_IPC_BODY_MAX a frame */
    uint16_t from, to;    /* WHO_ bits */
    enum msg_kind kind;   /* NOTICE: id 0, never answered; REQUEST: answered exactly once (or MORE…) */
    bool with_fd;
};
extern const struct msg_row msg_table[];
extern const size_t msg_table_n;
#define MSG_ROWS_MAX 160

/* The row of type, NULL if there is none; its name or "?". */
const struct msg_row *msg_find(uint16_t type);
const char *msg_name(uint16_t type);
/* "front" … for one WHO_ bit, "?" else; and back (0 if unknown). */
const char *msg_who_name(unsigned who);
unsigned msg_who(const char *name);
/* What `me` may receive from `peer`, for sm_ipc_config.may_receive; the number of rules. */
size_t msg_rules(unsigned me, unsigned peer, struct sm_ipc_rule ret[MSG_ROWS_MAX]);
/* Do these two have a channel: is there any message between them? */
bool msg_channel(unsigned a, unsigned b);

/*
 * Bodies of the form u32 n ‖ JSON object (n bytes) ‖ raw bytes.
 * Split: *ret_json is the caller's (json_decref), *ret_raw borrows from body.  ret_why (160 bytes) may be NULL.
 * -SM_EFORMAT (too short, not an object), -SM_ELIMIT (n > json_max), -ENOMEM.
 */
sm_must_use int msg_split(struct sm_span body, size_t json_max, json_t **ret_json, struct sm_span *ret_raw,
    char *ret_why);
/* Append such a body.  -ENOMEM, -SM_ELIMIT, -SM_EINVAL (not an object). */
sm_must_use int msg_join(const json_t *json, struct sm_span raw, struct sm_buf *ret);
/* A body that is one JSON object and nothing else. */
sm_must_use int msg_json(struct sm_span body, size_t json_max, json_t **ret_json, char *ret_why);

#endif
