/*
 * The work of a copy, in small steps.  First both journals are read and compared, and only when the copy's is a
 * beginning of the original's is anything written.
 */
#include "vault/copy/copy.h"
#include "vault/copy/missing.h"

#include <errno.h>
#include <unistd.h>

#include "core/json.h"
#include "plat/fs.h"
#include "vault/copy/copy_internal.h"
#include "vault/pack/pack.h"
#include "vault/snapshot/manifest.h"

#define PIECE ((size_t)1 << 20)
#define TAIL_MAX ((size_t)32 << 20)
#define RECORDS_A_STEP 256
#define HEAD_FILE "heads/0.head"
#define FORMAT_BYTES 128
#define VAULT_HEX 33

enum phase { OWN, ORIGINAL, PREPARE, KEEP, FILES, PACK, RECHECK, JOURNAL, HEAD, DONE };

struct copy {
    struct copy_args a;
    char *from, *to;
    int dir;                        /* the original */
    void *target;
    enum phase phase;
    int failed;
    struct chain chain;
    bool walking;
    struct copy_result res;
    struct copy_progress p;
    /* the copy's own journal: its last whole record and where that ends */
    struct journal_head own;
    uint32_t own_file; uint64_t own_off;
    struct journal_head own_signed; /* seq 0: none */
    bool own_met, signed_met;
    /* the original: where the head's record ends */
    uint32_t end_file; uint64_t end_off;
    bool head_met, gone_told;
    uint64_t seq_to;                /* walk the original as far as this */
    /* the pack under way */
    int fd; uint64_t fd_at, fd_size;
    struct pack_check *check;
    struct sm_buf tail;             /* what follows its body, until all of it is there */
    char name[COPY_NAME_MAX];
    bool have, have_good;           /* the copy has one; it was read again and is sound */
    /* the journal under way */
    uint32_t file; uint64_t off;
    uint8_t *piece;
    struct missing missing, missing_manifests; /* packs, and manifests, without a file */
};

static int say(struct copy *c, int err, const char *why)
{
    if (!c->res.why[0])
        (void)snprintf(c->res.why, sizeof c->res.why, "%s", why); /* fits: our own texts */
    return err;
}

static int read_original(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    return folder_read_at(((struct copy *)arg)->dir, name, off, to, n, ret_got);
}

static int read_target(void *arg, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    struct copy *c = arg;
    return c->a.target->read(c->target, name, off, to, n, ret_got);
}

static int walk_begin(struct copy *c, chain_read_fn fn)
{
    if (c->walking)
        return 0;
    int r = chain_init(&c->chain, fn, c, (const struct vault_id *)c->a.head.vault);
    c->walking = r == 0;
    return r;
}

static void walk_end(struct copy *c)
{
    if (c->walking)
        chain_wipe(&c->chain);
    c->walking = false;
}

static void progress(struct copy *c, uint64_t bytes)
{
    c->p.bytes += bytes;
    c->p.copied_bytes = c->res.copied_bytes;
    c->p.damaged = c->res.damaged;
}

/* ---- the copy's own journal ---- */

