#include "sakimori-agent/judge/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/random.h"
#include "plat/fs.h"
#include "sakimori-agent/logs/cut.h"

#define AT_FILE "at"
#define LOT 1000u
#define HEAD 12u /* of a record */
#define FILE_MAX ((size_t)SPOOL_BATCH + SPOOL_LINE_MAX + HEAD)
#define NAME_MAX_TEXT 48

struct batch {
    char life[SPOOL_LIFE + 1];
    uint64_t number, bytes, records;
};
struct spool {
    int folder, fd; /* fd: of the newest batch while it is open, else -1 */
    uint64_t max, bytes;
    struct batch *batch; /* oldest first; with fd >= 0 the last one is open */
    size_t n;
    char life[SPOOL_LIFE + 1];
    uint64_t next, reserved; /* numbers: the next one, and up to which they were handed out durably */
    struct sm_buf pending, sending;
    size_t pending_n;
    uint64_t opened_ms;
    bool urgent, on_its_way; /* the first batch was given by spool_next */
    struct spool_counts counts;
};

static void name_of(const struct batch *b, char ret[NAME_MAX_TEXT])
{
    snprintf(ret, NAME_MAX_TEXT, "%.16s-%016" PRIx64, b->life, b->number);
}

/* ---- numbers ---- */

static int reserve(struct spool *s)
{
    char text[64];
    if (s->next < s->reserved)
        return 0;
    snprintf(text, sizeof text, "1 %.16s %" PRIu64 "\n", s->life, s->next + LOT);
    int r = plat_replace(s->folder, AT_FILE, SM_SPAN_STR(text), 0600);
    if (!r)
        s->reserved = s->next + LOT;
    return r;
}

static void new_life(struct spool *s)
{
    uint8_t life[SPOOL_LIFE / 2];
    crypto_random(life, sizeof life);
    sm_hex(life, sizeof life, s->life);
    s->next = 1;
    s->reserved = 0;
}

/* A place that cannot be read is another life: its numbers begin anew, and the box takes them as others. */
static void read_at(struct spool *s)
{
    struct sm_buf text = SM_BUF_INIT(256);
    char life[SPOOL_LIFE + 1] = "";
    unsigned version = 0;
    uint64_t until = 0;
    int r = plat_fs_read_file(s->folder, AT_FILE, 256, &text);
    if (!r && sscanf(sm_buf_str(&text), "%u %16[0-9a-f] %" SCNu64, &version, life, &until) == 3 && version == 1 &&
        strlen(life) == SPOOL_LIFE && until && until < UINT64_MAX / 2) {
        memcpy(s->life, life, sizeof life);
        s->next = s->reserved = until;
    } else {
        new_life(s);
    }
    sm_buf_wipe(&text);
}

/* ---- what is there at a start ---- */

/* Whole records at the beginning of bytes, and how many. */
static size_t whole(struct sm_span bytes, uint64_t *ret_n)
{
    size_t at = 0;
    *ret_n = 0;
    while (bytes.n - at >= HEAD) {
        struct sm_rd rd = SM_RD(SM_SPAN(bytes.p + at, HEAD));
        size_t n = sm_rd_u32(&rd) & 0x7fffffffu;
        if (!n || n > bytes.n - at - HEAD)
            break;
        at += HEAD + n;
        ++*ret_n;
    }
    return at;
}

