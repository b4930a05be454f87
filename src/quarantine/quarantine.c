/* Taking a file aside, giving it back, removing it. */
#include "quarantine/quarantine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "crypto/hash.h"
#include "crypto/random.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "quarantine/internal.h"

/* ---- names ---- */

int spot_open(struct sm_span path, struct spot *ret)
{
    char dir[PATH_BYTES];
    size_t cut = path.n;
    if (path.n < 2 || path.n >= PATH_BYTES || path.p[0] != '/' || memchr(path.p, 0, path.n))
        return -SM_EINVAL;
    while (path.p[cut - 1] != '/')
        cut--;
    if (!plat_fs_name_ok(SM_SPAN(path.p + cut, path.n - cut)))
        return -SM_EINVAL;
    struct spot s;
    memcpy(s.name, path.p + cut, path.n - cut);
    s.name[path.n - cut] = 0;
    memcpy(dir, path.p + 1, cut - 1);
    dir[cut > 1 ? cut - 2 : 0] = 0;
    int root = plat_fs_open_dir(AT_FDCWD, "/");
    if (root < 0)
        return root;
    s.dir = plat_fs_open_beneath(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0);
    close(root);
    if (s.dir < 0)
        return s.dir;
    *ret = s;
    return 0;
}

void spot_close(struct spot *s)
{
    if (s->dir >= 0)
        close(s->dir);
    s->dir = -1;
}

bool spot_is(const struct spot *s, const struct plat_object *o)
{
    struct plat_object now;
    return plat_object_of(s->dir, s->name, &now) == 0 && plat_object_eq(&now, o);
}

/* ---- bytes ---- */

enum { WINDOW = 256 << 10 };

static int turn_in(int from, int to, const uint8_t *pad, uint64_t max, struct crypto_sha256_ctx *sha, bool plain_in,
    uint8_t *window, uint64_t *ret)
{
    uint64_t off = 0;
    for (;;) {
        ssize_t n = pread(from, window, WINDOW, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *ret = off;
            return n < 0 ? -errno : 0;
        }
        if (off + (uint64_t)n > max)
            return -EFBIG;
        if (plain_in)
            crypto_sha256_put(sha, SM_SPAN(window, (size_t)n));
        for (size_t i = 0; i < (size_t)n; i++)
            window[i] ^= pad[(off + i) % PAD];
        if (!plain_in)
            crypto_sha256_put(sha, SM_SPAN(window, (size_t)n));
        int r = plat_fs_pwrite_all(to, SM_SPAN(window, (size_t)n), off);
        if (r < 0)
            return r;
        off += (uint64_t)n;
    }
}

static int turn_either(int from, int to, const uint8_t pad[PAD], uint64_t max, bool plain_in, uint64_t *ret_size,
    uint8_t ret_hash[32])
{
    struct crypto_sha256_ctx *sha;
    uint8_t *window = malloc(WINDOW);
    int r = window ? crypto_sha256_new(&sha) : -ENOMEM;
    if (r == 0) {
        r = turn_in(from, to, pad, max, sha, plain_in, window, ret_size);
        crypto_sha256_final(sha, ret_hash);
        crypto_sha256_free(sha);
    }
    free(window);
    return r;
}

int turn(int from, int to, const uint8_t pad[PAD], uint64_t max, uint64_t *ret_size, uint8_t ret_hash[32])
{
    return turn_either(from, to, pad, max, true, ret_size, ret_hash);
}

/* ---- what a call that was killed had begun ---- */

static int forget(int folder, const json_t *e)
{
    char name[32];
    data_name(entry_text(e, "id"), ".data", name);
    int r = plat_fs_unlink(folder, name);
    data_name(entry_text(e, "id"), ".json", name);
    if (r == 0 || r == -ENOENT)
        r = plat_fs_unlink(folder, name);
    return r;
}

static int set_state(int folder, json_t *e, const char *state)
{
    if (json_object_set_new(e, "state", json_string(state)) < 0 ||
        json_object_set_new(e, "changed", json_integer((json_int_t)plat_clock_wall().s)) < 0)
        return -ENOMEM;
    return entry_save(folder, e);
}

