#include <errno.h>
#include <unistd.h>
#include "plat/clock.h"
#include "crypto/many.h"
#include "plat/fs.h"
#include "vault/store/store_internal.h"

#define FORMAT_HEAD "sakimori vault "
#define FORMAT_MAX ((size_t)256)
#define JOURNAL_FRESH_MAX 4096u

static const char *const folders[] = { "journal", "packs", "manifests", "tmp", "cache", "heads" };
#define FOLDERS (sizeof folders / sizeof *folders)

/* ---- create ---- */

struct strange { bool found; };

/* Anything else than what an interrupted store_create leaves? */
static int strange_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    for (size_t i = 0; i < FOLDERS; i++)
        if (sm_span_eq(name, SM_SPAN_STR(folders[i])))
            return 0;
    ((struct strange *)arg)->found = true;
    return 0;
}

static int any_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    /* In packs/ stand the 256 folders, two digits each. */
    ((struct strange *)arg)->found |= name.n != 2;
    return 0;
}

static int list_into(int dirfd, const char *path, plat_fs_dir_fn fn, struct strange *s)
{
    int fd = plat_fs_open_dir(dirfd, path);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    int err = plat_fs_list(fd, fn, s);
    (void)close(fd); /* opened for reading */
    return err;
}

/* The folder may hold the remains of a store_create that was cut short: no format file, no manifest, a journal of one
   record. */
