/* Another box's copy here: its packs, manifests and small files. */
#include "vault/copy/far.h"

#include <errno.h>
#include <unistd.h>

#include "plat/fs.h"
#include "vault/copy/far_internal.h"
#include "vault/snapshot/manifest.h"

#define TAIL_MAX ((size_t)32 << 20)
#define FORMAT_TEXT "sakimori vault "
#define FORMAT_BYTES (sizeof FORMAT_TEXT - 1 + 2 + 33)
#define INODES_LEFT 20u              /* a twentieth of the file system's files is never taken */

void far_pack_name(const struct cid *id, char ret[COPY_NAME_MAX])
{
    char hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(ret, COPY_NAME_MAX, "packs/%.2s/%.64s.skp", hex, hex); /* fits */
}

void far_manifest_name(const struct cid *id, char ret[COPY_NAME_MAX])
{
    char hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(ret, COPY_NAME_MAX, "manifests/%.64s.skm", hex); /* fits */
}

int far_room(const struct far *f, uint64_t more)
{
    struct plat_fs_space s;
    uint64_t used = f->used + f->staged_bytes + (f->part >= 0 ? f->part_length : 0);
    if (more > f->quota || used > f->quota - more)
        return -EDQUOT;
    int r = plat_fs_space(f->dir, ".", &s);
    if (r)
        return r;
    if (s.avail_bytes < f->reserve || s.avail_bytes - f->reserve < more)
        return -ENOSPC;
    return s.total_files && s.free_files < s.total_files / INODES_LEFT ? -ENOSPC : 0;
}

/* ---- packs ---- */

static void part_name(const struct cid *id, char ret[COPY_NAME_MAX])
{
    char hex[CID_HEX];
    cid_hex(id, hex);
    (void)snprintf(ret, COPY_NAME_MAX, "tmp/%.64s.part", hex); /* fits */
}

static void part_close(struct far *f)
{
    if (f->part >= 0)
        (void)close(f->part); /* synced, or not wanted */
    f->part = -1;
    pack_check_free(f->check);
    f->check = NULL;
    sm_buf_clear(&f->tail);
}

static int in_tmp(const struct far *f)
{
    return plat_fs_open_beneath(f->dir, "tmp", O_RDONLY | O_DIRECTORY, 0);
}

static void part_drop(struct far *f)
{
    char name[COPY_NAME_MAX];
    int tmp = in_tmp(f);
    part_close(f);
    part_name(&f->part_id, name);
    if (tmp >= 0) {
        (void)!plat_fs_unlink(tmp, name + 4); /* else the next start removes it */
        (void)close(tmp);
    }
    f->part_id = (struct cid){{0}};
    f->part_length = f->part_at = 0;
}

/* Has what lies under that name all that the new one has?  1 yes, 0 no, -SM_EAGAIN (it is being read), or an error. */
static int pack_enough(struct far *f, const struct cid *id, uint64_t length)
{
    char name[COPY_NAME_MAX];
    uint64_t size = 0;
    far_pack_name(id, name);
    int r = copy_folder.size(f->copy, name, &size);
    if (r)
        return r == -SM_ENOTFOUND ? 0 : r;
    /* A longer one has a trailer already.  Read again, so that what rotted here can be healed from there. */
    return size >= length ? far_judge(f, id) : 0;
}

/* What came before the connection was cut is read again into the check. */
static int part_resume(struct far *f)
{
    struct pack_expect e = { .id = &f->part_id, .vault = &f->vault };
    int r = plat_fs_size(f->part, &f->part_at);
    if (!r && f->part_at > f->part_length)
        r = -SM_EPARTIAL;
    if (!r)
        r = pack_check_new(&e, NULL, NULL, &f->check);
    uint64_t at = 0;
    while (!r && at < f->part_at) {
        size_t n = f->part_at - at < FAR_PIECE ? (size_t)(f->part_at - at) : FAR_PIECE;
        r = plat_fs_pread_all(f->part, f->piece, n, at);
        int64_t took = r || (at && !pack_check_left(f->check)) ? 0 : pack_check_put(f->check, SM_SPAN(f->piece, n));
        if (!r && took < 0)
            r = (int)took;
        if (!r && (size_t)took < n)
            r = sm_buf_put(&f->tail, f->piece + took, n - (size_t)took);
        at += n;
    }
    return r;
}