static int drop_data(int folder, const json_t *e)
{
    char name[32];
    struct stat st;
    data_name(entry_text(e, "id"), ".data", name);
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0; /* the ordinary case: it went when its state changed */
    return plat_fs_unlink(folder, name);
}

/* Does the file of e stand at the path under key? */
static bool stands(const json_t *e, const char *key)
{
    struct sm_buf path = SM_BUF_INIT(2 * PATH_BYTES);
    struct plat_object o;
    struct spot s;
    bool yes = false;
    if (entry_object(e, &o) == 0 && entry_path(e, key, &path) == 0 && spot_open(sm_buf_span(&path), &s) == 0) {
        yes = spot_is(&s, &o);
        spot_close(&s);
    }
    sm_buf_wipe(&path);
    return yes;
}

static void remove_temporary(const json_t *e)
{
    struct sm_buf path = SM_BUF_INIT(2 * PATH_BYTES);
    struct plat_object o;
    struct spot s;
    if (entry_object(e, &o) == 0 && entry_path(e, "to", &path) == 0 && spot_open(sm_buf_span(&path), &s) == 0) {
        (void)snprintf(s.name, sizeof s.name, TEMP_NAME "%s", entry_text(e, "id"));
        if (spot_is(&s, &o))
            (void)plat_fs_unlink(s.dir, s.name); /* it stays hidden otherwise */
        spot_close(&s);
    }
    sm_buf_wipe(&path);
}

static int settle_one(void *ctx, json_t *e)
{
    int folder = *(const int *)ctx;
    const char *state = entry_text(e, "state");
    if (strcmp(state, "taking") == 0)
        return stands(e, "path") ? forget(folder, e) : set_state(folder, e, "kept");
    if (strcmp(state, "giving") == 0 && stands(e, "to"))
        return set_state(folder, e, "given");
    if (strcmp(state, "giving") == 0) {
        remove_temporary(e);
        return set_state(folder, e, "kept");
    }
    if (strcmp(state, "kept") == 0)
        return 0;
    int r = drop_data(folder, e);
    bool old = plat_clock_wall().s - json_integer_value(json_object_get(e, "changed")) > QUARANTINE_KEEP_S;
    return r == 0 && old ? forget(folder, e) : r;
}

static int sweep(void *ctx, struct sm_span name, unsigned char type)
{
    int folder = *(const int *)ctx;
    char entry[32];
    struct stat st;
    (void)type;
    bool left = (name.n > 5 && memcmp(name.p, ".tmp-", 5) == 0) || (name.n > 4 && memcmp(name.p + name.n - 4, ".new", 4) == 0);
    if (name.n == 21 && memcmp(name.p + 16, ".data", 5) == 0) {
        data_name((const char *)name.p, ".json", entry);
        left = fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
    }
    if (left)
        (void)plat_fs_unlink(folder, (const char *)name.p); /* again the next time */
    return 0;
}

static int begin(int folder, int *ret_lock)
{
    int lock = plat_fs_lock(folder, "lock");
    if (lock < 0)
        return lock;
    int own = plat_fs_open_dir(folder, "."), r = own < 0 ? own : plat_fs_list(own, sweep, &folder);
    if (r == 0)
        r = entries(own, settle_one, &folder);
    if (own >= 0)
        close(own);
    if (r < 0)
        close(lock);
    else
        *ret_lock = lock;
    return r;
}

/* ---- taking ---- */

struct room { uint64_t bytes; unsigned files, all; };

static int add_room(void *ctx, json_t *e)
{
    struct room *r = ctx;
    bool kept = strcmp(entry_text(e, "state"), "kept") == 0 || strcmp(entry_text(e, "state"), "giving") == 0;
    r->bytes += kept ? (uint64_t)json_integer_value(json_object_get(e, "size")) : 0;
    r->files += kept;
    r->all++;
    return 0;
}

static int room_for(int folder, const struct quarantine_limits *l, uint64_t size)
{
    struct room room = {0};
    struct plat_fs_space s;
    if (size > l->file_max_bytes)
        return -EFBIG;
    int r = entries(folder, add_room, &room);
    if (r == 0)
        r = plat_fs_space(folder, ".", &s);
    if (r < 0)
        return r;
    bool fits = room.all < QUARANTINE_MAX && room.bytes + size <= l->max_bytes && s.avail_bytes >= size &&
        s.avail_bytes - size >= l->reserve_bytes;
    return fits ? 0 : -ENOSPC;
}