static int check_empty(int dir)
{
    struct strange s = { false };
    int err = list_into(dir, ".", strange_one, &s);
    if (!err)
        err = list_into(dir, "packs", any_one, &s);
    if (!err)
        err = list_into(dir, "manifests", any_one, &s);
    if (err || s.found)
        return err ? err : -SM_EINVAL;
    int fd = plat_fs_open_beneath(dir, "journal/00000001.skj", O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -SM_ENOTFOUND ? 0 : fd;
    uint64_t size = 0;
    err = plat_fs_size(fd, &size);
    (void)close(fd); /* opened for reading */
    if (!err && size > JOURNAL_FRESH_MAX)
        err = -SM_EINVAL;
    int journal = err ? err : plat_fs_open_dir(dir, "journal");
    if (journal < 0)
        return journal;
    err = plat_fs_unlink(journal, "00000001.skj"); /* holds nothing but the note that a vault was to be made */
    (void)close(journal); /* opened for reading */
    return err;
}

static int make_dir(int dirfd, const char *name)
{
    int err = plat_fs_mkdir(dirfd, name, 0700);
    return err == -EEXIST ? 0 : err;
}

static int make_folders(int dir)
{
    int err = 0;
    for (size_t i = 0; !err && i < FOLDERS; i++)
        err = make_dir(dir, folders[i]);
    int packs = err ? err : plat_fs_open_dir(dir, "packs");
    if (packs < 0)
        return packs;
    for (unsigned i = 0; !err && i < 256; i++) {
        char name[4];
        (void)snprintf(name, sizeof name, "%02x", i); /* fits */
        err = make_dir(packs, name);
    }
    if (!err)
        err = plat_fs_sync_dir(packs);
    (void)close(packs); /* synced, or the error is told */
    return err ? err : plat_fs_sync_dir(dir);
}

static int first_record(int dir, const struct vault_id *vault, const char *version)
{
    int fd = plat_fs_open_dir(dir, "journal");
    if (fd < 0)
        return fd;
    struct journal *j = NULL;
    struct journal_cut cut;
    struct journal_fault fault;
    struct sm_buf b = SM_BUF_INIT(4096);
    json_t *o = json_object();
    int err = json_set(o, "vault", json_hex(vault->b, 16)) && json_set(o, "version",
        json_text(version)) ? sm_json_dump(o, &b) : -ENOMEM;
    json_decref(o);
    if (!err)
        err = journal_create(fd, vault->b);
    if (!err)
        err = journal_open(&(struct journal_open_args){ .dirfd = fd, .vault = vault->b }, &j, &cut, &fault);
    if (!err)
        err = journal_append(j, JOURNAL_VAULT, plat_clock_wall(), 0, sm_buf_span(&b), NULL);
    if (!err)
        err = journal_sync(j);
    journal_close(j);
    sm_buf_wipe(&b);
    (void)close(fd); /* synced, or the error is told */
    return err;
}

int store_create(const char *path, const struct vault_id *vault, const char *program_version)
{
    int err = plat_fs_mkdir_p(path, 0700);
    int dir = err ? err : plat_fs_open_dir(AT_FDCWD, path);
    if (dir < 0)
        return dir;
    struct sm_buf b = SM_BUF_INIT(FORMAT_MAX);
    err = plat_fs_read_file(dir, "format", FORMAT_MAX, &b);
    if (err != -ENOENT)
        err = -SM_EEXISTS;
    else
        err = check_empty(dir);
    if (!err)
        err = make_folders(dir);
    if (!err)
        err = first_record(dir, vault, program_version);
    char hex[33];
    sm_hex(vault->b, 16, hex);
    sm_buf_clear(&b);
    if (!err)
        err = sm_buf_printf(&b, FORMAT_HEAD "1\n%s\n", hex);
    if (!err)
        err = plat_replace(dir, "format", sm_buf_span(&b), 0600);  /* from here on it is a vault */
    sm_buf_wipe(&b);
    (void)close(dir); /* synced, or the error is told */
    return err;
}

/* ---- open ---- */

static void why_text(char *ret_why, const char *text)
{
    if (ret_why)
        (void)snprintf(ret_why, STORE_WHY, "%s", text); /* fits: our own texts */
}

static int read_format(struct store *st, char *ret_why)
{
    struct sm_buf b = SM_BUF_INIT(FORMAT_MAX);
    int err = plat_fs_read_file(st->dir, "format", FORMAT_MAX, &b);
    const char *text = err ? "" : sm_buf_str(&b);
    size_t head = sizeof FORMAT_HEAD - 1;
    if (err == -ENOENT) {
        why_text(ret_why, "no vault here: there is no file \"format\"");
        err = -SM_ENOTFOUND;
    } else if (!err && (!text || strncmp(text, FORMAT_HEAD, head) != 0)) {
        why_text(ret_why, "the file \"format\" is not that of a vault");
        err = -SM_EFORMAT;
    } else if (!err && (text[head] < '0' + FORMAT_PLAIN || text[head] > '0' + FORMAT_LAST || text[head + 1] != '\n')) {
        why_text(ret_why, "the vault is of a later format than this program knows");
        err = -SM_EVERSION;
    } else if (!err && (b.n != head + 2 + 33 || text[b.n - 1] != '\n' ||
        sm_unhex(text + head + 2, 32, st->vault.b, 16))) {
        why_text(ret_why, "the file \"format\" is damaged: the vault's id cannot be read");
        err = -SM_ECORRUPT;
    }
    st->format = err ? 0 : (uint8_t)(text[head] - '0');
    sm_buf_wipe(&b);
    return err;
}

int store_format_raise(struct store *st, uint8_t format)
{
    char id[33], text[64];
    if (st->format >= format)
        return 0;
    sm_hex(st->vault.b, 16, id);
    (void)snprintf(text, sizeof text, FORMAT_HEAD "%u\n%s\n", format, id); /* fits */
    int err = plat_replace(st->dir, "format", SM_SPAN_STR(text), 0600);
    if (!err)
        st->format = format;
    return err;
}

static int open_folders(struct store *st, const char *path, char *ret_why)
{
    st->dir = plat_fs_open_dir(AT_FDCWD, path);
    if (st->dir < 0)
        return st->dir == -ENOENT ? -SM_ENOTFOUND : st->dir;
    int err = read_format(st, ret_why);
    if (err)
        return err;
    int *fds[] = { &st->journal_dir, &st->packs, &st->manifests, &st->tmp, &st->cache, &st->heads };
    for (size_t i = 0; i < FOLDERS; i++) {
        *fds[i] = plat_fs_open_dir(st->dir, folders[i]);
        /* tmp, cache and heads may be missing in a copy; they hold nothing that cannot be made anew. */
        if (*fds[i] == -ENOENT && i >= 3 && !st->read_only) {
            err = make_dir(st->dir, folders[i]);
            *fds[i] = err ? err : plat_fs_open_dir(st->dir, folders[i]);
        }
        if (*fds[i] < 0 && !(st->read_only && i >= 3) && !(st->salvage && i == 0)) {
            why_text(ret_why, "a folder of the vault is missing");
            return *fds[i];
        }
    }
    return 0;
}

/* The newest head that was signed and can be checked.  seq 0: none. */
static void newest_head(struct store *st, struct journal_head *ret)
{
    static const uint8_t none[32];
    *ret = (struct journal_head){ 0 };
    for (unsigned i = 0; i < STORE_HEADS && st->heads >= 0; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%u.head", i); /* fits */
        struct sm_buf b = SM_BUF_INIT(4096);
        struct journal_signed_head h;
        /* One that is torn or damaged proves nothing; verify names it. */
        bool sound = plat_fs_read_file(st->heads, name, JOURNAL_SIGNED_HEAD_BYTES, &b) == 0 &&
            journal_head_get(sm_buf_span(&b), &h) == 0 &&
            memcmp(h.vault, st->vault.b, 16) == 0 && memcmp(st->signer.public_key, none, 32) != 0 &&
            journal_head_verify(&h, st->signer.public_key) == 0;
        sm_buf_wipe(&b);
        if (sound && h.head.seq > ret->seq) {
            *ret = h.head;
            st->next_head = i + 1;
        }
    }
}

static int open_journal(struct store *st, uint64_t file_bytes, char *ret_why)
{
    struct journal_head acked;
    struct journal_fault f = { 0 };
    newest_head(st, &acked);
    struct journal_open_args a = { .dirfd = st->journal_dir, .vault = st->vault.b,
        .flags = st->read_only ? JOURNAL_READ_ONLY : 0,
        .file_bytes = file_bytes, .acked = acked.seq ? &acked : NULL, .fn = store_replay, .arg = st };
    int err = journal_open(&a, &st->journal, &st->recovery.cut, &f);
    if (err && ret_why && f.why[0])
        (void)snprintf(ret_why, STORE_WHY, "journal/%s at byte %llu, record %llu: %.80s", f.file,
            (unsigned long long)f.offset,
            (unsigned long long)f.seq, f.why); /* cut short is fine */
    else if (err && ret_why)
        why_text(ret_why, err == -SM_ECORRUPT ? "the journal holds a record that cannot be what it says" :
            "the journal cannot be read");
    if (err && err != -ENOMEM && st->salvage) {
        st->recovery.salvaged = true;      /* what was read of it so far counts, the rest comes from the folders */
        return 0;
    }
    if (err || st->read_only || !st->recovery.cut.happened)
        return err;
    json_t *o = json_object();
    bool ok = json_set(o, "file", json_text(st->recovery.cut.file)) &&
        json_set(o, "bytes", json_integer((json_int_t)st->recovery.cut.bytes)) &&
        json_set(o, "why", json_text(st->recovery.cut.why));
    if (!ok) {
        json_decref(o);
        return -ENOMEM;
    }
    err = store_record(st, JOURNAL_TAIL, NULL, o, NULL);
    return err ? err : store_sync(st);
}

/* ---- files against records ---- */

struct scan { struct store *st; const char *folder; bool *found; int packs; };

static int set_aside(struct store *st, int dirfd, const char *name)
{
    char to[128];
    (void)snprintf(to, sizeof to, "aside-%.100s", name); /* fits: names are 68 bytes */
    return plat_fs_rename(dirfd, name, st->tmp, to, true);
}

/* A pack without a record: verified and taken in, or set aside in tmp. */
static int adopt(struct scan *s, const char *name, const struct cid *id)
{
    struct store *st = s->st;
    struct pack_check *check = NULL;
    int fd = plat_fs_open_read(s->packs, name);
    if (fd < 0)
        return fd;
    struct pack_expect e = { .id = id, .vault = &st->vault };
    int err = pack_check_new(&e, NULL, NULL, &check);
    int sound = err ? err : pack_check_whole(check, fd);
    const struct pack_header *h = err ? NULL : pack_check_header(check);
    if (!err && sound == 0 && h && store_find_client(st, &h->client) != STORE_NONE) {
        uint64_t bytes = PACK_HEADER_LEN + (uint64_t)h->n * PACK_DIRENT_LEN + h->body_bytes;
        json_t *o = json_object();
        bool ok = json_set(o, "pack", json_hex(id->b, 32)) && json_set(o, "client", json_hex(h->client.b, 16)) &&
            json_set(o, "session", json_hex(h->session.b, 16)) && json_set(o, "kind", json_integer(h->kind)) &&
            json_set(o, "objects", json_integer(h->n)) && json_set(o, "bytes", json_integer((json_int_t)bytes)) &&
            json_set(o, "adopted", json_true());
        err = ok ? plat_fs_sync(fd) : -ENOMEM;
        if (!err)
            err = plat_fs_sync_dir(s->packs);
        if (!err)
            err = plat_fs_sync_dir(st->tmp);   /* where it was renamed from */
        if (!err) {
            err = store_record(st, JOURNAL_PACK, NULL, o, NULL);
            o = NULL;
        }
        json_decref(o);
        st->recovery.packs_adopted += !err;
    } else if (!err && sound != -ENOMEM) {
        err = set_aside(st, s->packs, name);
        st->recovery.packs_set_aside += !err;
    } else if (!err) {
        err = sound;
    }
    pack_check_free(check);
    (void)close(fd); /* opened for reading */
    return err;
}

static int pack_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct scan *s = arg;
    struct cid id;
    const char *text = (const char *)name.p;
    if (name.n != 68 || strcmp(text + 64, ".skp") != 0 || sm_unhex(text, 64, id.b, 32) ||
        strncmp(text, s->folder, 2) != 0)
        return 0;
    uint32_t at = store_find_pack_any(s->st, &id);
    if (at != STORE_NONE && store_pack_row(s->st, at)->gone) {
        /* Its deletion is on record; the process ended before the file was gone. */
        if (!s->st->read_only)
            (void)plat_fs_unlink(s->packs, text); /* only space; tried again at the next open */
        return 0;
    }
    if (at != STORE_NONE)
        s->found[at] = true;
    return at == STORE_NONE && !s->st->read_only ? adopt(s, text, &id) : 0;
}