static int own_head(struct copy *c)
{
    uint8_t bytes[JOURNAL_SIGNED_HEAD_BYTES];
    struct journal_signed_head h;
    size_t got = 0;
    int r = c->a.target->read(c->target, HEAD_FILE, 0, bytes, sizeof bytes, &got);
    if (r == -SM_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    /* One that is torn or signed by nobody proves nothing. */
    if (journal_head_get(SM_SPAN(bytes, got), &h) == 0 && memcmp(h.vault, c->a.head.vault, 16) == 0 &&
        journal_head_verify(&h, c->a.head_pub) == 0)
        c->own_signed = c->res.before = h.head;
    return 0;
}

/* "sakimori vault N", and this vault's id: N is 2 once something was deleted by policy. */
static bool format_is_ours(const struct copy *c, const char *bytes, size_t n)
{
    static const char first[] = "sakimori vault ";
    char hex[VAULT_HEX];
    size_t head = sizeof first - 1;
    sm_hex(c->a.head.vault, 16, hex);
    return n == head + 2 + VAULT_HEX && memcmp(bytes, first, head) == 0 && bytes[head + 1] == '\n' &&
        memcmp(bytes + head + 2, hex, VAULT_HEX - 1) == 0 && bytes[n - 1] == '\n';
}

/* Is the target empty, or a copy of this vault? */
static int own_format(struct copy *c)
{
    char bytes[FORMAT_BYTES];
    size_t got = 0;
    int r = c->a.target->read(c->target, "format", 0, bytes, sizeof bytes, &got);
    if (r == -SM_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    return format_is_ours(c, bytes, got) ? 0 : say(c, -SM_EMISMATCH, "the target holds another vault");
}

/* Where the copy's own journal ends is known: the original's is held against it next. */
static void own_known(struct copy *c)
{
    c->seq_to = c->a.head.head.seq;
    if (c->own.seq > c->seq_to)
        c->seq_to = c->own.seq;
    if (c->own_signed.seq > c->seq_to)
        c->seq_to = c->own_signed.seq;
    walk_end(c);
    c->phase = ORIGINAL;
}

static int step_own(struct copy *c)
{
    int r = c->walking ? 0 : own_format(c);
    if (!r && !c->walking)
        r = own_head(c);
    if (!r && !c->walking && c->a.target->tip && !c->a.deep) {
        r = c->a.target->tip(c->target, &c->own, &c->own_file, &c->own_off);
        if (r == 1)
            own_known(c);
        if (r)
            return r;
    }
    if (!r)
        r = walk_begin(c, read_target);
    for (int i = 0; !r && i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = chain_next(&c->chain, &rec);
        if (k == 1)
            continue;
        if (k == -SM_EMISMATCH)
            return say(c, k, "the target holds another vault");
        if (k < 0 && k != -SM_EPARTIAL && k != -SM_ECORRUPT && k != -SM_EFORMAT)
            return k;
        /* What does not fit behind the last whole record is the end of an append that was cut short. */
        c->own = c->chain.head;
        c->own_file = c->chain.file;
        c->own_off = c->chain.off;
        own_known(c);
        break;
    }
    return r ? r : 1;
}

/* ---- the original's journal ---- */

static json_t *payload_of(const struct journal_record *rec)
{
    json_t *j = NULL;
    return sm_json_parse(rec->payload, JOURNAL_PAYLOAD_MAX, &j, NULL) == 0 ? j : NULL;
}

static bool hex_field(const json_t *o, const char *key, struct cid *ret)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text && strlen(text) == 64 && cid_unhex(text, ret) == 0;
}

static void pack_name(const struct cid *id, char ret[COPY_NAME_MAX])
{
    char hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(ret, COPY_NAME_MAX, "packs/%.2s/%.64s.skp", hex, hex); /* fits */
}

/* What policy took away: a generation's manifest (type 18), packs (type 20). */
static int tell_gone(struct copy *c, const struct journal_record *rec)
{
    size_t i;
    struct cid id;
    char name[COPY_NAME_MAX], hex[CID_HEX];
    json_t *o = payload_of(rec), *v;
    int r = 0;
    if (rec->type == JOURNAL_EXPIRED && hex_field(o, "manifest", &id)) {
        cid_hex(&id, hex);
        (void)snprintf(name, sizeof name, "manifests/%.64s.skm", hex); /* fits */
        r = c->a.target->gone(c->target, name);
    }
    json_array_foreach(json_object_get(o, "packs"), i, v) {
        const char *text = json_string_value(v);
        if (r || rec->type != JOURNAL_PACK_DELETED || !text || strlen(text) != 64 || cid_unhex(text, &id) != 0)
            continue;
        pack_name(&id, name);
        r = c->a.target->gone(c->target, name);
    }
    json_decref(o);
    return r;
}

static void count(struct copy *c, const struct journal_record *rec)
{
    if (rec->seq > c->a.head.head.seq)
        return;
    c->res.generations += rec->type == JOURNAL_MANIFEST;
    if (rec->type != JOURNAL_PACK)
        return;
    json_t *o = payload_of(rec);
    json_int_t bytes = json_integer_value(json_object_get(o, "bytes"));
    c->p.packs_total++;
    c->p.bytes_total += bytes > 0 ? (uint64_t)bytes : 0;
    json_decref(o);
}

static bool same(const struct journal_head *h, const struct journal_record *rec)
{
    return h->seq == rec->seq && memcmp(h->hash, rec->hash, 32) == 0;
}

static int original_done(struct copy *c)
{
    walk_end(c);
    bool forked = (c->own.seq && !c->own_met) || (c->own_signed.seq && !c->signed_met);
    if (forked && c->a.target->forked)
        c->a.target->forked(c->target);
    if (forked)
        return say(c, -SM_EDENIED, "the copy knows records that the vault does not have: the vault was rolled back or "
            "replaced");
    if (!c->head_met)
        return say(c, -SM_ECORRUPT, "the journal does not hold the head that was signed");
    c->res.journal_mended = c->own_signed.seq > c->own.seq;
    c->phase = PREPARE;
    return 1;
}

static int step_original(struct copy *c)
{
    int r = walk_begin(c, read_original);
    for (int i = 0; !r && i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = c->chain.head.seq < c->seq_to ? chain_next(&c->chain, &rec) : 0;
        if (k == 0 || (k == -SM_EPARTIAL && c->head_met))
            return original_done(c);
        if (k < 0)
            return say(c, k == -SM_EPARTIAL || k == -SM_EFORMAT ? -SM_ECORRUPT : k, *c->chain.why ? c->chain.why :
                "the journal cannot be read");
        c->own_met |= same(&c->own, &rec);
        c->signed_met |= same(&c->own_signed, &rec);
        if (same(&c->a.head.head, &rec)) {
            c->head_met = true;
            c->end_file = c->chain.file;
            c->end_off = c->chain.off;
        }
        count(c, &rec);
    }
    return r ? r : 1;
}

/* Only once both journals are one: before that nobody may say that something is not needed. */
static int step_gone(struct copy *c)
{
    int r = walk_begin(c, read_original);
    for (int i = 0; !r && i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = c->chain.head.seq < c->a.head.head.seq ? chain_next(&c->chain, &rec) : 0;
        if (k < 0)
            return say(c, -SM_ECORRUPT, "the journal changed while it was copied");
        if (k == 0) {
            walk_end(c);
            c->gone_told = true;
            break;
        }
        if (rec.type == JOURNAL_EXPIRED || rec.type == JOURNAL_PACK_DELETED)
            r = tell_gone(c, &rec);
    }
    return r ? r : 1;
}

static int step_keep(struct copy *c)
{
    if (c->a.target->gone && !c->gone_told)
        return step_gone(c);
    int r = c->a.target->keep ? c->a.target->keep(c->target) : 0;
    if (r == 0)
        c->phase = FILES;
    return r < 0 ? r : 1;
}

/* The original's format, before any record that an older program must not see. */
static int step_prepare(struct copy *c)
{
    char text[FORMAT_BYTES], had[FORMAT_BYTES];
    size_t n = 0, got = 0;
    int r = folder_read_at(c->dir, "format", 0, text, sizeof text, &n);
    if (!r && !format_is_ours(c, text, n))
        return say(c, -SM_ECORRUPT, "the vault's file \"format\" is damaged");
    if (!r)
        r = c->a.target->read(c->target, "format", 0, had, sizeof had, &got);
    if (r == -SM_ENOTFOUND || (!r && (got != n || memcmp(text, had, n) != 0)))
        r = c->a.target->replace(c->target, "format", SM_SPAN(text, n));
    c->phase = KEEP;
    return r < 0 ? r : 1;
}

/* ---- packs and manifests ---- */

static void tell_damage(struct copy *c, const char *name, const char *why, bool copy_is_good)
{
    struct copy_damage d = { .why = why, .copy_is_good = copy_is_good };
    (void)snprintf(d.file, sizeof d.file, "%s", name); /* same size */
    c->res.damaged++;
    if (c->a.damage)
        c->a.damage(c->a.arg, &d);
}

/* Does the copy's file hash to its name?  Reads all of it (at most a pack). */
static int target_sound(struct copy *c, const struct cid *id)
{
    struct pack_expect e = { .id = id, .vault = (const struct vault_id *)c->a.head.vault };
    struct pack_check *check = NULL;
    uint64_t off = 0;
    int r = pack_check_new(&e, NULL, NULL, &check);
    int64_t took = 0;
    while (!r && took >= 0 && (off == 0 || pack_check_left(check))) {
        size_t got = 0;
        r = c->a.target->read(c->target, c->name, off, c->piece, PIECE, &got);
        took = r || !got ? -SM_EPARTIAL : pack_check_put(check, SM_SPAN(c->piece, got));
        off += got;
    }
    pack_check_free(check);
    return r ? r : took < 0 ? 0 : 1;
}

static void one_close(struct copy *c)
{
    if (c->fd >= 0)
        (void)close(c->fd); /* opened for reading */
    c->fd = -1;
    pack_check_free(c->check);
    c->check = NULL;
    sm_buf_clear(&c->tail);
    c->phase = FILES;
}

static int one_begin(struct copy *c, const struct cid *id)
{
    uint64_t size = 0;
    pack_name(id, c->name);
    c->have = c->have_good = false;
    c->res.packs++;
    c->p.packs++;
    int r = c->a.target->size(c->target, c->name, &size);
    if (r < 0 && r != -SM_ENOTFOUND)
        return r;
    c->have = r == 0;
    c->fd = plat_fs_open_beneath(c->dir, c->name, O_RDONLY, 0);
    if (c->fd == -ENOENT)
        return missing_note(&c->missing, id);
    if (c->fd < 0)
        return c->fd;
    r = plat_fs_size(c->fd, &c->fd_size);
    if (r < 0)
        return r;
    c->res.pack_bytes += c->fd_size;
    bool whole = c->have && (size == c->fd_size || c->a.target->keeps);
    if (whole && c->a.deep) {
        r = target_sound(c, id);
        if (r < 0)
            return r;
        c->have_good = r == 1;
    }
    if (whole && (!c->a.deep || c->have_good)) {
        progress(c, c->fd_size);
        one_close(c);
        return 0;
    }
    struct pack_expect e = { .id = id, .vault = (const struct vault_id *)c->a.head.vault };
    r = pack_check_new(&e, NULL, NULL, &c->check);
    if (!r)
        r = c->a.target->begin(c->target, c->name);
    c->fd_at = 0;
    c->phase = PACK;
    return r;
}

/* The original's pack is not what its name says: nothing of it gets a name in the copy. */
static int one_refuse(struct copy *c, const char *why)
{
    struct cid id;
    c->a.target->abort(c->target);
    int good = c->have && sm_unhex(c->name + sizeof "packs/ab/" - 1, 64, id.b, 32) == 0 ? target_sound(c, &id) : 0;
    tell_damage(c, c->name, why, good == 1);
    progress(c, c->fd_size - c->fd_at);
    one_close(c);
    return 1;
}

/*
 * What follows the body (block hashes, parity) is outside the name, and the box may be writing it just now.  Unsound, it
 * is no reason to do without the body, but none either to replace what the copy has.
 */
static int one_finish(struct copy *c)
{
    struct pack_trailer trailer;
    if (pack_check_left(c->check))
        return one_refuse(c, "the file is cut short");
    bool sound = pack_trailer_parse(sm_buf_span(&c->tail), &trailer) == 0;
    if (!sound && c->have) {
        c->a.target->abort(c->target);
        one_close(c);
        return 1;
    }
    int r = sound && c->tail.n ? c->a.target->put(c->target, sm_buf_span(&c->tail)) : 0;
    if (!r)
        r = c->a.target->end(c->target);
    if (r < 0)
        return r;
    c->res.healed += c->have;
    c->res.copied_packs++;
    one_close(c);
    return 1;
}

static int step_pack(struct copy *c)
{
    size_t n = c->fd_size - c->fd_at < PIECE ? (size_t)(c->fd_size - c->fd_at) : PIECE;
    if (!n)
        return one_finish(c);
    int r = plat_fs_pread_all(c->fd, c->piece, n, c->fd_at);
    if (r == -EIO || r == -SM_EPARTIAL)
        return one_refuse(c, "the disk cannot read it");
    if (r < 0)
        return r;
    int64_t took = c->fd_at && !pack_check_left(c->check) ? 0 : pack_check_put(c->check, SM_SPAN(c->piece, n));
    if (took == -ENOMEM)
        return -ENOMEM;
    if (took < 0)
        return one_refuse(c, "its bytes do not match its name");
    r = took ? c->a.target->put(c->target, SM_SPAN(c->piece, (size_t)took)) : 0;
    if (!r && (size_t)took < n && c->tail.n < TAIL_MAX - PIECE) /* longer ones are none */
        r = sm_buf_put(&c->tail, c->piece + took, n - (size_t)took);
    if (r < 0)
        return r;
    c->fd_at += n;
    c->res.copied_bytes += n;
    progress(c, n);
    return 1;
}

/* The original's bytes of c->name, checked against id.  Says what is wrong with them, or NULL. */
static int manifest_read(struct copy *c, const struct cid *id, struct sm_buf *ret, const char **ret_wrong)
{
    struct cid is;
    uint64_t n = 0;
    int fd = plat_fs_open_beneath(c->dir, c->name, O_RDONLY, 0);
    int r = fd < 0 ? fd : plat_fs_size(fd, &n);
    if (!r)
        r = n > MANIFEST_MAX ? -SM_ECORRUPT : sm_buf_reserve(ret, (size_t)n + 1);
    if (!r)
        r = plat_fs_pread_all(fd, ret->p, (size_t)n, 0);
    if (!r) {
        ret->n = (size_t)n;
        obj_name(sm_buf_span(ret), &is);
        r = cid_eq(&is, id) ? 0 : -SM_ECORRUPT;
    }
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    if (r == -EIO || r == -SM_ECORRUPT || r == -SM_EPARTIAL) {
        *ret_wrong = "its bytes do not match its name";
        return 0;
    }
    return r;
}

static int manifest(struct copy *c, const struct cid *id, const char *hex)
{
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 1);
    const char *wrong = NULL;
    uint64_t size = 0;
    (void)snprintf(c->name, sizeof c->name, "manifests/%.64s.skm", hex); /* fits */
    int have = c->a.target->size(c->target, c->name, &size);
    if (have < 0 && have != -SM_ENOTFOUND)
        return have;
    if (have == 0 && size && !c->a.deep)
        return 0;
    int r = manifest_read(c, id, &b, &wrong);
    if (r == -ENOENT)
        r = missing_note(&c->missing_manifests, id);
    else if (!r && wrong)
        tell_damage(c, c->name, wrong, false);
    else if (!r)
        r = c->a.target->replace(c->target, c->name, sm_buf_span(&b));
    sm_buf_wipe(&b);
    return r;
}