static json_t *text(const char *s)
{
    size_t n = s ? strnlen(s, QUARANTINE_TEXT) : 0;
    while (n && !sm_utf8_valid(SM_SPAN(s, n)))
        n--; /* cut in the middle of a character */
    return json_stringn(s ? s : "", n);
}

static int new_entry(const struct quarantine_what *w, const struct plat_meta *m, const struct plat_object *o,
    const uint8_t pad[PAD], json_t **ret)
{
    uint8_t rnd[8];
    char id[17], hex[2 * PAD + 1];
    crypto_random(rnd, sizeof rnd);
    sm_hex(rnd, sizeof rnd, id);
    sm_hex(pad, PAD, hex);
    json_int_t now = (json_int_t)plat_clock_wall().s;
    json_t *e = json_pack("{s:i,s:s,s:s,s:I,s:o,s:o,s:o,s:I,s:I,s:s,s:I}", "v", 1, "id", id, "state", "taking", "size",
        (json_int_t)0, "reason", text(w->reason), "by", text(w->by), "finding", text(w->finding), "at", now, "changed",
        now, "pad", hex, "links", (json_int_t)m->nlink);
    int r = !e ? -ENOMEM : entry_set_path(e, "path", w->path);
    if (r == 0)
        r = entry_set_object(e, o);
    if (r == 0)
        r = entry_set_meta(e, m);
    if (r < 0)
        json_decref(e);
    else
        *ret = e;
    return r;
}

static int save_bytes(int folder, const struct quarantine_limits *l, const struct quarantine_what *w, int fd,
    const uint8_t pad[PAD], json_t *e)
{
    char fresh[32], name[32], hex[65];
    uint8_t hash[32];
    uint64_t size;
    data_name(entry_text(e, "id"), ".new", fresh);
    data_name(entry_text(e, "id"), ".data", name);
    int to = plat_fs_create(folder, fresh, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    if (to < 0)
        return to;
    int r = turn(fd, to, pad, l->file_max_bytes, &size, hash);
    if (r == 0)
        r = plat_fs_sync(to);
    close(to);
    if (r == 0 && w->sha256 && memcmp(hash, w->sha256, 32) != 0)
        r = -SM_EMISMATCH;
    if (r == 0)
        r = plat_fs_rename(folder, fresh, folder, name, false);
    if (r < 0) {
        (void)plat_fs_unlink(folder, fresh);
        return r;
    }
    sm_hex(hash, 32, hex);
    if (json_object_set_new(e, "size", json_integer((json_int_t)size)) < 0 ||
        json_object_set_new(e, "sha256", json_string(hex)) < 0)
        return -ENOMEM;
    return entry_save(folder, e); /* and the folder is synced with it */
}

/* Of a disk where such bits meant nothing (mounted nosuid) they come back without: it may be given back where they mean something. */
static void lend_nothing(int fd, struct plat_meta *m)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) == 0 && !(v.f_flag & ST_NOSUID))
        return;
    m->mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    for (size_t i = 0; i < m->xattr_n; i++) {
        if (strcmp(m->xattr[i].name, "security.capability") != 0)
            continue;
        free(m->xattr[i].name);
        free(m->xattr[i].value);
        memmove(m->xattr + i, m->xattr + i + 1, (--m->xattr_n - i) * sizeof *m->xattr);
        return;
    }
}

static int take_file(int folder, const struct quarantine_limits *l, const struct quarantine_what *w,
    const struct spot *s, int fd, json_t **ret)
{
    struct plat_meta m;
    struct plat_object o;
    uint8_t pad[PAD];
    json_t *e = NULL;
    int r = plat_meta_read(fd, "", PLAT_META_XATTR, &m);
    if (r < 0)
        return r;
    lend_nothing(fd, &m);
    crypto_random(pad, sizeof pad);
    r = m.type != PLAT_FILE ? -SM_EINVAL : room_for(folder, l, m.size);
    if (r == 0)
        r = plat_object_of(fd, "", &o);
    if (r == 0)
        r = new_entry(w, &m, &o, pad, &e);
    plat_meta_wipe(&m);
    if (r < 0)
        return r;
    r = save_bytes(folder, l, w, fd, pad, e);
    if (r == 0)
        r = spot_is(s, &o) ? plat_fs_unlink(s->dir, s->name) : -SM_EMISMATCH; /* another file has the name by now */
    if (r < 0) {
        (void)forget(folder, e); /* the next call does it otherwise */
        json_decref(e);
        return r;
    }
    (void)plat_fs_sync_dir(s->dir); /* it is gone for everybody; at worst it comes back after a power cut, harmless twice */
    r = set_state(folder, e, "kept");
    *ret = e;
    return r == 0 ? 0 : 1; /* taken all the same: the next call settles it */
}