static int manifest_one(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct scan *s = arg;
    struct cid id;
    const char *text = (const char *)name.p;
    if (name.n != 68 || strcmp(text + 64, ".skm") != 0 || sm_unhex(text, 64, id.b, 32) || s->st->read_only)
        return 0;
    uint32_t at = store_find_generation(s->st, &id);
    if (at != STORE_NONE && store_generation_row(s->st, at)->gone)
        (void)plat_fs_unlink(s->packs, text); /* expired on record; only space */
    if (at != STORE_NONE)
        return 0;
    int err = set_aside(s->st, s->packs, text);
    s->st->recovery.manifests_set_aside += !err;
    return err;
}

static int scan_folder(struct scan *s, int parent, const char *name, plat_fs_dir_fn fn)
{
    s->folder = name;
    s->packs = plat_fs_open_dir(parent, name);
    if (s->packs < 0)
        return s->packs;
    int err = plat_fs_list(s->packs, fn, s);
    (void)close(s->packs); /* what was changed is synced by the records' order: a name lost again is met again */
    return err;
}

/* Packs of the journal that have no file: damage, told once. */
static int note_missing(struct store *st, const bool *found, size_t n)
{
    int err = 0;
    for (size_t i = 0; !err && i < n; i++) {
        struct pack_row *row = store_pack_row(st, i);
        if (row->gone)
            continue;
        if (found[i] || row->lost) {
            st->recovery.packs_missing += !found[i];
            continue;
        }
        st->recovery.packs_missing++;
        row->lost = true;
        char path[80], file[96];
        pack_path(&row->id, path);
        (void)snprintf(file, sizeof file, "packs/%s", path); /* fits */
        if (!st->read_only)
            err = store_damage(st, &(struct store_damage){ .what = "pack-missing", .file = file, .found_by = "open" });
    }
    return err;
}

