/* The journal of a roll-back. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/clock.h"
#include "plat/fs.h"

void step_wipe(struct step *s)
{
    sm_buf_wipe(&s->path);
    sm_buf_wipe(&s->to);
    sm_buf_wipe(&s->meta);
}

void back_wipe(struct back *b)
{
    for (size_t i = 0; i < b->paths; i++)
        sm_buf_wipe(&b->path[i]);
    for (size_t i = 0; i < b->steps; i++)
        step_wipe(&b->step[i]);
    free(b->path);
    free(b->step);
    free(b->result);
    sm_buf_wipe(&b->temp);
    const int fds[] = {b->dir, b->kdir, b->fd};
    for (size_t i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    *b = (struct back){.dir = -1, .kdir = -1, .fd = -1};
}

/* ---- reading ---- */

static int own(struct sm_buf *b, struct sm_span s)
{
    b->max = FRAME_MAX;
    return s.n ? sm_buf_put_span(b, s) : 0;
}

static int more(void **p, size_t *cap, size_t n, size_t one)
{
    if (n < *cap)
        return 0;
    size_t want = *cap ? *cap * 2 : 64;
    void *q = want > STEPS_MAX ? NULL : reallocarray(*p, want, one);
    if (!q)
        return -ENOMEM;
    *p = q;
    *cap = want;
    return 0;
}

static int take_begin(struct back *b, struct sm_rd *r)
{
    b->number = sm_rd_varint(r);
    b->tree = sm_rd_varint(r);
    b->at = b->last = get_zigzag(r);
    b->upto = sm_rd_varint(r);
    uint64_t n = sm_rd_varint(r);
    if (r->err || n > PATHS_MAX || b->path)
        return -SM_EFORMAT;
    b->path = calloc(n + 1, sizeof *b->path);
    for (uint64_t i = 0; b->path && i < n; i++) {
        struct sm_span s = sm_rd_blob(r, GIVEBACK_PATH_MAX);
        if (r->err || !path_ok(s))
            return -SM_EFORMAT;
        int err = own(&b->path[b->paths++], s);
        if (err < 0)
            return err;
    }
    return b->path ? 0 : -ENOMEM;
}

static int take_step(struct back *b, struct sm_rd *r)
{
    struct step s = {.no = sm_rd_varint(r), .record = sm_rd_varint(r)};
    s.act = sm_rd_u8(r);
    struct sm_span path = sm_rd_blob(r, GIVEBACK_PATH_MAX), to = sm_rd_blob(r, GIVEBACK_PATH_MAX);
    get_object(r, &s.object);
    s.saved = sm_rd_u8(r);
    struct sm_span meta = sm_rd_blob(r, META_MAX);
    if (r->err || s.act < ACT_PUT || s.act > ACT_NAME || s.saved > 2 || s.no != b->steps || !path_ok(path) ||
        (s.act == ACT_NAME && !path_ok(to)))
        return -SM_EFORMAT;
    int err = own(&s.path, path);
    if (err == 0)
        err = own(&s.to, to);
    if (err == 0)
        err = own(&s.meta, meta);
    if (err == 0)
        err = more((void **)&b->step, &b->steps_cap, b->steps, sizeof s);
    if (err < 0)
        step_wipe(&s);
    else
        b->step[b->steps++] = s;
    return err;
}

static int take_done(struct back *b, struct sm_rd *r)
{
    uint64_t no = sm_rd_varint(r);
    uint64_t size = sm_rd_varint(r);
    struct sm_time t = {.s = get_zigzag(r)};
    t.ns = (uint32_t)sm_rd_varint(r);
    uint64_t ino = sm_rd_varint(r);
    if (r->err || no >= b->steps)
        return -SM_EFORMAT;
    struct step *s = &b->step[no];
    s->done = true;
    s->after_size = size;
    s->after_time = t;
    s->after_ino = ino;
    return 0;
}

static int take_result(struct back *b, struct sm_rd *r)
{
    struct result res = {.record = sm_rd_varint(r)};
    res.what = sm_rd_u8(r);
    res.err = -(int)(sm_rd_varint(r) & 0xfffff);
    if (r->err || res.what < RES_GIVEN || res.what > RES_ASIDE)
        return -SM_EFORMAT;
    int err = more((void **)&b->result, &b->results_cap, b->results, sizeof res);
    if (err == 0)
        b->result[b->results++] = res;
    return err;
}

