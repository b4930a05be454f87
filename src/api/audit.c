#include "api/audit.h"
#include <errno.h>
#include <unistd.h>
#include "core/json.h"
#include "core/time.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"

#define FILES_MAX 100000u
#define LABEL "sakimori/v1/audit"

struct audit {
    int dirfd, fd;
    unsigned file;
    uint64_t size;
    struct audit_head head;
    bool broken, cut;
};

static void file_name(unsigned n, char ret[32])
{
    (void)snprintf(ret, 32, "audit-%06u.jsonl", n); /* fits */
}

static void line_hash(struct sm_span canonical, char ret[AUDIT_HASH_TEXT])
{
    uint8_t h[CRYPTO_SHA256_LEN];
    const struct sm_span parts[] = { SM_SPAN_STR(LABEL), canonical };
    crypto_sha256v(parts, 2, h);
    sm_hex(h, sizeof h, ret);
}

static void first_head(struct audit_head *h)
{
    h->n = 0;
    memset(h->hash, '0', 64);
    h->hash[64] = 0;
}

/* One complete line without '\n' against what must come before it.  NULL, or what is wrong. */
static const char *line_check(struct sm_span line, const struct audit_head *before, struct audit_head *ret)
{
    json_t *j = NULL;
    if (sm_json_parse(line, AUDIT_LINE_MAX, &j, NULL) < 0)
        return "form";
    const char *wrong = "form";
    const char *hash = json_string_value(json_object_get(j, "hash"));
    const char *prev = json_string_value(json_object_get(j, "prev"));
    struct sm_buf b = SM_BUF_INIT(2 * AUDIT_LINE_MAX);
    if (hash && prev && strlen(hash) == 64 && json_is_integer(json_object_get(j, "n"))) {
        uint64_t n = (uint64_t)json_integer_value(json_object_get(j, "n"));
        char said[AUDIT_HASH_TEXT], made[AUDIT_HASH_TEXT];
        memcpy(said, hash, sizeof said);
        bool same = sm_json_dump(j, &b) == 0 && sm_span_eq(sm_buf_span(&b), line); /* no other spelling of it */
        bool chained = !strcmp(prev, before->hash);
        json_object_del(j, "hash");
        sm_buf_clear(&b);
        if (sm_json_dump(j, &b) == 0)
            line_hash(sm_buf_span(&b), made);
        else
            made[0] = 0;
        wrong = !same || strcmp(said, made) != 0 ? "changed"
                : n > before->n + 1              ? "removed"
                : n != before->n + 1             ? "order"
                : !chained                       ? "changed"
                                                 : NULL;
        if (!wrong) {
            ret->n = n;
            memcpy(ret->hash, said, sizeof said);
        }
    }
    sm_buf_wipe(&b);
    json_decref(j);
    return wrong;
}

/* Lines of one whole file; an incomplete last one is given with complete == false.  Non-zero of fn stops. */
typedef int (*line_fn)(void *arg, struct sm_span line, bool complete);
static int each_line(int dirfd, unsigned file, line_fn fn, void *arg)
{
    char name[32];
    file_name(file, name);
    struct sm_buf b = SM_BUF_INIT((size_t)AUDIT_FILE_MAX + 2 * AUDIT_LINE_MAX);
    int r = plat_fs_read_file(dirfd, name, b.max, &b);
    size_t at = 0;
    while (r == 0 && at < b.n) {
        const uint8_t *end = memchr(b.p + at, '\n', b.n - at);
        size_t n = end ? (size_t)(end - (b.p + at)) : b.n - at;
        r = fn(arg, SM_SPAN(b.p + at, n), end != NULL);
        at += n + 1;
    }
    sm_buf_wipe(&b);
    return r;
}

struct tail { struct audit_head head; uint64_t keep; bool broken, torn, any; };

/* Opening looks at the form of each line and follows n and hash; the whole check is audit_verify's. */
static int tail_line(void *arg, struct sm_span line, bool complete)
{
    struct tail *t = arg;
    if (!complete) {
        t->torn = true;
        return 0;
    }
    struct audit_head next = t->head;
    json_t *j = NULL;
    const char *hash = NULL;
    if (sm_json_parse(line, AUDIT_LINE_MAX, &j, NULL) == 0)
        hash = json_string_value(json_object_get(j, "hash"));
    if (hash && strlen(hash) == 64) {
        next.n = (uint64_t)json_integer_value(json_object_get(j, "n"));
        memcpy(next.hash, hash, sizeof next.hash);
    }
    t->broken = !hash; /* only the last line's state stays */
    t->head = next;
    t->any = true;
    t->keep += line.n + 1;
    json_decref(j);
    return 0;
}