static int compare_files(struct store *st)
{
    size_t n = st->pack_rows.n;
    struct scan s = { .st = st, .found = calloc(n + 1, sizeof(bool)) };
    if (!s.found)
        return -ENOMEM;
    int err = 0;
    for (unsigned i = 0; !err && i < 256; i++) {
        char name[4];
        (void)snprintf(name, sizeof name, "%02x", i); /* fits */
        err = scan_folder(&s, st->packs, name, pack_one);
        if (err == -ENOENT)
            err = st->read_only ? 0 : make_dir(st->packs, name);   /* a copy may have left empty folders out */
    }
    if (!err)
        err = scan_folder(&s, st->dir, "manifests", manifest_one);
    if (!err && !st->read_only)
        err = store_sync(st);
    if (!err)
        err = note_missing(st, s.found, n);
    free(s.found);
    return err;
}

static int limits_ok(struct store_limits *l)
{
    const struct store_limits d = STORE_LIMITS_DEFAULT;
    l->packs_in_flight = l->packs_in_flight ? l->packs_in_flight : d.packs_in_flight;
    l->sessions = l->sessions ? l->sessions : d.sessions;
    l->refusals_per_hour = l->refusals_per_hour ? l->refusals_per_hour : d.refusals_per_hour;
    l->index_memory_bytes = l->index_memory_bytes ? l->index_memory_bytes : d.index_memory_bytes;
    return l->packs_in_flight > 16 || l->sessions > 16 || l->index_memory_bytes < INDEX_MEMORY_MIN ? -SM_EINVAL : 0;
}