static int take(void *ctx, uint64_t off, struct sm_span payload)
{
    struct back *b = ctx;
    struct sm_rd r = SM_RD(SM_SPAN(payload.p + 1, payload.n - 1));
    uint64_t no;
    (void)off;
    switch (payload.p[0]) {
    case J_BEGIN:
        return take_begin(b, &r);
    case J_TEMP:
        b->temp_no = sm_rd_varint(&r);
        sm_buf_clear(&b->temp);
        return own(&b->temp, sm_rd_blob(&r, GIVEBACK_PATH_MAX));
    case J_STEP:
        return take_step(b, &r);
    case J_DONE:
        return take_done(b, &r);
    case J_RESULT:
        return take_result(b, &r);
    case J_END:
    case J_UNDO:
    case J_UNDO_END:
        b->last = get_zigzag(&r);
        b->ended = b->ended || payload.p[0] == J_END;
        b->undoing = b->undoing || payload.p[0] == J_UNDO;
        b->undone = b->undone || payload.p[0] == J_UNDO_END;
        return r.err;
    case J_UNDONE:
        no = sm_rd_varint(&r);
        if (r.err || no >= b->steps)
            return -SM_EFORMAT;
        b->step[no].undone = true;
        return 0;
    case J_UNDOING:
        no = sm_rd_varint(&r);
        if (r.err || no >= b->steps)
            return -SM_EFORMAT;
        b->step[no].undoing = true;
        return 0;
    default:
        return 0;
    }
}

static int open_files(int folder, uint64_t number, bool write, struct back *b)
{
    char name[24] = "b/";
    id_name(number, name + 2);
    b->dir = plat_fs_open_beneath(folder, name, O_RDONLY | O_DIRECTORY, 0);
    if (b->dir < 0)
        return b->dir == -ENOENT ? -SM_ENOTFOUND : b->dir;
    b->kdir = plat_fs_open_dir(b->dir, "k");
    if (b->kdir < 0)
        return b->kdir == -ENOENT ? -SM_ENOTFOUND : b->kdir;
    b->fd = write ? plat_fs_create(b->dir, "journal", PLAT_FS_RW | PLAT_FS_EXISTING, 0600)
                  : plat_fs_open_read(b->dir, "journal");
    return b->fd < 0 ? b->fd == -ENOENT ? -SM_ENOTFOUND : b->fd : 0;
}

int back_load(int folder, uint64_t number, bool write, struct back *ret)
{
    struct back b = {.dir = -1, .kdir = -1, .fd = -1};
    unsigned damaged;
    int r = open_files(folder, number, write, &b);
    if (r == 0)
        r = frame_read(b.fd, JOURNAL_MAGIC, take, &b, &b.end, &damaged);
    if (r == 0 && (!b.path || b.number != number))
        r = -SM_ENOTFOUND; /* killed before it began */
    if (r < 0) {
        back_wipe(&b);
        return r;
    }
    *ret = b;
    return 0;
}

/* ---- writing ---- */

int back_entry(struct back *b, struct sm_span payload, bool sync)
{
    struct sm_buf f = SM_BUF_INIT(FRAME_MAX + FRAME_HEAD);
    int r = frame_put(&f, b->end, payload);
    if (r == 0)
        r = plat_fs_pwrite_all(b->fd, sm_buf_span(&f), b->end);
    if (r == 0 && sync)
        r = plat_fs_datasync(b->fd);
    if (r == 0)
        b->end += f.n;
    sm_buf_wipe(&f);
    return r;
}

