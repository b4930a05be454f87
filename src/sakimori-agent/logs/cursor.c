#include "sakimori-agent/logs/cursor.h"

#include <errno.h>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "plat/fs.h"

bool log_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= LOG_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n && name[0] != '-';
}

static void file_name(const char *name, char ret[LOG_NAME_MAX + 8])
{
    snprintf(ret, LOG_NAME_MAX + 8, "%.48s.at", name);
}

void log_cursor_new(struct log_cursor *ret)
{
    uint8_t life[LOG_LIFE / 2];
    *ret = (struct log_cursor){.number = 0};
    crypto_random(life, sizeof life);
    sm_hex(life, sizeof life, ret->life);
}

void log_cursor_wipe(struct log_cursor *c)
{
    json_decref(c->state);
    json_decref(c->range);
    *c = (struct log_cursor){.number = 0};
}

static int take(const json_t *j, struct log_cursor *ret)
{
    struct sm_obj o = SM_OBJ(j);
    if (sm_obj_int(&o, "version", 1, 1000000) != LOG_CURSOR_VERSION && !o.err)
        return -SM_EVERSION;
    const char *life = sm_obj_str(&o, "life", LOG_LIFE, LOG_LIFE), *why = sm_obj_str_opt(&o, "gap_why", 79);
    struct log_cursor c = {.number = (uint64_t)sm_obj_int(&o, "number", 0, INT64_MAX - 1)};
    const struct {
        const char *key;
        uint64_t *to;
    } numbers[] = {{"records", &c.counts.records}, {"bytes", &c.counts.bytes}, {"cut", &c.counts.cut},
        {"gaps", &c.counts.gaps}, {"gap_files", &c.gap_files}, {"gap_bytes", &c.gap_bytes}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        *numbers[i].to = (uint64_t)sm_obj_int(&o, numbers[i].key, 0, INT64_MAX);
    const json_t *state = sm_obj_obj(&o, "state"), *range = sm_obj_obj(&o, "range");
    if (o.err || strspn(life, "0123456789abcdef") != LOG_LIFE)
        return -SM_EFORMAT;
    memcpy(c.life, life, sizeof c.life);
    snprintf(c.gap_why, sizeof c.gap_why, "%s", why ? why : "");
    c.state = json_incref((json_t *)(uintptr_t)state);
    c.range = json_incref((json_t *)(uintptr_t)range);
    *ret = c;
    return 0;
}

int log_cursor_parse(struct sm_span text, struct log_cursor *ret)
{
    sm_cleanup(sm_json_free) json_t *j = NULL;
    uint8_t sum[32], said[32];
    const uint8_t *nl = text.n ? memchr(text.p, '\n', text.n) : NULL;
    size_t n = nl ? (size_t)(nl - text.p) : 0;
    if (!nl || text.n != n + 1 + 64 + 1 || text.p[text.n - 1] != '\n' || sm_unhex((const char *)nl + 1, 64, said, 32))
        return -SM_EFORMAT;
    crypto_sha256(SM_SPAN(text.p, n), sum);
    if (memcmp(sum, said, 32) != 0)
        return -SM_EFORMAT;
    int r = sm_json_parse(SM_SPAN(text.p, n), LOG_CURSOR_MAX, &j, NULL);
    return r ? r : take(j, ret);
}

int log_cursor_load(int folder, const char *name, struct log_cursor *ret)
{
    char file[LOG_NAME_MAX + 8];
    struct sm_buf text = SM_BUF_INIT(LOG_CURSOR_MAX);
    file_name(name, file);
    int r = plat_fs_read_file(folder, file, LOG_CURSOR_MAX, &text);
    if (!r)
        r = log_cursor_parse(sm_buf_span(&text), ret);
    sm_buf_wipe(&text);
    return r;
}

int log_cursor_save(int folder, const char *name, const struct log_cursor *c)
{
    char file[LOG_NAME_MAX + 8], hex[65];
    uint8_t sum[32];
    struct sm_buf text = SM_BUF_INIT(LOG_CURSOR_MAX);
    json_t *o = json_pack("{s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "version", LOG_CURSOR_VERSION, "life", c->life,
        "number", (json_int_t)c->number, "records", (json_int_t)c->counts.records, "bytes", (json_int_t)c->counts.bytes,
        "cut", (json_int_t)c->counts.cut, "gaps", (json_int_t)c->counts.gaps, "gap_files", (json_int_t)c->gap_files,
        "gap_bytes", (json_int_t)c->gap_bytes, "gap_why", c->gap_why);
    int r = o ? 0 : -ENOMEM;
    if (!r && c->state)
        r = json_object_set(o, "state", c->state) ? -ENOMEM : 0;
    if (!r && c->range)
        r = json_object_set(o, "range", c->range) ? -ENOMEM : 0;
    if (!r)
        r = sm_json_dump(o, &text);
    crypto_sha256(sm_buf_span(&text), sum);
    sm_hex(sum, 32, hex);
    if (!r)
        r = sm_buf_printf(&text, "\n%s\n", hex);
    file_name(name, file);
    if (!r)
        r = plat_replace(folder, file, sm_buf_span(&text), 0600);
    json_decref(o);
    sm_buf_wipe(&text);
    return r;
}