static int one_file(struct copy *c, const struct journal_record *rec)
{
    bool pack = rec->type == JOURNAL_PACK;
    const char *key = pack ? "pack" : "manifest";
    struct cid id;
    char hex[CID_HEX];
    json_t *o = payload_of(rec);
    bool ok = hex_field(o, key, &id);
    json_decref(o);
    if (!ok)
        return say(c, -SM_ECORRUPT, "a record of the journal does not say what its type promises");
    cid_hex(&id, hex);
    return pack ? one_begin(c, &id) : manifest(c, &id, hex);
}

static int step_files(struct copy *c)
{
    int r = walk_begin(c, read_original);
    for (int i = 0; !r && c->phase == FILES && i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = c->chain.head.seq < c->a.head.head.seq ? chain_next(&c->chain, &rec) : 0;
        if (k < 0)
            return say(c, -SM_ECORRUPT, "the journal changed while it was copied");
        if (k == 0) {
            walk_end(c);
            c->phase = RECHECK;
            break;
        }
        if (rec.type == JOURNAL_PACK || rec.type == JOURNAL_MANIFEST)
            r = one_file(c, &rec);
    }
    return r ? r : 1;
}

/* ---- packs that are not there: deleted by policy, or lost ---- */

/* 1: something that was missing was deleted. */
static int explained(struct missing *m, const json_t *hex)
{
    struct cid id;
    const char *text = json_string_value(hex);
    return text && strlen(text) == 64 && cid_unhex(text, &id) == 0 ? missing_explain(m, &id) : 0;
}