static int find_tail(struct audit *a)
{
    unsigned last = 0;
    for (unsigned i = 1; i < FILES_MAX; i++) {
        char name[32];
        file_name(i, name);
        if (faccessat(a->dirfd, name, F_OK, 0) < 0)
            break;
        last = i;
    }
    struct tail t = { 0 };
    first_head(&t.head);
    /* A newest file without a complete line takes its number from the one before. */
    for (unsigned i = last; i > 0 && !t.any; i--) {
        t.keep = 0;
        bool torn = t.torn;
        int r = each_line(a->dirfd, i, tail_line, &t);
        if (r < 0)
            return r;
        if (i == last)
            a->size = t.keep;
        t.torn |= torn;
    }
    a->file = last ? last : 1;
    a->head = t.head;
    a->broken = t.broken;
    a->cut = t.torn;
    return 0;
}

static int open_file(struct audit *a)
{
    char name[32];
    file_name(a->file, name);
    int fd = plat_fs_create(a->dirfd, name, PLAT_FS_APPEND, 0600);
    if (fd < 0)
        return fd;
    int r = plat_fs_truncate(fd, a->size);
    if (r == 0)
        r = plat_fs_sync_dir(a->dirfd);
    if (r < 0) {
        (void)close(fd); /* nothing was written */
        return r;
    }
    if (a->fd >= 0)
        (void)close(a->fd); /* every line of it is on disk */
    a->fd = fd;
    return 0;
}

int audit_open(const char *dir, struct audit **ret)
{
    struct audit *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->dirfd = a->fd = -1;
    int r = plat_fs_mkdir_p(dir, 0700);
    if (r == 0) {
        a->dirfd = plat_fs_open_dir(AT_FDCWD, dir);
        r = a->dirfd < 0 ? a->dirfd : find_tail(a);
    }
    if (r == 0)
        r = open_file(a);
    if (r == 0 && a->cut) {
        const struct audit_entry e = { "sakimori", "box", "box", "audit.tail", "incomplete last line cut off", "ok" };
        r = audit_add(a, &e);
    }
    if (r < 0) {
        audit_close(a);
        return r;
    }
    *ret = a;
    return 0;
}

void audit_close(struct audit *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        (void)close(a->fd); /* every line is on disk already */
    if (a->dirfd >= 0)
        (void)close(a->dirfd);
    free(a);
}

struct audit_head audit_head(const struct audit *a)
{
    return a->head;
}

bool audit_is_broken(const struct audit *a)
{
    return a->broken;
}

static json_t *text_or_empty(const char *s)
{
    json_t *j = s ? json_stringn(s, strnlen(s, 1000)) : NULL; /* not UTF-8: NULL */
    return j ? j : json_string("");
}

static int line_make(
    const struct audit *a, const struct audit_entry *e, struct sm_buf *ret, struct audit_head *ret_head)
{
    char at[SM_TIME_TEXT];
    sm_time_rfc3339(plat_clock_wall(), at);
    ret_head->n = a->head.n + 1;
    json_t *j = json_pack("{s:I,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "n", (json_int_t)ret_head->n, "at", at, "prev",
        a->head.hash, "who", text_or_empty(e->who), "role", text_or_empty(e->role), "from", text_or_empty(e->from),
        "act", text_or_empty(e->act), "what", text_or_empty(e->what), "result", text_or_empty(e->result));
    if (!j)
        return -ENOMEM;
    int r = sm_json_dump(j, ret);
    if (r == 0) {
        line_hash(sm_buf_span(ret), ret_head->hash);
        sm_buf_clear(ret);
        r = json_object_set_new(j, "hash", json_string(ret_head->hash)) < 0 ? -ENOMEM : sm_json_dump(j, ret);
    }
    if (r == 0)
        r = sm_buf_put_u8(ret, '\n');
    json_decref(j);
    return r;
}