static int push(struct spool *s, const struct batch *b)
{
    struct batch *more = realloc(s->batch, (s->n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    s->batch = more;
    s->batch[s->n++] = *b;
    s->bytes += b->bytes;
    return 0;
}

static int found(void *arg, struct sm_span name, unsigned char type)
{
    struct spool *s = arg;
    struct batch b = {.number = 0};
    char text[NAME_MAX_TEXT], again[NAME_MAX_TEXT];
    (void)type;
    if (name.n != SPOOL_LIFE + 1 + 16 || s->n >= SPOOL_BATCHES_MAX)
        return 0;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (sscanf(text, "%16[0-9a-f]-%16" SCNx64, b.life, &b.number) != 2)
        return 0;
    name_of(&b, again);
    return strcmp(text, again) == 0 ? push(s, &b) : 0;
}

/* Batches of another life than the present are older. */
static struct spool *sorting;
static int by_age(const void *x, const void *y)
{
    const struct batch *a = x, *b = y;
    bool a_now = strcmp(a->life, sorting->life) == 0, b_now = strcmp(b->life, sorting->life) == 0;
    if (a_now != b_now)
        return a_now ? 1 : -1;
    int life = strcmp(a->life, b->life);
    return life ? life : a->number < b->number ? -1 : a->number > b->number;
}

static void forget(struct spool *s, size_t i)
{
    char name[NAME_MAX_TEXT];
    name_of(&s->batch[i], name);
    (void)!plat_fs_unlink(s->folder, name); /* else it is found again at the next start and sent once more, with its number */
    s->bytes -= s->batch[i].bytes;
    memmove(&s->batch[i], &s->batch[i + 1], (--s->n - i) * sizeof *s->batch);
}

/* Its whole records; what was torn was never sent, for a batch is synced before. */
static int mend(struct spool *s, size_t i)
{
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    struct batch *b = &s->batch[i];
    char name[NAME_MAX_TEXT];
    name_of(b, name);
    int r = plat_fs_read_file(s->folder, name, FILE_MAX, &text);
    size_t good = r ? 0 : whole(sm_buf_span(&text), &b->records);
    if (!r && good < text.n) {
        int fd = openat(s->folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        r = fd < 0 ? -errno : plat_fs_truncate(fd, good);
        if (fd >= 0)
            close(fd);
    }
    sm_buf_wipe(&text);
    if (r)
        good = 0;
    b->bytes = good;
    s->bytes += good;
    return good ? 0 : -SM_EFORMAT;
}

int spool_open(int folder, uint64_t max, struct spool **ret)
{
    struct spool *s = calloc(1, sizeof *s);
    if (!s) {
        close(folder);
        return -ENOMEM;
    }
    s->folder = folder;
    s->fd = -1;
    s->max = max;
    s->pending.max = FILE_MAX;
    s->sending.max = FILE_MAX;
    read_at(s);
    int r = plat_fs_list(folder, found, s);
    sorting = s;
    if (!r && s->n > 1)
        qsort(s->batch, s->n, sizeof *s->batch, by_age);
    for (size_t i = 0; !r && i < s->n;)
        if (mend(s, i))
            forget(s, i);
        else
            i++;
    if (r)
        spool_free(s);
    else
        *ret = s;
    return r;
}

void spool_free(struct spool *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    close(s->folder);
    free(s->batch);
    sm_buf_wipe(&s->pending);
    sm_buf_wipe(&s->sending);
    free(s);
}

/* ---- adding ---- */

static void drop(struct spool *s, uint64_t records)
{
    s->counts.dropped += records;
    s->counts.untold += records;
}

/* The oldest that is not on its way goes. */
static void make_room(struct spool *s)
{
    while ((s->bytes > s->max || s->n > SPOOL_BATCHES_MAX) && s->n > (s->on_its_way ? 2u : 1u)) {
        size_t i = s->on_its_way ? 1 : 0;
        drop(s, s->batch[i].records);
        forget(s, i);
    }
}

static void close_batch(struct spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static int open_batch(struct spool *s)
{
    struct batch b = {.number = s->next};
    char name[NAME_MAX_TEXT];
    int r = reserve(s);
    if (r)
        return r;
    memcpy(b.life, s->life, sizeof b.life);
    name_of(&b, name);
    s->next++;
    int fd = openat(s->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    r = push(s, &b);
    if (r)
        close(fd);
    else
        s->fd = fd;
    return r;
}

int spool_write(struct spool *s)
{
    int r = 0;
    if (!s->pending_n)
        return 0;
    if (s->fd >= 0 && s->batch[s->n - 1].bytes + s->pending.n > SPOOL_BATCH)
        close_batch(s);
    if (s->fd < 0)
        r = open_batch(s);
    struct batch *b = r ? NULL : &s->batch[s->n - 1];
    if (b) {
        r = plat_fs_pwrite_all(s->fd, sm_buf_span(&s->pending), b->bytes);
        if (r && plat_fs_truncate(s->fd, b->bytes))
            close_batch(s); /* its torn end is cut off at the next start, and nothing is appended to it */
    }
    if (b && !r) {
        b->bytes += s->pending.n;
        b->records += s->pending_n;
        s->bytes += s->pending.n;
        s->counts.added += s->pending_n;
    } else {
        drop(s, s->pending_n);
    }
    sm_buf_clear(&s->pending);
    s->pending_n = 0;
    make_room(s);
    return r;
}

int spool_add(struct spool *s, struct sm_span line, int64_t seen_ns, uint64_t now_ms, bool urgent)
{
    bool cut = line.n > SPOOL_LINE_MAX;
    if (!line.n)
        return 0;
    if (cut)
        line.n = SPOOL_LINE_MAX;
    if (s->pending.n + HEAD + line.n > SPOOL_BATCH && s->pending_n) {
        int r = spool_write(s);
        if (r)
            return r;
    }
    if (s->fd < 0 && !s->pending_n)
        s->opened_ms = now_ms;
    int r = log_cut_record(&s->pending, seen_ns, cut, line);
    if (r)
        return r;
    s->pending_n++;
    s->urgent |= urgent;
    return 0;
}

/* ---- sending ---- */

static int wait_for(struct spool *s, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    *ret_wait_ms = UINT64_MAX;
    if (!s->n)
        return 0;
    const struct batch *b = &s->batch[0];
    bool open = s->n == 1 && s->fd >= 0;
    if (open && !b->bytes)
        return 0;
    if (!open || s->urgent || b->bytes >= SPOOL_BATCH || now_ms >= s->opened_ms + SPOOL_GATHER_MS)
        return 1;
    *ret_wait_ms = s->opened_ms + SPOOL_GATHER_MS - now_ms;
    return 0;
}

static int sync_batch(struct spool *s, const char *name)
{
    int fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? -errno : plat_fs_datasync(fd);
    if (!r)
        r = plat_fs_sync_dir(s->folder);
    if (fd >= 0)
        close(fd);
    return r;
}

int spool_next(struct spool *s, uint64_t now_ms, struct spool_batch *ret, uint64_t *ret_wait_ms)
{
    char name[NAME_MAX_TEXT];
    *ret_wait_ms = 0;
    if (!s->on_its_way && wait_for(s, now_ms, ret_wait_ms) == 0)
        return 0;
    if (!s->on_its_way && s->n == 1) { /* it is the newest one: what comes now is another batch */
        close_batch(s);
        s->urgent = false;
    }
    name_of(&s->batch[0], name);
    sm_buf_clear(&s->sending);
    int r = s->on_its_way ? 0 : sync_batch(s, name);
    if (!r)
        r = plat_fs_read_file(s->folder, name, FILE_MAX, &s->sending);
    if (!r && s->sending.n != s->batch[0].bytes)
        r = -SM_EFORMAT;
    if (r == -ENOENT || r == -SM_EFORMAT || r == -SM_ELIMIT) { /* somebody was at it: it cannot be sent as what it was */
        drop(s, s->batch[0].records);
        forget(s, 0);
        s->on_its_way = false;
        return r;
    }
    if (r)
        return r;
    s->on_its_way = true;
    memcpy(ret->life, s->batch[0].life, sizeof ret->life);
    ret->number = s->batch[0].number;
    ret->bytes = sm_buf_span(&s->sending);
    return 1;
}

void spool_settled(struct spool *s, bool taken)
{
    if (!s->on_its_way || !s->n)
        return;
    s->on_its_way = false;
    if (taken)
        s->counts.sent += s->batch[0].records;
    else
        drop(s, s->batch[0].records);
    forget(s, 0);
    sm_buf_wipe(&s->sending); /* half a megabyte that is seldom needed */
    s->sending.max = FILE_MAX;
}

void spool_counts(const struct spool *s, struct spool_counts *ret)
{
    *ret = s->counts;
    ret->bytes = s->bytes;
    ret->batches = s->n;
}

void spool_told(struct spool *s, uint64_t n)
{
    s->counts.untold -= n < s->counts.untold ? n : s->counts.untold;
}
