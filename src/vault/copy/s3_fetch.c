/* A vault's folder out of the bucket alone: what the newest root names, each by its version and held against its name. */
#include <errno.h>
#include "plat/fs.h"
#include "vault/copy/s3_internal.h"

#define PIECE ((size_t)1 << 20)

struct fetch {
    struct s3 *t;
    void *to;                     /* a folder target: copy_folder */
    struct s3_fetch_progress p;
    int (*progress)(void *, const struct s3_fetch_progress *);
    void (*damage)(void *, const char *name, const char *why);
    void *arg;
};

static void tell(struct fetch *f, const struct s3_name *name, const char *why)
{
    char key[S3_KEY_MAX];
    s3_name_key(name, key);
    if (f->damage)
        f->damage(f->arg, key, why);
}

static int told(struct fetch *f)
{
    return f->progress && f->progress(f->arg, &f->p) ? -SM_ECANCEL : 0;
}

/* An empty folder, or one of this vault. */
static int fetch_format(struct fetch *f)
{
    char want[80], have[80];
    size_t n = 0, got = 0;
    int r = s3_read(f->t, "format", 0, want, sizeof want, &n);
    if (r)
        return r == -SM_ENOTFOUND ? -SM_ECORRUPT : r;
    r = copy_folder.read(f->to, "format", 0, have, sizeof have, &got);
    if (r == -SM_ENOTFOUND)
        return copy_folder.replace(f->to, "format", SM_SPAN(want, n));
    /* The digit may be another one; the vault must not. */
    if (!r && (got != n || memcmp(have + 16, want + 16, n - 16) != 0))
        return -SM_EMISMATCH;
    return r ? r : copy_folder.replace(f->to, "format", SM_SPAN(want, n));
}

static int fetch_one(struct fetch *f, const struct s3_entry *e)
{
    char key[S3_KEY_MAX];
    uint64_t size = 0;
    s3_name_key(&e->name, key);
    const char *name = key + sizeof "vault/" - 1;
    /* What has its name in the folder got it only after it fitted. */
    if (copy_folder.size(f->to, name, &size) == 0 && size == e->size) {
        f->p.had++;
        return 0;
    }
    sm_buf_clear(&f->t->body);
    int r = s3_get(f->t, e, 0, 0, &f->t->body);
    if (r == -SM_ENOTFOUND && strcmp(f->t->http.reason, "bucket") != 0) {
        tell(f, &e->name, "this version is not there any more");
        return 0;
    }
    if (!r && !s3_body_fits(f->t, e, sm_buf_span(&f->t->body))) {
        tell(f, &e->name, "its bytes do not match its name");
        return 0;
    }
    if (!r)
        r = copy_folder.begin(f->to, name);
    if (!r)
        r = copy_folder.put(f->to, sm_buf_span(&f->t->body));
    return r ? r : copy_folder.end(f->to);
}

static int fetch_objects(struct fetch *f)
{
    int r = 0;
    for (size_t i = 0; !r && i < f->t->list.n; i++) {
        const struct s3_entry *e = &f->t->list.v[i];
        if (e->name.kind == S3_PACK || e->name.kind == S3_MANIFEST)
            r = fetch_one(f, e);
        f->p.objects++;
        f->p.bytes += e->size;
        if (!r)
            r = told(f);
    }
    sm_buf_clear(&f->t->body);
    return r;
}

/* A file from its first byte: what an earlier try left behind is overwritten by the same bytes. */
static int fetch_journal(struct fetch *f)
{
    uint8_t *piece = malloc(PIECE);
    char name[COPY_NAME_MAX];
    int r = piece ? 0 : -ENOMEM;
    for (uint32_t file = 1; !r && file <= JOURNAL_FILES_MAX; file++) {
        uint64_t off = 0;
        size_t got = 0;
        chain_file(file, name);
        do {
            r = s3_read(f->t, name, off, piece, PIECE, &got);
            if (!r && got)
                r = copy_folder.append(f->to, name, off, SM_SPAN(piece, got));
            off += got;
        } while (!r && got);
        if (r == -SM_ENOTFOUND) {
            r = file > 1 ? 0 : -SM_ECORRUPT;
            break;
        }
    }
    free(piece);
    return r;
}

static int fetch_all(struct fetch *f, char *ret_why)
{
    struct s3_check check = { .damage = f->damage, .arg = f->arg };
    int r = fetch_format(f);
    if (r == -SM_EMISMATCH)
        (void)snprintf(ret_why, S3_WHY, "the folder holds another vault"); /* fits */
    if (!r)
        r = fetch_objects(f);
    if (!r)
        r = s3_whole_journal(f->t, &check);
    if (!r && check.damaged)
        r = -SM_ECORRUPT;
    if (!r)
        r = fetch_journal(f);
    if (!r && f->t->root.has_head)
        r = copy_folder.replace(f->to, "heads/0.head", SM_SPAN(f->t->root.head, sizeof f->t->root.head));
    return r;
}

int s3_fetch(void *t, const char *dir, int (*progress)(void *, const struct s3_fetch_progress *),
    void (*damage)(void *, const char *name, const char *why), void *arg, char ret_why[S3_WHY])
{
    struct fetch f = { .t = t, .progress = progress, .damage = damage, .arg = arg };
    ret_why[0] = '\0';
    f.p.objects_total = f.t->list.n;
    f.p.bytes_total = f.t->list.bytes;
    int r = plat_fs_mkdir_p(dir, 0700);
    if (!r)
        r = copy_folder.open(dir, &f.to);
    if (!r) {
        r = fetch_all(&f, ret_why);
        copy_folder.abort(f.to);
        copy_folder.close(f.to);
    }
    if (r && !*ret_why)
        (void)snprintf(ret_why, S3_WHY, "%s", *f.t->http.why ? f.t->http.why : sm_strerror(r)); /* same size */
    return r;
}
