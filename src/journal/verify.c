#include "journal/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/internal.h"
#include "plat/fs.h"

enum { BLOCKS_MAX = 16 << 20, FILES_MAX = 1 << 20, WALS_MAX = 64 };

struct seen {                   /* a block, or what a tombstone says of one */
    uint64_t number, segment, offset, place; /* place: how many blocks of the segment lie before it */
    uint8_t hash[32], before[32];
    uint8_t gone;
    uint32_t events;
};
struct root { uint64_t block; uint8_t hash[32]; };
struct work {
    int dirfd;
    const struct evverify *v;
    evverify_fn fn;
    void *arg;
    struct evverify_summary sum;
    struct seen *seen;
    size_t n, cap;
    struct root *root;
    size_t roots, root_cap;
    uint64_t *file;
    size_t files, file_cap;
    struct evseal_walk walk;
    const char *ledger;             /* the one that is read, by its name */
    struct evseal_link link[EV_LINKS_MAX];
    size_t links;
    struct evseal_link before;      /* the end of the ledger before this one */
    bool has_before, link_due;
    uint64_t done, all;
    bool ledger_bad;
    uint64_t closed_id[EVIDENCE_CLASSES_MAX];   /* the last event of each class that is in a block, or was */
    int wal[WALS_MAX];
    uint64_t wal_number[WALS_MAX];
    size_t wals;
};

static const struct { enum evverify_kind kind; const char *word, *ja, *en; } words[] = {
    { EVVERIFY_ALTERED, "altered", "保存された内容が書き換えられています", "what is stored was altered" },
    { EVVERIFY_CHAIN, "chain", "前の記録とのつながりが切れています（前か、この記録が差し替えられています）",
        "does not follow the block before: that one, or this one, was put in its place" },
    { EVVERIFY_MISSING, "missing", "記録がなくなっています（規則による削除の証明はありません）", "is missing, and no tombstone says why" },
    { EVVERIFY_TWICE, "twice", "同じ番号の記録が二つあります", "there are two blocks of this number" },
    { EVVERIFY_ORDER, "order", "記録の並びが変えられています", "lies where it was not written" },
    { EVVERIFY_SEAL, "seal", "封印されたときの内容と違います", "is not what was sealed" },
    { EVVERIFY_CUT, "cut", "終わりの部分が切り取られています", "the end was cut away" },
    { EVVERIFY_LEDGER, "ledger", "封印の台帳が書き換えられています", "the ledger of seals was altered" },
    { EVVERIFY_FOOTER, "footer", "区画の索引が中身と合いません", "the index of the segment is not that of its blocks" },
    { EVVERIFY_UNREADABLE, "unreadable", "読めないファイル、または読めない部分があります", "a file, or part of it, cannot be read" },
    { EVVERIFY_NOTE_UNSEALED, "unsealed", "ここから後はまだ封印されていません", "from here on it is not sealed yet" },
    { EVVERIFY_NOTE_REMOVED, "removed", "保存期間の規則で削除されました（署名された証明があります）", "removed by policy, with a signed tombstone" },
    { EVVERIFY_NOTE_TORN, "torn", "書きかけの終わりがあります（停電などのあと、次の起動で整えられます）",
        "an unfinished end, as after loss of power; the next start mends it" },
    { EVVERIFY_NOTE_KEY, "key", "確かめる鍵が渡されていないため、フォルダの中の鍵を使いました",
    "no key was given: the one in the folder was believed" },
    { EVVERIFY_NOTE_NOKEY, "no_key", "確かめる鍵が渡されず、フォルダの中にもないため、封印の署名は確かめていません",
        "no key was given and the folder has none: signatures were not checked" },
    { EVVERIFY_NOTE_CONTINUED, "continued", "ここで別の箱が引き継ぎました。前の箱が書き、保存されていなかった記録はありません",
        "another box took over here; what the old one wrote after it was last saved is not there" },
};

