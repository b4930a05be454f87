#include "sakimori/auditfile.h"
#include "core/json.h"
#include "crypto/hash.h"

#define LABEL "sakimori/v1/audit"

static void hash_of(struct sm_span canonical, char ret[65])
{
    uint8_t h[CRYPTO_SHA256_LEN];
    const struct sm_span parts[] = { SM_SPAN_STR(LABEL), canonical };
    crypto_sha256v(parts, 2, h);
    sm_hex(h, sizeof h, ret);
}

/* Is the line exactly its canonical form, and its hash the right one?  Takes "hash" out of j. */
static bool unchanged(json_t *j, struct sm_span line, const char *said)
{
    struct sm_buf b = SM_BUF_INIT(4 * AUDITFILE_LINE_MAX);
    char made[65] = "";
    bool same = sm_json_dump(j, &b) == 0 && sm_span_eq(sm_buf_span(&b), line);
    json_object_del(j, "hash");
    sm_buf_clear(&b);
    if (sm_json_dump(j, &b) == 0)
        hash_of(sm_buf_span(&b), made);
    sm_buf_wipe(&b);
    return same && !strcmp(made, said);
}

static enum auditfile_fault check(const struct auditfile *a, json_t *j, struct sm_span line, struct auditfile_head *ret)
{
    const json_t *n = json_object_get(j, "n");
    const char *hash = json_string_value(json_object_get(j, "hash")),
               *prev = json_string_value(json_object_get(j, "prev"));
    char before[65];
    if (!hash || !prev || strlen(hash) != 64 || strlen(prev) != 64 || !json_is_integer(n) || json_integer_value(n) < 1)
        return AUDITFILE_FORM;
    ret->n = (uint64_t)json_integer_value(n);
    memcpy(ret->hash, hash, 65);
    memcpy(before, prev, 65);
    if (!unchanged(j, line, ret->hash))
        return AUDITFILE_CHANGED;
    if (ret->n > a->head.n + 1)
        return AUDITFILE_REMOVED;
    if (ret->n != a->head.n + 1)
        return AUDITFILE_ORDER;
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    return strcmp(before, a->head.n ? a->head.hash : zeros) ? AUDITFILE_CHANGED : AUDITFILE_SOUND;
}

enum auditfile_fault auditfile_line(struct auditfile *a, struct sm_span line)
{
    json_t *j = NULL;
    struct auditfile_head next = { 0 };
    enum auditfile_fault f = AUDITFILE_FORM;
    a->lines++;
    if (sm_json_parse(line, AUDITFILE_LINE_MAX, &j, NULL) == 0 && json_is_object(j))
        f = check(a, j, line, &next);
    json_decref(j);
    if (f == AUDITFILE_SOUND) {
        a->head = next;
        a->any = true;
    }
    return f;
}

const char *auditfile_fault_name(enum auditfile_fault f)
{
    static const char *const names[] = { "sound", "form", "changed", "removed", "order" };
    return names[f];
}