/* What a record says was taken away by policy: type 18 a generation, type 20 packs.  1 when it was missing here. */
static int deleted(struct copy *c, const struct journal_record *rec)
{
    size_t i;
    json_t *o = payload_of(rec), *v;
    int r = 0;
    if (rec->type == JOURNAL_EXPIRED)
        r = explained(&c->missing_manifests, json_object_get(o, "manifest"));
    else
        json_array_foreach(json_object_get(o, "packs"), i, v) {
            int k = r < 0 ? r : explained(&c->missing, v);
            r = k ? k : r;
        }
    json_decref(o);
    return r;
}

static void name_missing(struct copy *c, const struct missing *m, bool pack)
{
    char hex[CID_HEX];
    const struct cid *id;
    for (size_t at = 0; (id = missing_next(m, &at)) != NULL;) {
        uint64_t size;
        sm_hex(id->b, 32, hex);
        if (pack)
            (void)snprintf(c->name, sizeof c->name, "packs/%.2s/%.64s.skp", hex, hex); /* fits */
        else
            (void)snprintf(c->name, sizeof c->name, "manifests/%.64s.skm", hex); /* fits */
        tell_damage(c, c->name, "the file is not there", c->a.target->size(c->target, c->name, &size) == 0);
    }
}

static int recheck_done(struct copy *c)
{
    walk_end(c);
    name_missing(c, &c->missing, true);
    name_missing(c, &c->missing_manifests, false);
    c->phase = JOURNAL;
    return 1;
}