static int put_begin(struct back *b, const struct sm_span *paths, size_t n)
{
    struct sm_buf p = SM_BUF_INIT(FRAME_MAX);
    int r = sm_buf_put_u8(&p, J_BEGIN);
    if (r == 0)
        r = sm_buf_put_varint(&p, b->number);
    if (r == 0)
        r = sm_buf_put_varint(&p, b->tree);
    if (r == 0)
        r = put_zigzag(&p, b->at);
    if (r == 0)
        r = sm_buf_put_varint(&p, b->upto);
    if (r == 0)
        r = sm_buf_put_varint(&p, n);
    for (size_t i = 0; i < n && r == 0; i++)
        r = sm_buf_put_blob(&p, paths[i]);
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), true);
    if (r == 0) {
        struct sm_rd rd = SM_RD(SM_SPAN(p.p + 1, p.n - 1));
        r = take_begin(b, &rd);
    }
    sm_buf_wipe(&p);
    return r;
}

static int next_number(int folder, uint64_t *ret)
{
    uint64_t *v;
    size_t n;
    int r = backs_numbers(folder, &v, &n);
    if (r < 0)
        return r;
    *ret = n ? v[n - 1] + 1 : 1;
    free(v);
    return 0;
}

static int make_files(int bdir, struct back *b)
{
    char name[17];
    struct sm_buf head = SM_BUF_INIT(64);
    id_name(b->number, name);
    b->dir = folder_below(bdir, name);
    if (b->dir < 0)
        return b->dir;
    b->kdir = folder_below(b->dir, "k");
    if (b->kdir < 0)
        return b->kdir;
    int r = frame_begin(&head, JOURNAL_MAGIC);
    if (r == 0)
        r = plat_replace(b->dir, "journal", sm_buf_span(&head), 0600);
    sm_buf_wipe(&head);
    if (r < 0)
        return r;
    b->end = FRAME_HEAD;
    b->fd = plat_fs_create(b->dir, "journal", PLAT_FS_RW | PLAT_FS_EXISTING, 0600);
    return b->fd < 0 ? b->fd : 0;
}

int back_new(int folder, uint64_t tree, uint64_t upto, const struct sm_span *paths, size_t n, struct back *ret)
{
    struct back b = {.tree = tree, .upto = upto, .at = plat_clock_wall().s, .dir = -1, .kdir = -1, .fd = -1};
    int bdir = folder_below(folder, "b");
    if (bdir < 0)
        return bdir;
    int r = next_number(folder, &b.number);
    if (r == 0)
        r = make_files(bdir, &b);
    close(bdir);
    if (r == 0)
        r = put_begin(&b, paths, n);
    if (r < 0)
        back_wipe(&b);
    else
        *ret = b;
    return r;
}

int back_step(struct back *b, struct step *s, struct step **ret)
{
    struct sm_buf p = SM_BUF_INIT(FRAME_MAX);
    s->no = b->steps;
    int r = more((void **)&b->step, &b->steps_cap, b->steps, sizeof *s);
    if (r == 0)
        r = sm_buf_put_u8(&p, J_STEP);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->no);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->record);
    if (r == 0)
        r = sm_buf_put_u8(&p, s->act);
    if (r == 0)
        r = sm_buf_put_blob(&p, sm_buf_span(&s->path));
    if (r == 0)
        r = sm_buf_put_blob(&p, sm_buf_span(&s->to));
    if (r == 0)
        r = put_object(&p, &s->object);
    if (r == 0)
        r = sm_buf_put_u8(&p, s->saved);
    if (r == 0)
        r = sm_buf_put_blob(&p, sm_buf_span(&s->meta));
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), true);
    sm_buf_wipe(&p);
    if (r < 0) {
        step_wipe(s);
        return r;
    }
    b->step[b->steps] = *s;
    *ret = &b->step[b->steps++];
    return 0;
}

int back_done(struct back *b, struct step *s, int dir, const char *name)
{
    struct stat st = {0};
    struct sm_buf p = SM_BUF_INIT(128);
    if (dir >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    s->after_size = (uint64_t)st.st_size;
    s->after_time = (struct sm_time){st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec};
    s->after_ino = st.st_ino;
    int r = sm_buf_put_u8(&p, J_DONE);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->no);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->after_size);
    if (r == 0)
        r = put_zigzag(&p, s->after_time.s);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->after_time.ns);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->after_ino);
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), false); /* lost, the step is done again */
    sm_buf_wipe(&p);
    if (r == 0)
        s->done = true;
    return r;
}

