/* The catalogue: what lies in the bucket, under which version, locked until when.  In memory, and as text in lists. */
#include <errno.h>
#include "vault/copy/s3_internal.h"

#define FIRST "sakimori list 1\n"
#define SLOT_NONE UINT32_MAX
#define POOL_MAX ((size_t)24 << 20)

void s3_list_wipe(struct s3_list *l)
{
    free(l->v);
    free(l->slots);
    sm_buf_wipe(&l->pool);
    sm_buf_wipe(&l->removed);
    *l = (struct s3_list){ .pool = SM_BUF_INIT(POOL_MAX), .removed = SM_BUF_INIT(S3_OBJECTS_MAX * sizeof(struct s3_name)) };
}

static bool name_eq(const struct s3_name *a, const struct s3_name *b)
{
    return a->kind == b->kind && memcmp(a->id, b->id, 32) == 0;
}

/* FNV-1a: ids of packs are hashes already, but those of the journal are not. */
static size_t place(const struct s3_list *l, const struct s3_name *n)
{
    uint64_t h = 14695981039346656037u ^ (uint8_t)n->kind;
    for (size_t i = 0; i < 32; i++)
        h = (h ^ n->id[i]) * 1099511628211u;
    return (size_t)h & (l->slots_n - 1);
}

static int grow(struct s3_list *l)
{
    if (l->n >= S3_OBJECTS_MAX)
        return -SM_ELIMIT;
    size_t cap = l->cap ? l->cap * 2 : 256;
    struct s3_entry *v = realloc(l->v, cap * sizeof *v);
    if (!v)
        return -ENOMEM;
    l->v = v;
    uint32_t *slots = malloc(cap * 2 * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    l->cap = cap;
    free(l->slots);
    l->slots = slots;
    l->slots_n = cap * 2;
    memset(slots, 0xff, l->slots_n * sizeof *slots);
    for (size_t i = 0; i < l->n; i++) {
        size_t at = place(l, &l->v[i].name);
        while (slots[at] != SLOT_NONE)
            at = (at + 1) & (l->slots_n - 1);
        slots[at] = (uint32_t)i;
    }
    return 0;
}

/* The slot that holds name, or the free one where it belongs. */
static size_t slot_of(const struct s3_list *l, const struct s3_name *name)
{
    size_t at = place(l, name);
    while (l->slots[at] != SLOT_NONE && !name_eq(&l->v[l->slots[at]].name, name))
        at = (at + 1) & (l->slots_n - 1);
    return at;
}

struct s3_entry *s3_list_find(const struct s3_list *l, const struct s3_name *name)
{
    if (!l->n)
        return NULL;
    uint32_t i = l->slots[slot_of(l, name)];
    return i == SLOT_NONE ? NULL : &l->v[i];
}

const char *s3_list_version(const struct s3_list *l, const struct s3_entry *e)
{
    return (const char *)l->pool.p + e->version;
}

int s3_list_set(struct s3_list *l, const struct s3_name *name, uint64_t size, int64_t until_s, const char *version)
{
    size_t len = strlen(version);
    struct s3_entry *e = s3_list_find(l, name);
    if (size > UINT32_MAX || until_s < 0 || until_s > UINT32_MAX || len >= S3_VERSION_MAX)
        return -SM_ELIMIT;
    if (!e && l->n == l->cap) {
        int r = grow(l);
        if (r)
            return r;
    }
    uint32_t at = e ? e->version : 0;
    if (!e || strcmp(s3_list_version(l, e), version) != 0) {
        at = (uint32_t)l->pool.n;
        int r = sm_buf_put(&l->pool, version, len + 1);
        if (r)
            return r;
    }
    if (!e) {
        l->slots[slot_of(l, name)] = (uint32_t)l->n;
        e = &l->v[l->n++];
        *e = (struct s3_entry){ .name = *name };
    }
    l->bytes += size - e->size;
    l->dirty += !e->dirty;
    e->dirty = true;
    e->size = (uint32_t)size;
    e->until = (uint32_t)until_s;
    e->version = at;
    return 0;
}

/* The last entry takes its place; the slots behind it are put again, so that no search ends too early. */
int s3_list_remove(struct s3_list *l, const struct s3_name *name)
{
    struct s3_name gone = *name;
    struct s3_entry *e = s3_list_find(l, &gone);
    if (!e)
        return 0;
    int r = sm_buf_put(&l->removed, &gone, sizeof gone);
    if (r)
        return r;
    size_t at = slot_of(l, &gone), i = (size_t)(e - l->v), mask = l->slots_n - 1;
    l->bytes -= e->size;
    l->dirty -= e->dirty;
    l->slots[at] = SLOT_NONE;
    for (size_t next = (at + 1) & mask; l->slots[next] != SLOT_NONE; next = (next + 1) & mask) {
        uint32_t moved = l->slots[next];
        l->slots[next] = SLOT_NONE;
        l->slots[slot_of(l, &l->v[moved].name)] = moved;
    }
    if (i != l->n - 1) {
        l->slots[slot_of(l, &l->v[l->n - 1].name)] = (uint32_t)i;
        l->v[i] = l->v[l->n - 1];
    }
    l->n--;
    return 0;
}

/* ---- names ---- */

int s3_name_of(const char *file, struct s3_name *ret)
{
    struct s3_name n = { .kind = S3_PACK };
    const char *hex = file + sizeof "packs/ab/" - 1;
    if (!strncmp(file, "manifests/", 10)) {
        n.kind = S3_MANIFEST;
        hex = file + 10;
    } else if (strncmp(file, "packs/", 6) != 0 || strlen(file) < 9 + 64) {
        return -SM_EINVAL;
    }
    if (strlen(hex) != 68 || strcmp(hex + 64, n.kind == S3_PACK ? ".skp" : ".skm") != 0 || sm_unhex(hex, 64, n.id, 32) < 0)
        return -SM_EINVAL;
    *ret = n;
    return 0;
}

struct s3_name s3_name_journal(uint32_t file, uint64_t off)
{
    struct s3_name n = { .kind = S3_JOURNAL };
    for (int i = 0; i < 4; i++)
        n.id[i] = (uint8_t)(file >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        n.id[4 + i] = (uint8_t)(off >> (56 - 8 * i));
    return n;
}

void s3_name_journal_get(const struct s3_name *n, uint32_t *ret_file, uint64_t *ret_off)
{
    *ret_file = 0;
    *ret_off = 0;
    for (int i = 0; i < 4; i++)
        *ret_file = *ret_file << 8 | n->id[i];
    for (int i = 0; i < 8; i++)
        *ret_off = *ret_off << 8 | n->id[4 + i];
}

void s3_name_key(const struct s3_name *n, char ret[S3_KEY_MAX])
{
    char hex[65];
    uint32_t file;
    uint64_t off;
    sm_hex(n->id, 32, hex);
    s3_name_journal_get(n, &file, &off);
    if (n->kind == S3_PACK)
        (void)snprintf(ret, S3_KEY_MAX, "vault/packs/%.2s/%s.skp", hex, hex); /* these all fit */
    else if (n->kind == S3_MANIFEST)
        (void)snprintf(ret, S3_KEY_MAX, "vault/manifests/%s.skm", hex);
    else if (n->kind == S3_JOURNAL)
        (void)snprintf(ret, S3_KEY_MAX, "vault/journal/%08u.skj/%012llu", file, (unsigned long long)off);
    else
        (void)snprintf(ret, S3_KEY_MAX, "box");
}

/* ---- text ---- */

static int put_entry(const struct s3_list *l, const struct s3_entry *e, struct sm_buf *ret)
{
    char hex[65];
    sm_hex(e->name.id, 32, hex);
    return sm_buf_printf(ret, "%c %s %u %u %s\n", e->name.kind, hex, e->size, e->until, s3_list_version(l, e));
}

int s3_list_put(const struct s3_list *l, bool all, size_t max, size_t *at, struct sm_buf *ret)
{
    size_t start = ret->n;
    int r = sm_buf_put_span(ret, SM_SPAN_STR(FIRST));
    for (size_t i = 0; !r && !all && !*at && i < l->removed.n; i += sizeof(struct s3_name)) {
        struct s3_name n;
        char hex[65];
        memcpy(&n, l->removed.p + i, sizeof n);
        sm_hex(n.id, 32, hex);
        r = sm_buf_printf(ret, "- %c %s\n", n.kind, hex);
    }
    size_t i = *at;
    for (; !r && i < l->n && ret->n - start < max; i++)
        if (all || l->v[i].dirty)
            r = put_entry(l, &l->v[i], ret);
    if (r)
        ret->n = start;
    else
        *at = i;
    return r;
}

void s3_list_clean(struct s3_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        l->v[i].dirty = false;
    l->dirty = 0;
    sm_buf_clear(&l->removed);
}

static int get_name(const char *kind, const char *hex, struct s3_name *ret)
{
    struct s3_name n = { .kind = kind[0] };
    if (!kind[0] || kind[1] || !strchr("pmjb", kind[0]) || strlen(hex) != 64 || sm_unhex(hex, 64, n.id, 32) < 0)
        return -SM_EFORMAT;
    *ret = n;
    return 0;
}

/* "k hex size until version", or "- k hex". */
static int get_line(struct s3_list *l, char *line)
{
    char *word[6] = { NULL }, *save = NULL;
    size_t n = 0;
    struct s3_name name;
    for (char *p = strtok_r(line, " ", &save); p && n < 6; p = strtok_r(NULL, " ", &save))
        word[n++] = p;
    bool minus = n == 3 && !strcmp(word[0], "-");
    if (!minus && n != 5)
        return -SM_EFORMAT;
    int r = get_name(word[minus], word[1 + minus], &name);
    if (r || minus)
        return r ? r : s3_list_remove(l, &name);
    char *end1, *end2;
    if (word[2][strspn(word[2], "0123456789")] || word[3][strspn(word[3], "0123456789")])
        return -SM_EFORMAT;
    unsigned long long size = strtoull(word[2], &end1, 10), until = strtoull(word[3], &end2, 10);
    if (size > S3_BODY_MAX || until > UINT32_MAX || strlen(word[4]) >= S3_VERSION_MAX)
        return -SM_EFORMAT;
    return s3_list_set(l, &name, size, (int64_t)until, word[4]);
}

int s3_list_get(struct s3_list *l, struct sm_span text)
{
    size_t head = sizeof FIRST - 1;
    if (text.n < head || memcmp(text.p, "sakimori list ", 14) != 0)
        return -SM_EFORMAT;
    if (memcmp(text.p, FIRST, head) != 0)
        return -SM_EVERSION;
    for (size_t at = head; at < text.n;) {
        char line[S3_VERSION_MAX + 128];
        const uint8_t *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - (text.p + at)) : 0;
        if (!end || n >= sizeof line || memchr(text.p + at, '\0', n))
            return -SM_EFORMAT;
        memcpy(line, text.p + at, n);
        line[n] = '\0';
        int r = get_line(l, line);
        if (r)
            return r;
        at += n + 1;
    }
    return 0;
}