/* Reads to the journal's present end, but only when something is missing. */
static int step_recheck(struct copy *c)
{
    if (!c->missing.open && !c->missing_manifests.open)
        return recheck_done(c);
    int r = walk_begin(c, read_original);
    for (int i = 0; !r && i < RECORDS_A_STEP; i++) {
        struct journal_record rec;
        int k = chain_next(&c->chain, &rec);
        if (k == 0 || k == -SM_EPARTIAL)
            return recheck_done(c);
        if (k < 0)
            return say(c, -SM_ECORRUPT, c->chain.why);
        if (rec.type != JOURNAL_EXPIRED && rec.type != JOURNAL_PACK_DELETED)
            continue;
        k = deleted(c, &rec);
        if (k < 0)
            return k;
        /* After the head: the copy would name what it cannot have. */
        if (k && rec.seq > c->a.head.head.seq)
            return say(c, -SM_EAGAIN, "something was deleted meanwhile");
    }
    return r ? r : 1;
}

/* ---- the journal and the head ---- */

static int step_journal(struct copy *c)
{
    char name[COPY_NAME_MAX];
    size_t got = 0;
    if (!c->file) {
        c->file = c->own_file ? c->own_file : 1;
        c->off = c->own_file ? c->own_off : 0;
    }
    if (c->file > c->end_file || (c->file == c->end_file && c->off >= c->end_off)) {
        c->phase = HEAD;
        return 1;
    }
    size_t most = c->file == c->end_file && c->end_off - c->off < PIECE ? (size_t)(c->end_off - c->off) : PIECE;
    chain_file(c->file, name);
    int r = folder_read_at(c->dir, name, c->off, c->piece, most, &got);
    if (r < 0)
        return r;
    if (!got) { /* this file is over: files before the last only grow no more */
        c->file++;
        c->off = 0;
        return 1;
    }
    r = c->a.target->append(c->target, name, c->off, SM_SPAN(c->piece, got));
    c->off += got;
    c->res.copied_bytes += got;
    progress(c, 0);
    return r < 0 ? r : 1;
}

