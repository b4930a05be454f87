#include "sakimori-agent/actor/actlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/time.h"
#include "crypto/hash.h"
#include "plat/clock.h"
#include "plat/fs.h"

#define LABEL "sakimori/v1/actor"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define FILES_MAX 1000000u

struct actlog {
    int folder, fd;
    unsigned file;
    uint64_t n, size;
    char prev[65];
};

static void name_of(unsigned file, char ret[32])
{
    (void)snprintf(ret, 32, "journal-%06u.jsonl", file); /* fits */
}

static int hash_of(const json_t *line, char ret[65])
{
    struct sm_buf b = SM_BUF_INIT(2 * ACTLOG_LINE_MAX);
    json_t *o = json_copy((json_t *)(uintptr_t)line);
    uint8_t h[CRYPTO_SHA256_LEN];
    int r = o ? sm_buf_put(&b, LABEL, sizeof LABEL - 1) : -ENOMEM;
    if (o)
        json_object_del(o, "hash");
    if (!r)
        r = sm_json_dump(o, &b);
    if (!r) {
        crypto_sha256(sm_buf_span(&b), h);
        sm_hex(h, sizeof h, ret);
    }
    json_decref(o);
    sm_buf_wipe(&b);
    return r;
}

/* One line against the chain so far. */
static int check(struct sm_span text, uint64_t n, const char *prev, char ret_hash[65])
{
    sm_cleanup(sm_json_free) json_t *o = NULL;
    if (sm_json_parse(text, ACTLOG_LINE_MAX, &o, NULL))
        return -SM_ECORRUPT;
    const char *hash = json_string_value(json_object_get(o, "hash")), *p = json_string_value(json_object_get(o, "prev"));
    int r = hash_of(o, ret_hash);
    if (r)
        return r == -ENOMEM ? r : -SM_ECORRUPT;
    bool good = hash && p && strcmp(hash, ret_hash) == 0 && (!prev || strcmp(p, prev) == 0) &&
                (!n || (uint64_t)json_integer_value(json_object_get(o, "n")) == n);
    return good ? 0 : -SM_ECORRUPT;
}

/* The whole lines of a file, one after the other; *ret_end: where the last whole one ends. */
static int each(int folder, unsigned file, int (*fn)(void *arg, struct sm_span line), void *arg, uint64_t *ret_end)
{
    char name[32];
    struct sm_buf b = SM_BUF_INIT(ACTLOG_FILE_MAX + 2 * (size_t)ACTLOG_LINE_MAX);
    name_of(file, name);
    int r = plat_fs_read_file(folder, name, b.max, &b);
    size_t at = 0;
    while (!r && at < b.n) {
        const uint8_t *end = memchr(b.p + at, '\n', b.n - at);
        if (!end)
            break;
        r = fn(arg, SM_SPAN(b.p + at, (size_t)(end - b.p) - at));
        at = (size_t)(end - b.p) + 1;
    }
    if (!r)
        *ret_end = at;
    sm_buf_wipe(&b);
    return r;
}

struct last { uint8_t line[ACTLOG_LINE_MAX]; size_t n; };

static int keep_last(void *arg, struct sm_span line)
{
    struct last *l = arg;
    l->n = line.n < sizeof l->line ? line.n : 0;
    memcpy(l->line, line.p, l->n);
    return 0;
}

/* Where to go on: behind the last whole line of the last file. */
static int find_end(struct actlog *j)
{
    struct last *l = calloc(1, sizeof *l);
    json_t *o = NULL;
    char hash[65];
    int r = l ? each(j->folder, j->file, keep_last, l, &j->size) : -ENOMEM;
    if (!r && l->n) {
        struct sm_span line = SM_SPAN(l->line, l->n);
        r = check(line, 0, NULL, hash);
        if (!sm_json_parse(line, ACTLOG_LINE_MAX, &o, NULL))
            j->n = (uint64_t)json_integer_value(json_object_get(o, "n"));
        (void)snprintf(j->prev, sizeof j->prev, "%s", r ? ZEROS : hash); /* a chain that begins anew shows */
    }
    json_decref(o);
    free(l);
    return r;
}