const char *evverify_word(enum evverify_kind kind)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].kind == kind)
            return words[i].word;
    return "";
}

const char *evverify_text(enum evverify_kind kind, bool ja)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].kind == kind)
            return ja ? words[i].ja : words[i].en;
    return "";
}

int evverify_head_parse(const char *text, struct evverify_head *ret)
{
    struct evverify_head h = { 0 };
    const char *colon = strchr(text, ':');

    if (!colon || colon == text || colon - text > 19 || strlen(colon + 1) != 64)
        return -SM_EFORMAT;
    for (const char *p = text; p < colon; p++) {
        if (*p < '0' || *p > '9')
            return -SM_EFORMAT;
        h.block = 10 * h.block + (uint64_t)(*p - '0');
    }
    if (!h.block || sm_unhex(colon + 1, 64, h.hash, 32) < 0)
        return -SM_EFORMAT;
    *ret = h;
    return 0;
}

void evverify_head_text(const struct evverify_head *h, char ret[96])
{
    int n = snprintf(ret, 96, "%llu:", (unsigned long long)h->block);

    sm_hex(h->hash, 32, ret + n);
}

/* ---- saying it ---- */

static int say(struct work *w, struct evverify_finding f)
{
    if (f.kind < EVVERIFY_FAULTS)
        w->sum.faults++;
    return w->fn(w->arg, &f);
}

static void segment_name(uint64_t number, char ret[40])
{
    snprintf(ret, 40, EV_SEGMENT_NAME, (unsigned long long)number);
}

static int say_block(struct work *w, enum evverify_kind kind, const struct seen *b)
{
    struct evverify_finding f = { .kind = kind, .block = b->number, .until = b->number, .offset = b->offset };

    if (b->segment)
        segment_name(b->segment, f.file);
    return say(w, f);
}

/* ---- lists ---- */

static int add_seen(struct work *w, const struct seen *s)
{
    if (w->n == BLOCKS_MAX)
        return -SM_ELIMIT;
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 256;
        struct seen *more = realloc(w->seen, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        w->seen = more;
        w->cap = cap;
    }
    w->seen[w->n++] = *s;
    return 0;
}

