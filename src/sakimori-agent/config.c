/* The two small files of the agent: agent.json (public) and keys/device.json (secret). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori-agent/agent.h"

#define VERSION 1
#define FILE_MAX ((size_t)256 << 10)

static int read_json(const char *data, const char *name, json_t **ret, char *why)
{
    char path[AGENT_PATH_MAX + 64];
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    char at[160] = "";
    snprintf(path, sizeof path, "%s/%s", data, name);
    int r = plat_fs_read_file(AT_FDCWD, path, FILE_MAX, &text);
    if (r == -ENOENT)
        r = -SM_ENOTFOUND;
    if (!r)
        r = sm_json_parse(sm_buf_span(&text), FILE_MAX, ret, at);
    if (r)
        snprintf(why, 160, "%s: %.100s", name, at[0] ? at : sm_strerror(r));
    sm_zero(text.p, text.n);
    sm_buf_wipe(&text);
    return r;
}

static int write_json(const char *data, const char *folder, const char *name, const json_t *o, mode_t mode)
{
    char path[AGENT_PATH_MAX + 64];
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    snprintf(path, sizeof path, "%s%s%s", data, folder[0] ? "/" : "", folder);
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    int r = dir < 0 ? dir : sm_json_dump(o, &text);
    if (!r)
        r = plat_replace(dir, name, sm_buf_span(&text), mode);
    if (dir >= 0)
        close(dir);
    sm_zero(text.p, text.n);
    sm_buf_wipe(&text);
    return r;
}

static int put_hex(json_t *o, const char *key, const void *p, size_t n)
{
    struct sm_buf hex = SM_BUF_INIT(FILE_MAX);
    int r = sm_buf_reserve(&hex, 2 * n + 1);
    if (!r) {
        sm_hex(p, n, (char *)hex.p);
        r = json_object_set_new(o, key, json_stringn((char *)hex.p, 2 * n)) ? -ENOMEM : 0;
        sm_zero(hex.p, 2 * n + 1);
    }
    sm_buf_wipe(&hex);
    return r;
}

static int version_of(struct sm_obj *o)
{
    int64_t v = sm_obj_int(o, "version", 1, 1000000);
    return o->err ? o->err : v == VERSION ? 0 : -SM_EVERSION;
}

static void copy_text(struct sm_obj *o, const char *key, char *to, size_t size)
{
    snprintf(to, size, "%s", sm_obj_str(o, key, 1, size - 1));
}

int agent_config_load(const char *data, struct agent_config *ret, char *ret_why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    struct agent_config c = {.recipients.max = FILE_MAX};
    int r = read_json(data, "agent.json", &j, ret_why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(j);
    snprintf(c.data, sizeof c.data, "%s", data);
    r = version_of(&o);
    copy_text(&o, "url", c.url, sizeof c.url);
    copy_text(&o, "device", c.device, sizeof c.device);
    copy_text(&o, "name", c.name, sizeof c.name);
    copy_text(&o, "institution", c.institution, sizeof c.institution);
    sm_obj_hex(&o, "client", c.client.b, 16);
    sm_obj_hex(&o, "vault", c.vault.b, 16);
    sm_obj_hex(&o, "order_pub", c.order_pub, 32);
    sm_obj_hex(&o, "head_pub", c.head_pub, 32);
    c.has_orders = json_object_get(j, "orders_pub") != NULL;
    if (c.has_orders)
        sm_obj_hex(&o, "orders_pub", c.orders_pub, 32);
    const char *set = sm_obj_str(&o, "recipients", 2, FILE_MAX / 2);
    size_t n = strlen(set) / 2;
    if (!r)
        r = o.err;
    if (!r)
        r = sm_buf_reserve(&c.recipients, n);
    if (!r)
        r = sm_unhex(set, 2 * n, c.recipients.p, n);
    if (r) {
        snprintf(ret_why, 160, "agent.json: %.120s", o.err ? o.why : sm_strerror(r));
        agent_config_wipe(&c);
        return r;
    }
    c.recipients.n = n;
    *ret = c;
    return 0;
}

int agent_config_save(const struct agent_config *c)
{
    sm_cleanup(sm_json_free) json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:s}", "version", VERSION, "url", c->url, "device",
        c->device, "name", c->name, "institution", c->institution);
    int r = o ? 0 : -ENOMEM;
    if (!r)
        r = put_hex(o, "client", c->client.b, 16);
    if (!r)
        r = put_hex(o, "vault", c->vault.b, 16);
    if (!r)
        r = put_hex(o, "order_pub", c->order_pub, 32);
    if (!r)
        r = put_hex(o, "head_pub", c->head_pub, 32);
    if (!r)
        r = put_hex(o, "recipients", c->recipients.p, c->recipients.n);
    if (!r && c->has_orders)
        r = put_hex(o, "orders_pub", c->orders_pub, 32);
    return r ? r : write_json(c->data, "", "agent.json", o, 0644);
}

void agent_config_wipe(struct agent_config *c)
{
    sm_buf_wipe(&c->recipients);
}

int agent_keys_make(const char *data, struct agent_keys *ret)
{
    char path[AGENT_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/keys/device.json", data);
    if (access(path, F_OK) == 0)
        return -SM_EEXISTS;
    struct agent_keys k;
    crypto_random(k.k_id, 32);
    crypto_random(k.k_look, 32);
    int r = crypto_sign_generate(&k.device);
    json_t *o = json_pack("{s:i,s:i}", "version", VERSION, "epoch", 1);
    if (!r)
        r = o ? put_hex(o, "device_seed", k.device.seed, 32) : -ENOMEM;
    if (!r)
        r = put_hex(o, "k_id", k.k_id, 32);
    if (!r)
        r = put_hex(o, "k_look", k.k_look, 32);
    if (!r)
        r = write_json(data, "keys", "device.json", o, 0600);
    json_decref(o);
    if (!r)
        *ret = k;
    agent_keys_wipe(&k);
    return r;
}

int agent_keys_load(const char *data, struct agent_keys *ret, char *ret_why)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    int r = read_json(data, "keys/device.json", &j, ret_why);
    if (r)
        return r;
    struct sm_obj o = SM_OBJ(j);
    struct agent_keys k;
    uint8_t seed[32];
    r = version_of(&o);
    sm_obj_hex(&o, "device_seed", seed, 32);
    sm_obj_hex(&o, "k_id", k.k_id, 32);
    sm_obj_hex(&o, "k_look", k.k_look, 32);
    if (!r)
        r = o.err;
    if (!r)
        r = crypto_sign_from_seed(seed, &k.device);
    sm_zero(seed, sizeof seed);
    if (r)
        snprintf(ret_why, 160, "keys/device.json: %.120s", o.err ? o.why : sm_strerror(r));
    else
        *ret = k;
    agent_keys_wipe(&k);
    return r;
}

void agent_keys_wipe(struct agent_keys *k)
{
    sm_zero(k, sizeof *k);
}