static int open_file(struct actlog *j)
{
    char name[32];
    name_of(j->file, name);
    int fd = plat_fs_create(j->folder, name, PLAT_FS_APPEND, 0600);
    int r = fd < 0 ? fd : plat_fs_truncate(fd, j->size); /* an incomplete last line */
    if (!r)
        r = plat_fs_sync_dir(j->folder);
    if (j->fd >= 0)
        (void)close(j->fd); /* each line was synced */
    j->fd = r ? -1 : fd;
    if (r && fd >= 0)
        (void)close(fd); /* the error is told */
    return r;
}

int actlog_open(int folder, struct actlog **ret)
{
    struct actlog *j = calloc(1, sizeof *j);
    char name[32];
    if (!j)
        return -ENOMEM;
    *j = (struct actlog){.folder = folder, .fd = -1, .file = 1, .prev = ZEROS};
    for (unsigned i = 2; i < FILES_MAX; i++, j->file++) {
        name_of(i, name);
        if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW))
            break;
    }
    int r = find_end(j), told = 0;
    if (r == -SM_ECORRUPT) {
        told = r;
        r = 0;
    }
    if (!r && j->file > 1 && !j->size) /* it was made and nothing stands in it yet: the chain goes on from the one before */
    {
        struct actlog before = {.folder = folder, .file = j->file - 1, .prev = ZEROS};
        told = find_end(&before);
        j->n = before.n;
        memcpy(j->prev, before.prev, sizeof j->prev);
    }
    r = r == -ENOENT ? 0 : r;
    if (!r)
        r = open_file(j);
    if (r) {
        free(j);
        return r;
    }
    *ret = j;
    return told;
}

void actlog_close(struct actlog *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        (void)close(j->fd); /* each line was synced */
    free(j);
}

static int next_file(struct actlog *j)
{
    if (j->size < ACTLOG_FILE_MAX)
        return 0;
    j->file++;
    j->size = 0;
    return open_file(j);
}

int actlog_add(struct actlog *j, json_t *line)
{
    struct sm_buf b = SM_BUF_INIT(ACTLOG_LINE_MAX);
    char at[SM_TIME_TEXT], hash[65] = "";
    sm_time_rfc3339(plat_clock_wall(), at);
    int r = !line || json_object_set_new(line, "v", json_integer(1)) ||
                    json_object_set_new(line, "n", json_integer((json_int_t)j->n + 1)) ||
                    json_object_set_new(line, "at", json_string(at)) ||
                    json_object_set_new(line, "prev", json_string(j->prev))
                ? -ENOMEM
                : hash_of(line, hash);
    if (!r)
        r = json_object_set_new(line, "hash", json_string(hash)) ? -ENOMEM : sm_json_dump(line, &b);
    if (!r)
        r = sm_buf_put_u8(&b, '\n');
    if (!r)
        r = next_file(j);
    if (!r && j->fd < 0)
        r = -EBADF;
    if (!r)
        r = plat_fs_write_all(j->fd, sm_buf_span(&b));
    if (!r)
        r = plat_fs_datasync(j->fd);
    if (!r) {
        j->n++;
        j->size += b.n;
        memcpy(j->prev, hash, sizeof hash);
    } else if (j->fd >= 0) {
        (void)!plat_fs_truncate(j->fd, j->size); /* part of a line may stand there; an opening cuts it too */
    }
    json_decref(line);
    sm_buf_wipe(&b);
    return r;
}

/* ---- reading all of it ---- */

struct verify { uint64_t n; char prev[65]; };

static int verify_line(void *arg, struct sm_span line)
{
    struct verify *v = arg;
    char hash[65];
    int r = check(line, v->n + 1, v->prev, hash);
    v->n++;
    memcpy(v->prev, hash, sizeof hash);
    return r;
}

int actlog_verify(int folder, uint64_t *ret_n)
{
    struct verify v = {.prev = ZEROS};
    int r = 0;
    for (unsigned i = 1; i < FILES_MAX && !r; i++) {
        uint64_t end;
        r = each(folder, i, verify_line, &v, &end);
    }
    if (r == -ENOENT)
        r = 0;
    *ret_n = v.n;
    return r;
}
