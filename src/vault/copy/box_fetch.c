/* A vault's folder out of the copy at another box: what lies there, each file held against its name before it gets it here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "plat/fs.h"
#include "vault/copy/box_fetch.h"
#include "vault/copy/box_internal.h"
#include "vault/copy/copy_internal.h"
#include "vault/pack/pack.h"
#include "vault/snapshot/manifest.h"

#define PIECE ((size_t)512 << 10)
#define FORMAT_TEXT "sakimori vault "
#define FORMAT_LEN (sizeof FORMAT_TEXT - 1 + 2 + 32 + 1) /* the digit and the end of its line, the id and its end */

struct fetch {
    void *from, *to;                 /* copy_box, copy_folder */
    struct vault_id vault;
    struct box_fetch_progress p;
    const struct box_fetch_hooks *h;
    uint8_t *piece;
};

static void tell(struct fetch *f, const char *name, const char *why)
{
    f->p.damaged++;
    if (f->h->damage)
        f->h->damage(f->h->arg, name, why);
}

/* An empty folder, or one of this vault. */
static int fetch_format(struct fetch *f)
{
    char want[80], have[80];
    size_t n = 0, got = 0;
    int r = copy_box.read(f->from, "format", 0, want, sizeof want, &n);
    if (r)
        return r;
    if (n != FORMAT_LEN || memcmp(want, FORMAT_TEXT, sizeof FORMAT_TEXT - 1) != 0 ||
        sm_unhex(want + sizeof FORMAT_TEXT + 1, 32, f->vault.b, 16))
        return -SM_EFORMAT;
    r = copy_folder.read(f->to, "format", 0, have, sizeof have, &got);
    /* The digit may be another one; the vault must not. */
    if (!r && (got != n || memcmp(have + 16, want + 16, n - 16) != 0))
        return -SM_EMISMATCH;
    return r && r != -SM_ENOTFOUND ? r : copy_folder.replace(f->to, "format", SM_SPAN(want, n));
}

/* Its pieces into the folder; *ret_fits: they are what the name says.  check (a pack's) or whole (a manifest's bytes). */
static int carry(struct fetch *f, const char *name, uint64_t size, struct pack_check *check, struct sm_buf *whole)
{
    int r = 0;
    for (uint64_t off = 0; off < size && !r;) {
        size_t got = 0, want = size - off < PIECE ? (size_t)(size - off) : PIECE;
        r = copy_box.read(f->from, name, off, f->piece, want, &got);
        if (!r && got != want)
            r = -SM_EPROTO;
        if (!r && check && pack_check_left(check) && pack_check_put(check, SM_SPAN(f->piece, got)) < 0)
            r = -SM_ECORRUPT;
        if (!r && whole)
            r = sm_buf_put(whole, f->piece, got);
        if (!r)
            r = copy_folder.put(f->to, SM_SPAN(f->piece, got));
        off += got;
        f->p.bytes += got;
        if (!r && f->h->progress && f->h->progress(f->h->arg, &f->p))
            r = -SM_ECANCEL;
    }
    return r;
}