int store_open(const struct store_config *config, struct store **ret, char *ret_why)
{
    struct store *st = calloc(1, sizeof *st);
    if (!st)
        return -ENOMEM;
    *st = (struct store){ .dir = -1, .journal_dir = -1, .packs = -1, .manifests = -1, .tmp = -1, .cache = -1,
        .heads = -1, .lock = -1,
        .read_only = (config->flags & STORE_READ_ONLY) != 0,
        .salvage = (config->flags & (STORE_READ_ONLY | STORE_SALVAGE)) == (STORE_READ_ONLY | STORE_SALVAGE),
            .limits = config->limits, .signer = config->signer,
        .policy = RETENTION_DEFAULT, .running_start_ns = plat_clock_running_ns() };
    why_text(ret_why, "");
    int err = limits_ok(&st->limits);
    if (!err)
        err = open_folders(st, config->dir, ret_why);
    if (!err && !st->read_only) {
        st->lock = plat_fs_lock(st->dir, "lock");
        err = st->lock < 0 ? st->lock : 0;
        if (err == -SM_EAGAIN)
            why_text(ret_why, "another process has this vault open");
    }
    if (!err)
        err = open_journal(st, config->journal_file_bytes, ret_why);
    if (!err)
        err = st->recovery.salvaged ? store_salvage(st) : compare_files(st);
    if (!err)
        err = place_open(st);
    if (!err && !st->read_only)
        err = sessions_load(st);
    if (err) {
        if (ret_why && !ret_why[0])
            (void)snprintf(ret_why, STORE_WHY, "%s", sm_strerror(err)); /* fits */
        st->broken = true;                 /* nothing is saved */
        store_close(st);
        return err;
    }
    *ret = st;
    return 0;
}

void store_close(struct store *st)
{
    if (!st)
        return;
    while (st->sessions)
        session_drop(st->session[st->sessions - 1], true);
    /* Ended but never flushed, so never acknowledged: its bytes stay in tmp and can be taken up again. */
    for (size_t i = 0; i < st->pendings; i++)
        flight_free(st->pending[i].f);
    crypto_many_free(st->many);
    place_close(st);
    store_queue_drop(st);
    free(st->queue.p);
    journal_close(st->journal);
    int fds[] = { st->journal_dir, st->packs, st->manifests, st->tmp, st->cache, st->heads, st->dir, st->lock };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* folders, and the lock */
    free(st->pack_rows.p);
    free(st->client_rows.p);
    free(st->source_rows.p);
    free(st->generation_rows.p);
    free(st->damaged_rows.p);
    deletion_wipe(st);
    json_decref(st->takeover);
    idmap_wipe(&st->pack_map);
    idmap_wipe(&st->generation_map);
    idmap_wipe(&st->damaged_map);
    free(st);
}

bool store_is_broken(const struct store *st)
{
    return st->broken;
}

const struct vault_id *store_vault(const struct store *st)
{
    return &st->vault;
}

int store_dirfd(const struct store *st)
{
    return st->dir;
}

const struct store_recovery *store_recovered(const struct store *st)
{
    return &st->recovery;
}