struct other { int dir; const char *keep; };

static int drop_other(void *arg, struct sm_span name, unsigned char type)
{
    const struct other *o = arg;
    (void)type;
    if (name.n != 69 || !strcmp((const char *)name.p, o->keep))
        return 0;
    return plat_fs_unlink(o->dir, (const char *)name.p);
}

/* The half pack of another name that an earlier life left behind goes. */
static int part_open(struct far *f, const struct cid *id)
{
    char name[COPY_NAME_MAX];
    int tmp = in_tmp(f);
    if (tmp < 0)
        return tmp;
    part_name(id, name);
    struct other o = { tmp, name + 4 };
    int r = plat_fs_list(tmp, drop_other, &o);
    if (!r)
        r = plat_fs_create(tmp, name + 4, PLAT_FS_RW, 0600);
    (void)close(tmp); /* a folder */
    return r;
}

int far_pack_begin(struct far *f, const struct cid *id, uint64_t length, uint64_t *ret_have)
{
    if (length <= PACK_HEADER_LEN + PACK_DIRENT_LEN || length > FAR_PACK_MAX)
        return -SM_ELIMIT;
    int r = pack_enough(f, id, length);
    if (r < 0)
        return r;
    if (r == 1) {
        *ret_have = length;
        return 0;
    }
    if (f->part >= 0 && cid_eq(&f->part_id, id) && f->part_length == length) {
        *ret_have = f->part_at;
        return 0;
    }
    part_drop(f);
    r = far_room(f, far_charge(length));
    if (r)
        return r;
    f->part_id = *id;
    f->part_length = length;
    f->part = part_open(f, id);
    r = f->part < 0 ? f->part : part_resume(f);
    if (r) {
        part_drop(f);
        return r;
    }
    *ret_have = f->part_at;
    return 0;
}

int far_pack_data(struct far *f, const struct cid *id, uint64_t off, struct sm_span bytes)
{
    if (f->part < 0 || !cid_eq(&f->part_id, id))
        return -SM_ESTATE;
    if (off != f->part_at)
        return -SM_EMISMATCH;
    if (bytes.n > f->part_length - f->part_at) {
        part_drop(f);
        return -SM_ELIMIT;
    }
    int64_t took = f->part_at && !pack_check_left(f->check) ? 0 : pack_check_put(f->check, bytes);
    int r = took < 0 ? (int)took : 0;
    if (!r && (size_t)took < bytes.n)
        r = sm_buf_put(&f->tail, bytes.p + took, bytes.n - (size_t)took);
    if (!r)
        r = plat_fs_pwrite_all(f->part, bytes, f->part_at);
    if (r) {
        part_drop(f);
        return r;
    }
    plat_fs_write_soon(f->part, f->part_at, bytes.n);
    f->part_at += bytes.n;
    return 0;
}

static int part_rename(struct far *f, const struct cid *id)
{
    char name[COPY_NAME_MAX], part[COPY_NAME_MAX], folder[COPY_NAME_MAX];
    far_pack_name(id, name);
    part_name(id, part);
    (void)snprintf(folder, sizeof folder, "%.8s", name); /* packs/ab */
    int to = plat_fs_open_beneath(f->dir, folder, O_RDONLY | O_DIRECTORY, 0), tmp = to < 0 ? to : in_tmp(f);
    int r = to < 0 ? to : tmp < 0 ? tmp : plat_fs_rename(tmp, part + 4, to, name + 9, true);
    if (!r)
        r = plat_fs_sync_dir(to);
    if (!r)
        r = plat_fs_sync_dir(tmp);
    if (to >= 0)
        (void)close(to); /* folders */
    if (tmp >= 0)
        (void)close(tmp);
    return r;
}

/* What was found rotten is named no longer. */
static void healed(struct far *f, const char *name)
{
    struct far_checked *k = &f->checked;
    for (size_t i = 0; i < k->names_n; i++)
        if (!strcmp(k->names[i], name)) {
            memmove(k->names[i], k->names[--k->names_n], COPY_NAME_MAX);
            k->rotten--;
            return;
        }
}