static int add_root(struct work *w, uint64_t block, const uint8_t hash[32])
{
    if (w->roots == BLOCKS_MAX)
        return -SM_ELIMIT;
    if (w->roots == w->root_cap) {
        size_t cap = w->root_cap ? 2 * w->root_cap : 64;
        struct root *more = realloc(w->root, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        w->root = more;
        w->root_cap = cap;
    }
    w->root[w->roots].block = block;
    memcpy(w->root[w->roots++].hash, hash, 32);
    return 0;
}

/* Opened before the segments are: what goes from the one to the other meanwhile is seen. */
static int take_wal(struct work *w, uint64_t number)
{
    char text[EV_NAME_LEN];

    snprintf(text, sizeof text, EV_WAL_NAME, (unsigned long long)number);
    w->sum.record = true;
    if (w->wals == WALS_MAX)
        return -SM_ELIMIT;
    int fd = plat_fs_open_read(w->dirfd, text);
    if (fd == -ENOENT)
        return 0; /* its events are in blocks by now */
    if (fd < 0)
        return fd;
    w->wal_number[w->wals] = number;
    w->wal[w->wals++] = fd;
    return 0;
}

static int take_file(void *arg, struct sm_span name, unsigned char type)
{
    struct work *w = arg;
    uint64_t n = ev_name_number(name, "seg-", ".sjs"), wal = n ? 0 : ev_name_number(name, "wal-", ".sjw");

    (void)type; /* opened as files, or not at all */
    if (!n)
        return wal ? take_wal(w, wal) : 0;
    w->sum.record = true;
    if (w->files == FILES_MAX)
        return -SM_ELIMIT;
    if (w->files == w->file_cap) {
        size_t cap = w->file_cap ? 2 * w->file_cap : 64;
        uint64_t *more = realloc(w->file, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        w->file = more;
        w->file_cap = cap;
    }
    w->file[w->files++] = n;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int by_block(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (int)x->gone - (int)y->gone;
}

/* ---- the ledger ---- */

static int tomb(struct work *w, struct sm_span body)
{
    struct ev_tomb t;
    int r = ev_tomb_parse(body, &t);

    if (r < 0)
        return r;
    if (t.last_id > w->closed_id[t.klass])
        w->closed_id[t.klass] = t.last_id;
    struct sm_rd rd = SM_RD(t.blocks);
    struct seen first = { 0 };
    for (uint64_t i = 0; i < t.n && r >= 0; i++) {
        struct seen s = { .number = sm_rd_u64(&rd), .gone = 1 };
        sm_rd_copy(&rd, s.hash, 32);
        if (!i)
            first = s;
        r = add_seen(w, &s);
        w->sum.removed_blocks++;
    }
    return r < 0 || !t.n ? r : say_block(w, EVVERIFY_NOTE_REMOVED, &first);
}

/* Nothing behind it can be believed. */
static int say_ledger(struct work *w, uint64_t off)
{
    struct evverify_finding f = { .kind = EVVERIFY_LEDGER, .offset = off };

    (void)snprintf(f.file, sizeof f.file, "%.39s", w->ledger); /* fits */
    w->ledger_bad = true;
    return say(w, f);
}

/* A link stands first, where there was a box before, and names that box's end; nothing else stands there. */
static bool link_good(struct work *w, const struct evseal_statement *s, struct sm_span body)
{
    struct evseal_link l;
    const struct evseal_link *b = &w->before;

    if (s->kind != EVSEAL_LINK)
        return !w->link_due;
    if (!w->link_due || evseal_link_unpack(body, &l) < 0 || w->links == EV_LINKS_MAX)
        return false;
    w->link_due = false;
    w->link[w->links++] = l;
    return w->has_before && l.seq == b->seq && !memcmp(l.key, b->key, 32) && !memcmp(l.last, b->last, 32);
}

static int statement(void *arg, uint64_t off, const uint8_t *bytes, struct sm_span body)
{
    struct work *w = arg;
    struct evseal_statement s;
    struct evseal_root root;

    if (w->ledger_bad)
        return 0;
    if (evseal_step(&w->walk, bytes, body) < 0 || evseal_parse(bytes, &s) < 0 || !link_good(w, &s, body))
        return say_ledger(w, off);
    w->sum.statements++;
    w->sum.epoch = w->walk.epoch;
    if (s.kind == EVSEAL_LINK)
        return add_root(w, w->link[w->links - 1].block, w->link[w->links - 1].hash);
    if (s.kind == EVSEAL_TOMBSTONE)
        return tomb(w, body);
    if (s.kind != EVSEAL_BLOCKS || evseal_root_unpack(body, &root) < 0)
        return 0;
    w->sum.sealed_block = root.block;
    w->sum.sealed_time_s = s.time_s;
    return add_root(w, root.block, root.hash);
}

static bool key_file(struct work *w, const char *name, uint8_t ret[32])
{
    struct sm_buf b = SM_BUF_INIT(256);
    int r = plat_fs_read_file(w->dirfd, name, 256, &b);
    bool good = r >= 0 && b.n >= 64 && sm_unhex((const char *)b.p, 64, ret, 32) >= 0;

    sm_buf_wipe(&b);
    return good;
}

/* The key that was brought is this box's; unless it is that of one before it, which is then believed for what it says. */
static int find_key(struct work *w, unsigned boxes_before)
{
    char name[32];
    uint8_t key[32];
    bool own = w->v->key;

    for (unsigned i = 1; i <= boxes_before && own; i++) {
        (void)snprintf(name, sizeof name, EV_KEY_OLD, i); /* fits */
        own = !key_file(w, name, key) || memcmp(key, w->v->key, 32) != 0;
    }
    if (own) {
        memcpy(w->walk.key, w->v->key, sizeof w->walk.key);
        w->sum.has_key = true;
        return 0;
    }
    w->walk.unsigned_ = !key_file(w, "epoch0", w->walk.key);
    w->sum.record |= !w->walk.unsigned_;
    return w->walk.unsigned_ ? 0 : say(w, (struct evverify_finding){ .kind = EVVERIFY_NOTE_KEY });
}

/*
 * What is left behind the last whole entry: torn, or made to look so by another length?  Torn it is when it has no
 * later statement in
 * it, and the statement that begins there lacks some of its bytes.
 */
static int left_over(struct work *w, int fd, uint64_t good, uint64_t size)
{
    uint8_t b[4 + EVSEAL_LEN + 4096];
    size_t n = size - good < sizeof b ? (size_t)(size - good) : sizeof b;
    struct evverify_finding f = { .kind = EVVERIFY_NOTE_TORN, .offset = good };
    struct evseal_statement s;
    int r = plat_fs_pread_all(fd, b, n, good);

    if (r < 0)
        return r;
    (void)snprintf(f.file, sizeof f.file, "%.39s", w->ledger); /* fits */
    if (n > 8 && memmem(b + 8, n - 8, "SJS1", 4))
        f.kind = EVVERIFY_LEDGER;
    else if (n >= 4 + EVSEAL_LEN && evseal_parse(b + 4, &s) >= 0)
        f.kind = s.kind == EVSEAL_BLOCKS && n >= 4 + EVSEAL_LEN + EVSEAL_ROOT_LEN ? EVVERIFY_LEDGER
            : s.kind == EVSEAL_EPOCH && n >= 4 + EVSEAL_LEN + 32                  ? EVVERIFY_LEDGER
                                                                                   : f.kind;
    else if (n >= 4 + EVSEAL_LEN && memcmp(b + 4, "\0\0\0\0", 4))
        f.kind = EVVERIFY_LEDGER; /* bytes enough for a statement, and they are none */
    return say(w, f);
}

static int ledger_file(struct work *w, const char *name)
{
    uint64_t good = 0, size = 0;
    int r = 0, fd = plat_fs_open_read(w->dirfd, name);

    w->ledger = name;
    if (fd == -ENOENT)
        return 0; /* never sealed, or taken away: heads tell */
    if (fd < 0)
        return fd;
    w->sum.record = true;
    if (w->walk.unsigned_) {
        struct evverify_finding f = { .kind = EVVERIFY_NOTE_NOKEY };
        (void)snprintf(f.file, sizeof f.file, "%.39s", name); /* fits */
        r = say(w, f);
    }
    if (!r)
        r = ev_ledger_read(fd, statement, w, &good);
    if (r == -SM_EFORMAT)
        r = say_ledger(w, 0);
    else if (!r && plat_fs_size(fd, &size) >= 0 && size > good)
        r = left_over(w, fd, good, size);
    (void)close(fd);
    return r;
}

/* Of the boxes before: their ledgers end where the next one says they do. */
static int old_ledgers(struct work *w, unsigned n)
{
    char name[32];
    int r = 0;

    for (unsigned i = 1; i <= n && !r; i++) {
        struct evseal_link end = { 0 };
        w->walk = (struct evseal_walk){ 0 };
        (void)snprintf(name, sizeof name, EV_KEY_OLD, i); /* fits */
        w->walk.unsigned_ = !key_file(w, name, end.key);
        memcpy(w->walk.key, end.key, 32);
        (void)snprintf(name, sizeof name, EV_LEDGER_OLD, i); /* fits */
        w->link_due = i > 1;
        r = ledger_file(w, name);
        end.seq = w->walk.seq;
        memcpy(end.last, w->walk.last, 32);
        w->before = end;
        w->has_before = true;
    }
    return r;
}

static int ledger(struct work *w)
{
    char name[32];
    struct sm_buf b = SM_BUF_INIT(4 * EVSEAL_LINK_LEN);
    struct evseal_link waiting;
    bool waits = false;
    unsigned n = 0;

    for (; n < EV_LINKS_MAX; n++) {
        (void)snprintf(name, sizeof name, EV_LEDGER_OLD, n + 1); /* fits */
        struct stat st;
        if (fstatat(w->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* not faccessat, which forgets capabilities */
            break;
    }
    w->sum.boxes = n + 1;
    int r = old_ledgers(w, n);
    w->walk = (struct evseal_walk){ 0 };
    w->link_due = false;
    if (!r)
        r = find_key(w, n);
    /* Before the first seal of the new box the link is only a file. */
    if (!r && plat_fs_read_file(w->dirfd, EV_LINK_FILE, 4 * EVSEAL_LINK_LEN, &b) >= 0 &&
        evseal_link_unpack(sm_buf_span(&b), &waiting) >= 0)
        waits = true;
    sm_buf_wipe(&b);
    w->link_due = waits || n;
    size_t had = w->links;
    bool bad = w->ledger_bad;
    w->ledger_bad = false;
    if (!r)
        r = ledger_file(w, "seals");
    if (!r && waits && !w->ledger_bad && w->links == had && w->links < EV_LINKS_MAX) {
        w->link[w->links++] = waiting;
        r = add_root(w, waiting.block, waiting.hash);
    }
    w->ledger_bad |= bad;
    return r;
}

/* ---- segments ---- */

static void count_block(struct work *w, const struct ev_head *h)
{
    if (!w->sum.any || h->first.s < w->sum.first.s)
        w->sum.first = h->first;
    if (!w->sum.any || h->last.s > w->sum.last.s)
        w->sum.last = h->last;
    w->sum.any = true;
    w->sum.blocks++;
    w->sum.events += h->events;
    if (h->last_id > w->closed_id[h->klass])
        w->closed_id[h->klass] = h->last_id;
}

/* All that is stored of one block. */
static int content(struct work *w, int fd, const struct seen *s, struct sm_buf *header)
{
    if (w->v->of && s->segment % w->v->of != w->v->share)
        return 0;
    struct ev_at at = { .fd = fd, .body = s->offset + EV_BLOCK_HEAD + 32 + header->n };
    struct sm_span what = { 0 };
    struct ev_block b;
    int r = ev_block_init(&b, header, ev_at_read, &at);

    if (r < 0)
        return r == -ENOMEM ? r : say_block(w, EVVERIFY_ALTERED, s);
    r = ev_block_check(&b, &what);
    if (r == -SM_ECORRUPT) {
        struct evverify_finding f = { .kind = EVVERIFY_ALTERED, .block = s->number, .until = s->number,
            .offset = s->offset };
        segment_name(s->segment, f.file);
        size_t n = what.n < sizeof f.column - 1 ? what.n : sizeof f.column - 1;
        for (size_t i = 0; i < n; i++)
            f.column[i] = what.p[i] < 0x20 || what.p[i] >= 0x7f ? '?' : (char)what.p[i];
        r = say(w, f);
    }
    ev_block_wipe(&b);
    return r;
}

struct place { uint64_t number, off, end, size; int fd; uint64_t blocks, first_block; uint8_t before[32], klass; };

/* One block at p->off.  1 taken, 0 there is none. */
static int one_block(struct work *w, struct place *p, struct sm_buf *header)
{
    struct ev_head h;
    struct seen s = { .segment = p->number, .offset = p->off, .place = p->blocks };
    int r = ev_segment_header(p->fd, p->off, p->end, header);

    if (r <= 0)
        return r;
    r = ev_head_parse(sm_buf_span(header), &h);
    if (r < 0)
        return r == -SM_EVERSION || r == -ENOMEM ? r : 0;
    uint64_t len = EV_BLOCK_HEAD + 32 + header->n + h.body_len;
    if (len > p->end - p->off) {
        ev_head_wipe(&h);
        return 0;
    }
    s.number = h.number;
    s.events = h.events;
    memcpy(s.before, h.before, 32);
    ev_block_hash(sm_buf_span(header), s.hash);
    count_block(w, &h);
    ev_head_wipe(&h);
    r = content(w, p->fd, &s, header);
    if (!r)
        r = add_seen(w, &s);
    p->off += len;
    p->blocks++;
    w->done += len;
    if (w->v->progress)
        w->v->progress(w->v->arg, w->done, w->all);
    return r ? r : w->v->cancel && w->v->cancel(w->v->arg) ? -SM_ECANCEL : 1;
}

/* Where the next sound header begins behind a place that has none; p->end when there is none. */
static int skip_to_next(struct place *p, struct sm_buf *header)
{
    uint8_t b[4096];

    for (uint64_t off = p->off + 1; off < p->end; off += sizeof b - 3) {
        size_t n = p->end - off < sizeof b ? (size_t)(p->end - off) : sizeof b;
        int r = plat_fs_pread_all(p->fd, b, n, off);
        if (r < 0)
            return r;
        for (const uint8_t *at = b; (at = memmem(at, (size_t)(b + n - at), "SJB1", 4)); at++) {
            r = ev_segment_header(p->fd, off + (uint64_t)(at - b), p->end, header);
            if (r < 0)
                return r;
            if (r > 0) {
                p->off = off + (uint64_t)(at - b);
                return 0;
            }
        }
    }
    p->off = p->end;
    return 0;
}

static int say_place(struct work *w, enum evverify_kind kind, uint64_t number, uint64_t off)
{
    struct evverify_finding f = { .kind = kind, .offset = off };

    segment_name(number, f.file);
    return say(w, f);
}

static int blocks_of(struct work *w, struct place *p, bool closed)
{
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX);
    int r = 0;

    while (r >= 0 && p->off < p->end) {
        uint64_t bad = p->off;
        r = one_block(w, p, &header);
        if (r > 0)
            r = 0;
        else if (r == 0) {
            r = skip_to_next(p, &header);
            bool tail = p->off == p->end && !closed;
            if (r >= 0)
                r = say_place(w, tail ? EVVERIFY_NOTE_TORN : EVVERIFY_UNREADABLE, p->number, bad);
        }
        if (r)
            break;
    }
    sm_buf_wipe(&header);
    return r;
}

/* The footer says the same as the blocks that were found. */
static int footer(struct work *w, const struct ev_segment *s, size_t from)
{
    bool same = s->n == w->n - from;

    for (size_t i = 0; same && i < s->n; i++) {
        const struct seen *b = &w->seen[from + i];
        same = s->entry[i].number == b->number && s->entry[i].off == b->offset && !memcmp(s->entry[i].hash, b->hash,
            32);
    }
    return same ? 0 : say_place(w, EVVERIFY_FOOTER, s->number, s->good);
}

/* Blocks of a segment have growing numbers, and the header says which is the first and what was before it. */
static int order(struct work *w, const struct ev_segment *s, size_t from)
{
    for (size_t i = from; i < w->n; i++) {
        const struct seen *b = &w->seen[i];
        bool first = i == from;
        if (first ? b->number != s->first_block || memcmp(b->before, s->before,
            32) : b->number <= w->seen[i - 1].number)
            return say_block(w, EVVERIFY_ORDER, b);
    }
    return 0;
}

static int one_segment(struct work *w, uint64_t number)
{
    struct ev_segment s;
    char name[40];
    size_t from = w->n;

    segment_name(number, name);
    int fd = plat_fs_open_read(w->dirfd, name);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int r = ev_segment_load(fd, &s);
    struct place p = { .number = number, .fd = fd, .off = EV_SEGMENT_HEAD };
    bool loaded = r >= 0, damaged_footer = false;
    if (r == -SM_EVERSION || r == -ENOMEM) {
        (void)close(fd);
        return r;
    }
    r = plat_fs_size(fd, &p.size);
    p.end = loaded && s.closed ? s.good : p.size;
    w->sum.segments++;
    w->sum.bytes += p.size;
    if (r >= 0 && !loaded) {
        damaged_footer = true;
        r = say_place(w, EVVERIFY_UNREADABLE, number, 0);
    }
    if (!r && loaded && s.number != number)
        r = say_place(w, EVVERIFY_ORDER, number, 0);
    if (!r && p.end > p.off)
        r = blocks_of(w, &p, (loaded && s.closed) || damaged_footer);
    if (!r && loaded)
        r = order(w, &s, from);
    if (!r && loaded && s.closed)
        r = footer(w, &s, from);
    if (loaded)
        ev_segment_wipe(&s);
    else
        (void)close(fd);
    return r;
}

static int segments(struct work *w)
{
    int r = plat_fs_list(w->dirfd, take_file, w);

    if (w->files)
        qsort(w->file, w->files, sizeof *w->file, by_number);
    for (size_t i = 0; i < w->files && !r; i++) {
        char name[40];
        uint64_t size = 0;
        segment_name(w->file[i], name);
        int fd = plat_fs_open_read(w->dirfd, name);
        if (fd >= 0) {
            if (plat_fs_size(fd, &size) >= 0)
                w->all += size;
            (void)close(fd);
        }
    }
    for (size_t i = 0; i < w->files && !r; i++)
        r = one_segment(w, w->file[i]);
    return r;
}

/* ---- the chain ---- */

static int gap(struct work *w, uint64_t from, uint64_t to, const struct seen *next)
{
    struct evverify_finding f = { .kind = EVVERIFY_MISSING, .block = from, .until = to };

    if (w->v->part)
        return 0;
    if (next && next->segment) {
        segment_name(next->segment, f.file);
        f.offset = next->offset;
    }
    return say(w, f);
}

/* The link in whose gap this number lies; NULL none. */
static const struct evseal_link *link_over(const struct work *w, uint64_t block)
{
    for (size_t i = 0; i < w->links; i++)
        if (block > w->link[i].block && block < w->link[i].next_block)
            return &w->link[i];
    return NULL;
}

/* Numbers are missing between want and b: those that no box ever saved, or some that were there. */
static int leap(struct work *w, uint64_t want, const struct seen *b)
{
    const struct evseal_link *l = link_over(w, b->number - 1);
    int r = 0;

    if (!l || l->next_block != b->number)
        return gap(w, want, b->number - 1, b);
    if (want <= l->block)
        r = gap(w, want, l->block, b);
    if (!r && !b->gone && memcmp(b->before, l->hash, 32) != 0)
        r = say_block(w, EVVERIFY_CHAIN, b);
    struct evverify_finding f = { .kind = EVVERIFY_NOTE_CONTINUED, .block = l->block, .until = b->number };
    return r ? r : say(w, f);
}

static int chain(struct work *w)
{
    static const uint8_t zeros[32];
    const struct seen *last = NULL;
    int r = 0;

    if (w->n)
        qsort(w->seen, w->n, sizeof *w->seen, by_block);
    for (size_t i = 0; i < w->n && !r; i++) {
        const struct seen *b = &w->seen[i];
        uint64_t want = last ? last->number + 1 : 1;
        if (last && b->number == last->number) {
            if (b->gone ? memcmp(b->hash, last->hash, 32) != 0 : true)
                r = say_block(w, b->gone ? EVVERIFY_SEAL : EVVERIFY_TWICE, b);
            continue;
        }
        bool follows = b->number == want;
        if (!follows)
            r = leap(w, want, b);
        if (!r && follows && !b->gone && memcmp(b->before, last ? last->hash : zeros, 32))
            r = say_block(w, EVVERIFY_CHAIN, b);
        last = b;
    }
    if (last) {
        w->sum.head.block = last->number;
        memcpy(w->sum.head.hash, last->hash, 32);
    }
    return r;
}

static const struct seen *find(const struct work *w, uint64_t number)
{
    size_t from = 0, to = w->n;

    while (from < to) {
        size_t mid = (from + to) / 2;
        if (w->seen[mid].number < number)
            from = mid + 1;
        else
            to = mid;
    }
    return from < w->n && w->seen[from].number == number ? &w->seen[from] : NULL;
}

/* A block known by a seal or a head. */
static int known(struct work *w, uint64_t block, const uint8_t hash[32], uint64_t good_until, bool *ret_ok)
{
    const struct seen *b = find(w, block);

    *ret_ok = b && !memcmp(b->hash, hash, 32);
    if (*ret_ok || (!b && w->v->part))
        return 0;
    struct evverify_finding f = { .kind = EVVERIFY_SEAL, .block = good_until + 1, .until = block };
    if (!b) {
        const struct evseal_link *l = link_over(w, block);
        if (block <= w->sum.head.block && !l)
            return 0; /* told as missing already */
        f.kind = EVVERIFY_CUT; /* by an attacker, or because the old box was lost before it was saved */
        f.block = l ? l->block + 1 : w->sum.head.block + 1;
    } else if (b->segment) {
        segment_name(b->segment, f.file);
        f.offset = b->offset;
    }
    return say(w, f);
}

static int seals(struct work *w)
{
    uint64_t good = 0;
    bool ok = true;
    int r = 0;

    for (size_t i = 0; i < w->roots && !r && ok; i++) {
        r = known(w, w->root[i].block, w->root[i].hash, good, &ok);
        good = ok ? w->root[i].block : good;
    }
    for (size_t i = 0; i < w->v->heads_n && !r; i++)
        r = known(w, w->v->heads[i].block, w->v->heads[i].hash, good, &ok);
    if (!r && w->sum.head.block > w->sum.sealed_block) {
        const struct seen *b = find(w, w->sum.sealed_block + 1);
        struct seen none = { .number = w->sum.sealed_block + 1 };
        r = say_block(w, EVVERIFY_NOTE_UNSEALED, b ? b : &none);
    }
    return r;
}

/* ---- what no seal is on yet ---- */

static int open_event(void *arg, const struct ev_record *r)
{
    struct work *w = arg;

    w->sum.open_events += r->id > w->closed_id[r->klass];
    return 0;
}

static int unsealed(struct work *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (!w->seen[i].gone && w->seen[i].number > w->sum.sealed_block)
            w->sum.unsealed_events += w->seen[i].events;
    for (size_t i = 0; i < w->wals; i++) {
        struct ev_wal_found f = { 0 };
        int r = ev_wal_read(w->wal[i], open_event, w, &f);
        if (r == -SM_EFORMAT || (r >= 0 && f.skipped_bytes)) {
            struct evverify_finding bad = { .kind = EVVERIFY_UNREADABLE, .offset = f.skipped_at };
            snprintf(bad.file, sizeof bad.file, EV_WAL_NAME, (unsigned long long)w->wal_number[i]);
            r = say(w, bad);
        }
        if (r)
            return r;
    }
    return 0;
}

int evidence_verify(const char *dir, const struct evverify *v, evverify_fn fn, void *arg, struct evverify_summary *ret)
{
    struct work w = { .v = v, .fn = fn, .arg = arg };
    int r;

    w.dirfd = plat_fs_open_dir(AT_FDCWD, dir);
    if (w.dirfd < 0)
        return w.dirfd;
    r = ledger(&w);
    if (!r)
        r = segments(&w);
    if (!r)
        r = chain(&w);
    if (!r)
        r = seals(&w);
    if (!r)
        r = unsealed(&w);
    for (size_t i = 0; i < w.wals; i++)
        (void)close(w.wal[i]);
    (void)close(w.dirfd);
    free(w.seen);
    free(w.root);
    free(w.file);
    if (!r)
        *ret = w.sum;
    return r;
}
