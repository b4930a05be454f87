#include "sakimori-agent/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "plat/fs.h"
#include "sakimori-agent/http.h"
#include "vault/store/takeover.h"

#define PIN_FILE "sheet.pub"
#define USED_FILE "takeovers.used"
#define USED_MAX 256u /* take-overs of one box; each needs the sheet */
#define TREE "tree-"
#define TREE_LEN (5 + 32)

/* ---- the sheet's key ---- */

static int pinned(int cache, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(64);
    int r = plat_fs_read_file(cache, PIN_FILE, 64, &b);
    if (!r && b.n != 32)
        r = -SM_EFORMAT;
    if (!r)
        memcpy(ret, b.p, 32);
    sm_buf_wipe(&b);
    return r;
}

void follow_pin(int cache, const char *hex)
{
    uint8_t key[32], have[32];
    if (!hex || strlen(hex) != 64 || sm_unhex(hex, 64, key, 32) || pinned(cache, have) != -ENOENT)
        return;
    if (plat_replace(cache, PIN_FILE, SM_SPAN(key, 32), 0600))
        sm_warn("the key of the recovery sheet could not be kept");
}

void follow_trust(int cache, const uint8_t key[32])
{
    uint8_t have[32];
    if (pinned(cache, have) == 0 && memcmp(have, key, 32) == 0)
        return;
    if (plat_replace(cache, PIN_FILE, SM_SPAN(key, 32), 0600))
        sm_warn("the key of the recovery sheet could not be kept");
}

/* ---- orders that counted ---- */

static int used_read(int cache, struct sm_buf *ret)
{
    int r = plat_fs_read_file(cache, USED_FILE, 16 * USED_MAX, ret);
    return r == -ENOENT ? 0 : r;
}

static bool used_has(const struct sm_buf *used, const uint8_t nonce[16])
{
    for (size_t i = 0; i + 16 <= used->n; i += 16)
        if (memcmp(used->p + i, nonce, 16) == 0)
            return true;
    return false;
}

static int used_add(int cache, struct sm_buf *used, const uint8_t nonce[16])
{
    int r = sm_buf_put(used, nonce, 16);
    return r ? r : plat_replace(cache, USED_FILE, sm_buf_span(used), 0600);
}

/* ---- following ---- */

static int read_order(const struct heads *h, int cache, const json_t *takeover, struct takeover *ret)
{
    struct sm_obj o = SM_OBJ(takeover);
    uint8_t key[32], sig[64];
    const char *text = sm_obj_str(&o, "order", 1, TAKEOVER_TEXT_MAX);
    sm_obj_hex(&o, "sig", sig, 64);
    int r = o.err ? o.err : pinned(cache, key);
    if (!r)
        r = takeover_check(SM_SPAN_STR(text), sig, key, ret);
    return !r && memcmp(ret->vault.b, h->vault.b, 16) != 0 ? -SM_EMISMATCH : r;
}

int follow_takeover(struct heads *h, int cache, const json_t *takeover, const char *head, bool proven, struct sm_ipc *link)
{
    struct takeover t;
    struct sm_buf used = SM_BUF_INIT(16 * USED_MAX);
    int r = read_order(h, cache, takeover, &t);
    if (!r)
        r = used_read(cache, &used);
    if (r)
        sm_warn("the box says that it took over; that could not be checked: %s",
            r == -ENOENT ? "no key of the recovery sheet is kept here" : sm_strerror(r));
    bool fresh = !r && !used_has(&used, t.nonce), followed = false;
    /* One that goes back behind what it explains is no explanation; nor is one for a record that was never behind. */
    if (fresh && !proven && t.from.seq < h->last.seq)
        followed = heads_follow(h, &t.from, head, link) == 0;
    if (fresh && (proven || followed) && (r = used_add(cache, &used, t.nonce)) != 0) {
        sm_warn("a take-over could not be noted: %s", sm_strerror(r));
        followed = false; /* it would count again */
    }
    sm_buf_wipe(&used);
    return followed;
}

static int forget_one(void *arg, struct sm_span name, unsigned char type)
{
    int cache = *(int *)arg;
    char broken[64];
    const char *text = (const char *)name.p;
    (void)type;
    if (!strncmp(text, "look", 4)) {
        (void)!plat_fs_unlink(cache, text); /* one that stays is found out: the box names what it misses */
    } else if (!strncmp(text, TREE, 5) && name.n == TREE_LEN) {
        /* As after a run that was broken off: read anew, and asked about before it is sent. */
        snprintf(broken, sizeof broken, "%.40s.new", text);
        (void)!plat_fs_rename(cache, text, cache, broken, true); /* as above */
    }
    return 0;
}

void follow_forget(int cache)
{
    int dir = openat(cache, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return;
    (void)!plat_fs_list(dir, forget_one, &cache); /* as above */
    close(dir);
}

/* ---- another address ---- */

static int is_same_box(const struct agent_config *c, struct sm_span body, char *why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    uint8_t vault[16], order[32];
    int r = sm_json_parse(body, 1 << 20, &j, why);
    struct sm_obj o = SM_OBJ(j);
    if (!r) {
        sm_obj_hex(&o, "vault", vault, 16);
        sm_obj_hex(&o, "order_pub", order, 32);
        r = o.err;
    }
    if (!r && (memcmp(vault, c->vault.b, 16) != 0 || memcmp(order, c->order_pub, 32) != 0)) {
        snprintf(why, 256, "another box answers there");
        r = -SM_EAUTH;
    }
    return r;
}

/* The connection trusts the CA that this device pinned, and no other. */
int follow_move(const char *data, const char *url, char *ret_why)
{
    struct agent_config c = {0};
    struct sm_buf answer = SM_BUF_INIT(1 << 20);
    char to[600], ca[AGENT_PATH_MAX + 32];
    size_t n = strlen(url);
    int status = 0, r = agent_config_load(data, &c, ret_why);
    if (r)
        return r;
    while (n && url[n - 1] == '/')
        n--;
    if (strncmp(url, "https://", 8) != 0 || n < 9 || n >= sizeof c.url) {
        snprintf(ret_why, 256, "an address like https://192.168.1.10:8444");
        agent_config_wipe(&c);
        return -SM_EINVAL;
    }
    snprintf(c.url, sizeof c.url, "%.*s", (int)n, url);
    snprintf(to, sizeof to, "%s/agent/v1/hello", c.url);
    snprintf(ca, sizeof ca, "%s/link/ca.pem", data);
    r = http_once(to, ca, true, "GET", SM_SPAN(NULL, 0), &status, &answer, ret_why);
    if (!r && status != 200) {
        snprintf(ret_why, 256, "the box answered %d", status);
        r = -SM_EPROTO;
    }
    if (!r)
        r = is_same_box(&c, sm_buf_span(&answer), ret_why);
    if (!r)
        r = agent_config_save(&c);
    sm_buf_wipe(&answer);
    agent_config_wipe(&c);
    return r;
}