int far_pack_end(struct far *f, const struct cid *id, bool *ret_duplicate)
{
    struct pack_trailer trailer;
    char name[COPY_NAME_MAX];
    uint64_t size = 0;
    far_pack_name(id, name);
    int r = copy_folder.size(f->copy, name, &size);
    if (r && r != -SM_ENOTFOUND)
        return r;
    /* Its begin found that what lies there is not enough, or nothing had to be sent. */
    if (f->part < 0 || !cid_eq(&f->part_id, id)) {
        if (r || far_judged_unsound(f, id))
            return -SM_ESTATE;
        *ret_duplicate = true;
        return 0;
    }
    if (f->part_at < f->part_length)
        return -SM_EPARTIAL;
    r = pack_check_left(f->check) ? -SM_EFORMAT : pack_trailer_parse(sm_buf_span(&f->tail), &trailer);
    if (r) {
        part_drop(f);
        return r;
    }
    r = plat_fs_sync(f->part);
    if (!r)
        r = part_rename(f, id);
    if (r)
        return r;
    f->used = f->used - (size ? far_charge(size) : 0) + far_charge(f->part_length);
    f->packs += size ? 0 : 1;
    far_judge_forget(f, id);
    healed(f, name);
    part_close(f);
    f->part_id = (struct cid){{0}};
    *ret_duplicate = false;
    return 0;
}

/* ---- small files ---- */

int far_manifest_sound(struct far *f, const struct cid *id)
{
    char name[COPY_NAME_MAX];
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX + 1);
    struct cid is;
    far_manifest_name(id, name);
    int fd = plat_fs_open_beneath(f->dir, name, O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    uint64_t n = 0;
    int r = plat_fs_size(fd, &n);
    if (!r && n <= MANIFEST_MAX)
        r = sm_buf_reserve(&b, (size_t)n + 1);
    if (!r && n <= MANIFEST_MAX)
        r = plat_fs_pread_all(fd, b.p, (size_t)n, 0);
    (void)close(fd); /* opened for reading */
    bool sound = false;
    if (!r && n <= MANIFEST_MAX) {
        b.n = (size_t)n;
        obj_name(sm_buf_span(&b), &is);
        sound = cid_eq(&is, id);
    }
    sm_buf_wipe(&b);
    return r == -ENOMEM ? r : sound;
}

int far_manifest(struct far *f, const struct cid *id, struct sm_span bytes)
{
    char name[COPY_NAME_MAX];
    struct cid is;
    if (!bytes.n || bytes.n > MANIFEST_MAX)
        return -SM_ELIMIT;
    obj_name(bytes, &is);
    if (!cid_eq(&is, id))
        return -SM_ECORRUPT;
    int have = far_manifest_sound(f, id);
    if (have == 1 || (have < 0 && have != -SM_ENOTFOUND))
        return have == 1 ? 0 : have;
    int r = far_room(f, far_charge(bytes.n));
    far_manifest_name(id, name);
    if (!r)
        r = copy_folder.replace(f->copy, name, bytes);
    if (!r)
        healed(f, name);
    if (!r && have == -SM_ENOTFOUND) {
        f->used += far_charge(bytes.n);
        f->manifests++;
    }
    return r;
}

int far_format(struct far *f, struct sm_span bytes)
{
    char hex[33], had[FORMAT_BYTES + 1];
    size_t head = sizeof FORMAT_TEXT - 1, got = 0;
    sm_hex(f->vault.b, 16, hex);
    if (bytes.n != FORMAT_BYTES || memcmp(bytes.p, FORMAT_TEXT, head) != 0 || bytes.p[head + 1] != '\n' ||
        bytes.p[bytes.n - 1] != '\n')
        return -SM_EFORMAT;
    if (memcmp(bytes.p + head + 2, hex, 32) != 0)
        return -SM_EMISMATCH;
    if (bytes.p[head] < '1' || bytes.p[head] > '9')
        return -SM_EVERSION;
    int r = copy_folder.read(f->copy, "format", 0, had, sizeof had, &got);
    if (r && r != -SM_ENOTFOUND)
        return r;
    if (!r && got == bytes.n && memcmp(had, bytes.p, got) == 0)
        return 0;
    /* A number that falls back would let an older program see records it must not. */
    if (!r && got == FORMAT_BYTES && memcmp(had, FORMAT_TEXT, head) == 0 && had[head] > (char)bytes.p[head])
        return -SM_EDENIED;
    r = far_room(f, FORMAT_BYTES);
    return r ? r : copy_folder.replace(f->copy, "format", bytes);
}