static int step_head(struct copy *c)
{
    struct sm_buf b = SM_BUF_INIT(JOURNAL_SIGNED_HEAD_BYTES);
    int r = journal_head_put(&c->a.head, &b);
    if (!r && c->a.head.head.seq >= c->own_signed.seq)
        r = c->a.target->replace(c->target, HEAD_FILE, sm_buf_span(&b));
    sm_buf_wipe(&b);
    if (r < 0)
        return r;
    c->res.head = c->a.head.head;
    c->phase = DONE;
    return 0;
}

/* ---- life ---- */

int copy_step(struct copy *c)
{
    static int (*const steps[])(struct copy *) = { [OWN] = step_own, [ORIGINAL] = step_original,
        [PREPARE] = step_prepare, [KEEP] = step_keep, [FILES] = step_files, [PACK] = step_pack, [RECHECK] = step_recheck,
        [JOURNAL] = step_journal, [HEAD] = step_head };
    if (c->failed || c->phase == DONE)
        return c->failed;
    int r = steps[c->phase](c);
    if (r >= 0 && c->a.progress && c->a.progress(c->a.arg, &c->p))
        r = say(c, -SM_ECANCEL, "cancelled");
    if (r < 0) {
        (void)say(c, r, sm_strerror(r));
        c->failed = r;
    }
    return r;
}