int audit_add(struct audit *a, const struct audit_entry *e)
{
    if (a->size >= AUDIT_FILE_MAX) {
        a->file++;
        a->size = 0;
        int o = open_file(a);
        if (o < 0)
            return o;
    }
    struct sm_buf b = SM_BUF_INIT(2 * AUDIT_LINE_MAX);
    struct audit_head head;
    int r = line_make(a, e, &b, &head);
    if (r == 0)
        r = plat_fs_write_all(a->fd, sm_buf_span(&b));
    if (r == 0)
        r = plat_fs_datasync(a->fd);
    if (r == 0) {
        a->head = head;
        a->size += b.n;
    } else {
        (void)!plat_fs_truncate(a->fd, a->size); /* best effort: the next opening cuts a torn line as well */
    }
    sm_buf_wipe(&b);
    return r;
}

struct listing { json_t *ring; uint64_t before; size_t max; };

static int list_line(void *arg, struct sm_span line, bool complete)
{
    struct listing *l = arg;
    json_t *j = NULL;
    if (!complete || sm_json_parse(line, AUDIT_LINE_MAX, &j, NULL) < 0)
        return 0;
    uint64_t n = (uint64_t)json_integer_value(json_object_get(j, "n"));
    if (l->before && n >= l->before) {
        json_decref(j);
        return 0;
    }
    if (json_array_append_new(l->ring, j) < 0)
        return -ENOMEM;
    if (json_array_size(l->ring) > l->max)
        (void)json_array_remove(l->ring, 0); /* it is there */
    return 0;
}

int audit_list(struct audit *a, uint64_t before, size_t max, json_t **ret)
{
    json_t *all = json_array();
    int r = all ? 0 : -ENOMEM;
    for (unsigned f = a->file; r == 0 && f > 0 && json_array_size(all) < max; f--) {
        struct listing l = { json_array(), before, max - json_array_size(all) };
        r = l.ring ? each_line(a->dirfd, f, list_line, &l) : -ENOMEM;
        for (size_t i = json_array_size(l.ring); r == 0 && i > 0; i--)
            if (json_array_append(all, json_array_get(l.ring, i - 1)) < 0)
                r = -ENOMEM;
        json_decref(l.ring);
    }
    if (r < 0)
        json_decref(all);
    else
        *ret = all;
    return r;
}

int audit_export(struct audit *a, struct sm_buf *ret)
{
    size_t start = ret->n;
    int r = 0;
    for (unsigned f = 1; r == 0 && f <= a->file; f++) {
        char name[32];
        file_name(f, name);
        r = plat_fs_read_file(a->dirfd, name, ret->max - ret->n, ret);
    }
    if (r < 0)
        ret->n = start;
    return r;
}

struct checking { struct audit_head at; const struct audit_head *known; bool seen; struct audit_report *rep; };

static int check_line(void *arg, struct sm_span line, bool complete)
{
    struct checking *k = arg;
    const char *wrong = complete ? line_check(line, &k->at, &k->at) : "cut";
    k->rep->lines++;
    if (!wrong && k->known && k->at.n == k->known->n) {
        k->seen = true;
        wrong = strcmp(k->at.hash, k->known->hash) != 0 ? "changed" : NULL;
    }
    if (!wrong)
        return 0;
    k->rep->ok = false;
    k->rep->bad_line = k->rep->lines;
    (void)snprintf(k->rep->why, sizeof k->rep->why, "%s", wrong); /* all words fit */
    return 1;
}

int audit_verify(const char *dir, const struct audit_head *known, struct audit_report *ret)
{
    int dirfd = plat_fs_open_dir(AT_FDCWD, dir);
    if (dirfd < 0)
        return dirfd;
    struct audit_report rep = { .ok = true };
    struct checking k = { .known = known && known->n ? known : NULL, .rep = &rep };
    first_head(&k.at);
    int r = 0;
    for (unsigned f = 1; r == 0 && f < FILES_MAX; f++) {
        char name[32];
        file_name(f, name);
        if (faccessat(dirfd, name, F_OK, 0) < 0)
            break;
        r = each_line(dirfd, f, check_line, &k);
    }
    (void)close(dirfd);
    if (r < 0)
        return r;
    if (rep.ok && k.known && !k.seen) {
        rep.ok = false;
        rep.bad_line = rep.lines + 1;
        memcpy(rep.why, "cut", 4);
    }
    *ret = rep;
    return 0;
}