int far_label_sound(struct sm_span label, const struct vault_id *vault, const uint8_t head_pub[32])
{
    struct copy_label l;
    int r = copy_label_get(label, &l);
    if (!r)
        r = copy_label_verify(&l, head_pub);
    return r ? r : memcmp(l.vault.b, vault->b, 16) != 0 ? -SM_EMISMATCH : 0;
}

int far_label(struct far *f, struct sm_span label, struct sm_span readme)
{
    struct sm_buf had = SM_BUF_INIT(COPY_LABEL_MAX);
    int r = far_label_sound(label, &f->vault, f->head_pub);
    if (r)
        return r;
    r = plat_fs_read_file(f->root, COPY_LABEL_FILE, COPY_LABEL_MAX, &had);
    bool same = !r && had.n == label.n && memcmp(had.p, label.p, label.n) == 0;
    sm_buf_wipe(&had);
    if (same)
        return 0;
    if (r != -ENOENT)
        return r ? r : -SM_EDENIED;
    r = plat_replace(f->root, "README.txt", readme, 0600);
    return r ? r : plat_replace(f->root, COPY_LABEL_FILE, label, 0600);
}

/* ---- reading ---- */

static bool hex_of(const char *p, struct cid *ret)
{
    return strnlen(p, 64) == 64 && strspn(p, "0123456789abcdef") >= 64 && sm_unhex(p, 64, ret->b, 32) == 0;
}

/* Only names that a copy has are looked at: nothing outside of them can be asked for. */
static bool name_known(const char *name, uint32_t *ret_journal)
{
    struct cid id;
    char is[COPY_NAME_MAX];
    unsigned n = 0;
    *ret_journal = 0;
    if (!strcmp(name, "format") || !strcmp(name, FAR_HEAD))
        return true;
    if (!strncmp(name, "packs/", 6) && strlen(name) > 9 && hex_of(name + 9, &id)) {
        far_pack_name(&id, is);
        return !strcmp(name, is);
    }
    if (!strncmp(name, "manifests/", 10) && hex_of(name + 10, &id)) {
        far_manifest_name(&id, is);
        return !strcmp(name, is);
    }
    if (sscanf(name, "journal/%8u.skj", &n) != 1 || !n || n > JOURNAL_FILES_MAX)
        return false;
    chain_file(n, is);
    *ret_journal = n;
    return !strcmp(name, is);
}

int far_size(struct far *f, const char *name, uint64_t *ret)
{
    uint32_t journal;
    if (!name_known(name, &journal) || journal > f->file)
        return -SM_ENOTFOUND;
    if (journal && journal == f->file) {
        *ret = f->off;
        return 0;
    }
    return copy_folder.size(f->copy, name, ret);
}

int far_read(struct far *f, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    uint32_t journal;
    if (!name_known(name, &journal) || journal > f->file)
        return -SM_ENOTFOUND;
    if (journal && journal == f->file)
        n = off >= f->off ? 0 : f->off - off < n ? (size_t)(f->off - off) : n;
    return copy_folder.read(f->copy, name, off, to, n, ret_got);
}

struct listing { struct far *f; bool packs; const char *digits; struct sm_buf *to; /* NULL: counted */ };

static int list_one(void *arg, struct sm_span name, unsigned char type)
{
    struct listing *l = arg;
    struct cid id;
    char is[COPY_NAME_MAX];
    uint64_t size = 0;
    (void)type;
    if (name.n != 68 || !hex_of((const char *)name.p, &id) ||
        (l->digits && memcmp(name.p, l->digits, 2) != 0))
        return 0; /* nothing of a copy's */
    if (l->packs)
        far_pack_name(&id, is);
    else
        far_manifest_name(&id, is);
    int r = copy_folder.size(l->f->copy, is, &size);
    if (r == -SM_ENOTFOUND)
        return 0;
    if (!r && !l->to) {
        l->f->used += far_charge(size);
        *(l->packs ? &l->f->packs : &l->f->manifests) += 1;
        return 0;
    }
    if (!r)
        r = sm_buf_put(l->to, id.b, 32);
    return r ? r : sm_buf_put_u64(l->to, size);
}