static json_t *shown(const json_t *e)
{
    static const char *const key[] = {"id", "path", "size", "sha256", "reason", "by", "finding", "at", "changed", "state",
        "links"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof key / sizeof key[0] && o; i++) {
        json_t *v = json_object_get(e, key[i]);
        if (v)
            (void)json_object_set(o, key[i], v); /* a list with less is still a list */
    }
    if (o && strcmp(entry_text(e, "state"), "taking") == 0)
        (void)json_object_set_new(o, "state", json_string("kept"));
    return o;
}

int quarantine_take(int folder, const struct quarantine_limits *l, const struct quarantine_what *w,
    char ret_id[QUARANTINE_ID], json_t **ret_entry)
{
    struct spot s;
    json_t *e = NULL;
    int lock, r = begin(folder, &lock);
    if (r < 0)
        return r;
    r = spot_open(w->path, &s);
    if (r == 0) {
        int fd = plat_fs_open_read(s.dir, s.name);
        r = fd < 0 ? fd : take_file(folder, l, w, &s, fd, &e);
        if (fd >= 0)
            close(fd);
        spot_close(&s);
    }
    close(lock);
    if (r < 0)
        return r;
    (void)snprintf(ret_id, QUARANTINE_ID, "%s", entry_text(e, "id"));
    if (ret_entry)
        *ret_entry = shown(e);
    json_decref(e);
    return 0;
}

/* ---- giving back ---- */

/* A name where nothing stands: its own, or beside. */
static int free_name(struct spot *s, struct sm_buf *path, const char *name)
{
    struct plat_object o;
    size_t folder_n = path->n - strlen(name);
    for (unsigned i = 1; i <= 100; i++) {
        int n = i == 1 ? snprintf(s->name, sizeof s->name, "%s", name)
            : i == 2 ? snprintf(s->name, sizeof s->name, "%.200s.given-back", name)
                     : snprintf(s->name, sizeof s->name, "%.200s.given-back-%u", name, i - 1);
        if (n < 0 || (size_t)n >= sizeof s->name)
            return -ENAMETOOLONG;
        if (plat_object_of(s->dir, s->name, &o) == -ENOENT) {
            path->n = folder_n;
            return sm_buf_put(path, s->name, strlen(s->name));
        }
    }
    return -EEXIST;
}