static int put_result(struct back *b, uint8_t type, uint64_t number, uint8_t what, int err)
{
    struct sm_buf p = SM_BUF_INIT(64);
    int r = sm_buf_put_u8(&p, type);
    if (r == 0)
        r = sm_buf_put_varint(&p, number);
    if (r == 0)
        r = sm_buf_put_u8(&p, what);
    if (r == 0)
        r = sm_buf_put_varint(&p, (uint64_t)(err < 0 ? -err : err));
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), false);
    sm_buf_wipe(&p);
    return r;
}

int back_result(struct back *b, uint64_t record, uint8_t what, int err)
{
    int r = more((void **)&b->result, &b->results_cap, b->results, sizeof *b->result);
    if (r == 0)
        r = put_result(b, J_RESULT, record, what, err);
    if (r == 0)
        b->result[b->results++] = (struct result){record, what, err};
    return r;
}

int back_undone(struct back *b, struct step *s, uint8_t what, int err)
{
    int r = put_result(b, J_UNDONE, s->no, what, err);
    if (r == 0)
        s->undone = true;
    return r;
}

int back_undoing(struct back *b, struct step *s)
{
    struct sm_buf p = SM_BUF_INIT(32);
    int r = sm_buf_put_u8(&p, J_UNDOING);
    if (r == 0)
        r = sm_buf_put_varint(&p, s->no);
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), s->act == ACT_PUT);
    sm_buf_wipe(&p);
    return r;
}

int back_word(struct back *b, uint8_t type, bool sync)
{
    struct sm_buf p = SM_BUF_INIT(32);
    int r = sm_buf_put_u8(&p, type);
    if (r == 0)
        r = put_zigzag(&p, plat_clock_wall().s);
    if (r == 0)
        r = back_entry(b, sm_buf_span(&p), sync);
    sm_buf_wipe(&p);
    return r;
}

/* ---- all of them ---- */

struct numbers { uint64_t *v; size_t n, cap; };

static int one_number(void *arg, struct sm_span name, unsigned char type)
{
    struct numbers *s = arg;
    uint64_t id;
    (void)type;
    if (id_of_name(name, &id) < 0)
        return 0;
    int r = more((void **)&s->v, &s->cap, s->n, sizeof *s->v);
    if (r < 0)
        return r;
    size_t at = s->n++;
    for (; at > 0 && s->v[at - 1] > id; at--)
        s->v[at] = s->v[at - 1];
    s->v[at] = id;
    return 0;
}

int backs_numbers(int folder, uint64_t **ret, size_t *ret_n)
{
    struct numbers s = {0};
    int fd = plat_fs_open_dir(folder, "b");
    int r = fd < 0 ? fd == -ENOENT ? 0 : fd : plat_fs_list(fd, one_number, &s);
    if (fd >= 0)
        close(fd);
    if (r < 0) {
        free(s.v);
        return r;
    }
    *ret = s.v;
    *ret_n = s.n;
    return 0;
}

void backs_forget(int folder, int64_t now)
{
    uint64_t *v;
    size_t n;
    if (backs_numbers(folder, &v, &n) < 0)
        return;
    for (size_t i = 0; i + 1 < n; i++) { /* the newest stays: numbers are not used twice */
        struct back b;
        char name[24] = "b/";
        if (back_load(folder, v[i], false, &b) < 0)
            continue;
        bool old = (b.ended || b.undone) && (!b.undoing || b.undone) && now - b.last > GIVEBACK_BACK_AGE_S;
        back_wipe(&b);
        id_name(v[i], name + 2);
        if (old)
            (void)plat_fs_remove_tree(folder, name); /* again the next time */
    }
    free(v);
}

int backs_running(int folder, uint64_t tree, uint64_t *ret)
{
    uint64_t *v;
    size_t n;
    int r = backs_numbers(folder, &v, &n);
    if (r < 0)
        return r;
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        struct back b;
        if (back_load(folder, v[i], false, &b) < 0)
            continue;
        if (b.tree == tree && !b.ended && !b.undoing)
            *ret = v[i];
        back_wipe(&b);
    }
    free(v);
    return 0;
}