void copy_result(const struct copy *c, struct copy_result *ret)
{
    *ret = c->res;
}

void copy_free(struct copy *c)
{
    if (!c)
        return;
    walk_end(c);
    if (c->target) {
        c->a.target->abort(c->target);
        c->a.target->close(c->target);
    }
    pack_check_free(c->check);
    if (c->fd >= 0)
        (void)close(c->fd); /* opened for reading */
    if (c->dir >= 0)
        (void)close(c->dir);
    free(c->piece);
    missing_wipe(&c->missing);
    missing_wipe(&c->missing_manifests);
    sm_buf_wipe(&c->tail);
    free(c->from);
    free(c->to);
    free(c);
}

int copy_new(const struct copy_args *args, struct copy **ret, char ret_why[COPY_WHY])
{
    struct copy *c = calloc(1, sizeof *c);
    if (!c) {
        if (args->opened)
            args->target->close(args->opened);
        (void)snprintf(ret_why, COPY_WHY, "out of memory"); /* fits */
        return -ENOMEM;
    }
    c->a = *args;
    c->dir = c->fd = -1;
    c->missing = c->missing_manifests = MISSING_INIT;
    c->tail = SM_BUF_INIT(TAIL_MAX);
    c->from = strdup(args->from);
    c->to = strdup(args->to ? args->to : "");
    c->target = args->opened;
    c->piece = malloc(PIECE);
    const char *why = "out of memory";
    int r = c->from && c->to && c->piece ? 0 : -ENOMEM;
    if (!r) {
        why = "the head is not signed by this box";
        r = journal_head_verify(&args->head, args->head_pub);
    }
    if (!r) {
        c->dir = plat_fs_open_dir(AT_FDCWD, c->from);
        r = c->dir < 0 ? c->dir : 0;
        why = "the vault cannot be opened";
    }
    if (!r && !c->target) {
        r = args->target->open(c->to, &c->target);
        why = r == -SM_EAGAIN ? "another process is writing to this copy" : "the target cannot be opened";
    }
    if (r < 0) {
        (void)snprintf(ret_why, COPY_WHY, "%s: %s", why, sm_strerror(r)); /* fits */
        copy_free(c);
        return r == -ENOENT ? -SM_ENOTFOUND : r;
    }
    *ret = c;
    return 0;
}