static int fetch_one(struct fetch *f, bool pack, const struct cid *id, uint64_t size)
{
    struct pack_expect e = { .id = id, .vault = &f->vault };
    struct sm_buf whole = SM_BUF_INIT(MANIFEST_MAX + 1);
    struct pack_check *check = NULL;
    struct cid is = { { 0 } };
    char name[COPY_NAME_MAX], hex[CID_HEX];
    uint64_t have = 0;
    cid_hex(id, hex);
    if (pack)
        (void)snprintf(name, sizeof name, "packs/%.2s/%.64s.skp", hex, hex); /* fits */
    else
        (void)snprintf(name, sizeof name, "manifests/%.64s.skm", hex); /* fits */
    /* What has its name in the folder got it only after it fitted. */
    if (copy_folder.size(f->to, name, &have) == 0 && have == size) {
        f->p.bytes += size;
        f->p.had++;
        return 0;
    }
    int r = pack ? pack_check_new(&e, NULL, NULL, &check) : size <= MANIFEST_MAX ? 0 : -SM_ECORRUPT;
    if (!r)
        r = copy_folder.begin(f->to, name);
    if (!r)
        r = carry(f, name, size, check, pack ? NULL : &whole);
    if (!r && pack && pack_check_left(check))
        r = -SM_ECORRUPT;
    if (!r && !pack) {
        obj_name(sm_buf_span(&whole), &is);
        r = cid_eq(&is, id) ? 0 : -SM_ECORRUPT;
    }
    if (!r)
        r = copy_folder.end(f->to);
    else
        copy_folder.abort(f->to);
    pack_check_free(check);
    sm_buf_wipe(&whole);
    if (r != -SM_ECORRUPT && r != -SM_ENOTFOUND)
        return r;
    tell(f, name, r == -SM_ENOTFOUND ? "the file is not there" : "its bytes do not match its name");
    return 0;
}

static int each(struct fetch *f, int (*fn)(struct fetch *, bool, const struct cid *, uint64_t))
{
    struct box_row *rows = NULL;
    int r = 0;
    for (unsigned i = 0; i < 512 && !r; i++) { /* packs before the manifests that need them */
        size_t n = 0;
        r = box_rows(f->from, i < 256, i % 256, &rows, &n);
        for (size_t k = 0; k < n && !r; k++)
            r = fn(f, i < 256, &rows[k].id, rows[k].size);
        free(rows);
        rows = NULL;
    }
    return r;
}

static int count(struct fetch *f, bool pack, const struct cid *id, uint64_t size)
{
    (void)pack;
    (void)id;
    f->p.files_total++;
    f->p.bytes_total += size;
    return 0;
}

/* A file from its first byte: what an earlier try left behind is overwritten by the same bytes. */
static int fetch_journal(struct fetch *f)
{
    char name[COPY_NAME_MAX];
    int r = 0;
    for (uint32_t file = 1; !r && file <= JOURNAL_FILES_MAX; file++) {
        uint64_t off = 0;
        size_t got = 0;
        chain_file(file, name);
        do {
            r = copy_box.read(f->from, name, off, f->piece, PIECE, &got);
            if (!r && got)
                r = copy_folder.append(f->to, name, off, SM_SPAN(f->piece, got));
            off += r ? 0 : got;
        } while (!r && got == PIECE);
        if (r == -SM_ENOTFOUND)
            return file > 1 ? 0 : -SM_ECORRUPT;
    }
    return r;
}

static int fetch_head(struct fetch *f)
{
    uint8_t head[JOURNAL_SIGNED_HEAD_BYTES];
    size_t got = 0;
    int r = copy_box.read(f->from, "heads/0.head", 0, head, sizeof head, &got);
    return r ? r : copy_folder.replace(f->to, "heads/0.head", SM_SPAN(head, got));
}

int box_fetch(void *from, const char *dir, const struct box_fetch_hooks *h, struct box_fetch_progress *ret, char ret_why[BOX_WHY])
{
    struct fetch f = { .from = from, .h = h, .piece = malloc(PIECE) };
    ret_why[0] = '\0';
    int r = f.piece ? plat_fs_mkdir_p(dir, 0700) : -ENOMEM;
    if (!r)
        r = copy_folder.open(dir, &f.to);
    if (!r)
        r = fetch_format(&f);
    if (r == -SM_EMISMATCH)
        (void)snprintf(ret_why, BOX_WHY, "the folder holds another vault"); /* fits */
    if (!r)
        r = each(&f, count);
    if (!r)
        r = each(&f, fetch_one);
    if (!r)
        r = fetch_journal(&f);
    if (!r)
        r = fetch_head(&f);
    if (f.to)
        copy_folder.close(f.to);
    free(f.piece);
    *ret = f.p;
    if (r && !*ret_why)
        (void)snprintf(ret_why, BOX_WHY, "%s", box_why(from)); /* same size */
    return r;
}