static int write_temporary(int folder, const json_t *e, int dir, const char *temp)
{
    uint8_t pad[PAD], want[32], hash[32];
    uint64_t size, should = (uint64_t)json_integer_value(json_object_get(e, "size"));
    char name[32];
    struct plat_meta m;
    struct plat_meta_report report;
    if (sm_unhex(entry_text(e, "pad"), 2 * PAD, pad, PAD) < 0 || sm_unhex(entry_text(e, "sha256"), 64, want, 32) < 0)
        return -SM_EFORMAT;
    data_name(entry_text(e, "id"), ".data", name);
    int from = plat_fs_open_read(folder, name);
    if (from < 0)
        return from == -ENOENT ? -SM_ECORRUPT : from;
    int to = plat_fs_create(dir, temp, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    int r = to < 0 ? to : turn_either(from, to, pad, should, false, &size, hash);
    close(from);
    if (to < 0)
        return r;
    if (r == -EFBIG || (r == 0 && (size != should || memcmp(hash, want, 32) != 0)))
        r = -SM_ECORRUPT;
    if (r == 0)
        r = entry_meta(e, &m);
    if (r == 0) {
        r = plat_meta_apply(to, "", &m, PLAT_APPLY_OWNER | PLAT_APPLY_XATTR | PLAT_APPLY_PRUNE, &report);
        r = r == -SM_EPARTIAL ? 0 : r; /* an attribute that this file system cannot hold is no reason to keep the file */
        plat_meta_wipe(&m);
    }
    if (r == 0)
        r = plat_fs_sync(to);
    close(to);
    return r;
}

static int give(int folder, json_t *e, struct spot *s, struct sm_buf *path)
{
    char temp[64], name[256];
    struct plat_object o;
    memcpy(name, s->name, sizeof name);
    (void)snprintf(temp, sizeof temp, TEMP_NAME "%s", entry_text(e, "id"));
    int r = plat_fs_unlink(s->dir, temp);
    if (r == 0 || r == -ENOENT)
        r = write_temporary(folder, e, s->dir, temp);
    if (r == 0)
        r = free_name(s, path, name);
    if (r == 0)
        r = plat_object_of(s->dir, temp, &o);
    if (r == 0)
        r = entry_set_object(e, &o);
    if (r == 0)
        r = entry_set_path(e, "to", sm_buf_span(path));
    if (r == 0)
        r = set_state(folder, e, "giving");
    if (r == 0)
        r = plat_fs_rename(s->dir, temp, s->dir, s->name, false);
    if (r == 0)
        r = plat_fs_sync_dir(s->dir);
    if (r < 0) {
        (void)plat_fs_unlink(s->dir, temp); /* the next call does it otherwise */
        return r;
    }
    r = set_state(folder, e, "given");
    return r < 0 ? r : drop_data(folder, e);
}

static int kept_entry(int folder, const char *id, json_t **ret)
{
    json_t *e;
    int r = entry_load(folder, id, &e);
    if (r < 0)
        return r;
    if (strcmp(entry_text(e, "state"), "kept") != 0) {
        json_decref(e);
        return -SM_ESTATE;
    }
    *ret = e;
    return 0;
}

int quarantine_give_back(int folder, const char *id, struct sm_buf *ret_path)
{
    struct sm_buf path = SM_BUF_INIT(2 * PATH_BYTES);
    struct spot s;
    json_t *e;
    int lock, r = begin(folder, &lock);
    if (r < 0)
        return r;
    r = kept_entry(folder, id, &e);
    if (r == 0) {
        r = entry_path(e, "path", &path);
        if (r == 0)
            r = spot_open(sm_buf_span(&path), &s);
        if (r == 0) {
            r = give(folder, e, &s, &path);
            spot_close(&s);
        }
        json_decref(e);
    }
    close(lock);
    if (r == 0 && ret_path)
        r = sm_buf_put_span(ret_path, sm_buf_span(&path));
    sm_buf_wipe(&path);
    return r;
}

int quarantine_remove(int folder, const char *id)
{
    json_t *e;
    int lock, r = begin(folder, &lock);
    if (r < 0)
        return r;
    r = kept_entry(folder, id, &e);
    if (r == 0) {
        r = set_state(folder, e, "removed");
        if (r == 0)
            r = drop_data(folder, e);
        json_decref(e);
    }
    close(lock);
    return r;
}

/* ---- lists ---- */

static int add_shown(void *ctx, json_t *e)
{
    json_t *list = ctx, *o = shown(e);
    size_t at = 0;
    json_int_t when = json_integer_value(json_object_get(e, "at"));
    while (at < json_array_size(list) && json_integer_value(json_object_get(json_array_get(list, at), "at")) > when)
        at++;
    return !o || json_array_insert_new(list, at, o) < 0 ? -ENOMEM : 0;
}

int quarantine_list(int folder, json_t **ret)
{
    int lock, r = begin(folder, &lock);
    if (r < 0)
        return r;
    json_t *list = json_array();
    r = list ? entries(folder, add_shown, list) : -ENOMEM;
    close(lock);
    if (r < 0)
        json_decref(list);
    else
        *ret = list;
    return r;
}

int quarantine_room(int folder, uint64_t *ret_bytes, unsigned *ret_files)
{
    struct room room = {0};
    int r = entries(folder, add_room, &room);
    if (r == 0) {
        *ret_bytes = room.bytes;
        *ret_files = room.files;
    }
    return r;
}