static int list_folder(struct listing *l, const char *folder)
{
    int dir = plat_fs_open_beneath(l->f->dir, folder, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return dir;
    int r = plat_fs_list(dir, list_one, l);
    (void)close(dir); /* a folder */
    return r;
}

int far_list(struct far *f, bool packs, const char *digits, struct sm_buf *ret)
{
    struct listing l = { f, packs, digits, ret };
    char folder[COPY_NAME_MAX];
    if (strlen(digits) != 2 || strspn(digits, "0123456789abcdef") != 2)
        return -SM_EINVAL;
    (void)snprintf(folder, sizeof folder, packs ? "packs/%s" : "manifests", digits); /* fits */
    size_t had = ret->n;
    int r = list_folder(&l, folder);
    if (r)
        ret->n = had;
    return r;
}

int far_count(struct far *f)
{
    struct listing l = { f, false, NULL, NULL };
    int r = list_folder(&l, "manifests");
    for (unsigned i = 0; !r && i < 256; i++) {
        char digits[3], folder[COPY_NAME_MAX];
        (void)snprintf(digits, sizeof digits, "%02x", i); /* fits */
        (void)snprintf(folder, sizeof folder, "packs/%s", digits); /* fits */
        l.packs = true;
        l.digits = digits;
        r = list_folder(&l, folder);
    }
    return r;
}

/* ---- life ---- */

static int drop_part(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    /* Half packs wait for the rest of them; the journal is sent again. */
    if (name.n > 8 && memcmp(name.p, "journal-", 8) == 0)
        return plat_fs_unlink(*(const int *)arg, (const char *)name.p);
    return 0;
}

/* One half pack at most stays: the one that is begun first takes its own, the others go. */
static int clear_tmp(struct far *f)
{
    int tmp = in_tmp(f);
    int r = tmp < 0 ? tmp : plat_fs_list(tmp, drop_part, &tmp);
    if (tmp >= 0)
        (void)close(tmp); /* a folder */
    return r;
}

void far_close(struct far *f)
{
    if (!f)
        return;
    part_close(f); /* the half pack stays */
    far_reading_end(&f->reading);
    far_reading_end(&f->judging);
    if (f->copy)
        copy_folder.close(f->copy);
    if (f->dir >= 0)
        (void)close(f->dir); /* folders */
    if (f->root >= 0)
        (void)close(f->root);
    sm_buf_wipe(&f->tail);
    sm_buf_wipe(&f->names);
    free(f->piece);
    free(f);
}

static int open_folders(struct far *f, const char *dir)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/" COPY_FOLDER "/" COPY_VAULT, dir);
    int r = n < 0 || (size_t)n >= sizeof path ? -ENAMETOOLONG : plat_fs_mkdir_p(path, 0700);
    if (!r)
        r = copy_folder.open(path, &f->copy);
    if (!r)
        r = f->dir = plat_fs_open_dir(AT_FDCWD, path);
    if (r >= 0) {
        path[n - (int)sizeof COPY_VAULT] = 0;
        r = f->root = plat_fs_open_dir(AT_FDCWD, path);
    }
    return r < 0 ? r : 0;
}

int far_open(const struct far_config *c, struct far **ret, char ret_why[COPY_WHY])
{
    struct far *f = calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->vault = c->vault;
    memcpy(f->head_pub, c->head_pub, 32);
    f->quota = c->quota;
    f->reserve = c->reserve;
    f->root = f->dir = f->part = f->reading.fd = f->judging.fd = -1;
    f->tail = SM_BUF_INIT(TAIL_MAX);
    f->names = SM_BUF_INIT((size_t)64 << 20);
    f->piece = malloc(FAR_PIECE);
    ret_why[0] = 0;
    int r = f->piece ? open_folders(f, c->dir) : -ENOMEM;
    if (!r)
        r = clear_tmp(f);
    if (!r)
        r = far_count(f);
    if (!r)
        r = far_journal_open(f, ret_why);
    if (r) {
        if (!ret_why[0])
            (void)snprintf(ret_why, COPY_WHY, "%s", sm_strerror(r)); /* fits */
        far_close(f);
        return r;
    }
    *ret = f;
    return 0;
}

void far_set_quota(struct far *f, uint64_t bytes)
{
    f->quota = bytes;
}

void far_status(const struct far *f, struct far_status *ret)
{
    *ret = (struct far_status){ .used = f->used, .quota = f->quota, .packs = f->packs, .manifests = f->manifests,
        .files = f->packs + f->manifests + f->file, .head = f->head,
        .journal_rotten = f->at.seq < f->head.head.seq };
}
