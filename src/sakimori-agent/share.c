#include "sakimori-agent/share.h"

#include <errno.h>
#include <string.h>

#include "plat/clock.h"
#include "sakimori-agent/agent.h"

#define TURN_MS 250
#define ASK_MS 150000              /* one question: the other side tries again for a while before it gives up */
#define LIST_MS ((uint64_t)900000) /* a folder's first page comes when the server has listed all of it */
#define FILE_MODE 0600u
#define FOLDER_MODE 0700u

static void on_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct share *s = arg;
    (void)text;
    s->answered = true;
    s->answer_err = err;
    sm_buf_clear(&s->answer);
    if (!err && m->flags & SM_IPC_MORE)
        s->answer_err = -SM_EPROTO;
    else if (!err)
        s->answer_err = sm_buf_put_span(&s->answer, m->body);
}

/* What the other side may say of one name; anything else is one that cannot be read. */
static int error_of(int err)
{
    static const int known[] = {
        EACCES, EPERM, ENOENT, EIO, EBUSY, ETXTBSY, ENAMETOOLONG, ENOTDIR, EISDIR, ELOOP, ENOMEM};
    if (err == -ECONNRESET || err == -SM_EPEER)
        return -SM_EPEER;
    if (err == -SM_EPROTO)
        return err;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (err == -known[i])
            return err == -ENOMEM ? -EIO : err; /* its memory, not ours */
    return -EIO;
}

static int wait_answer(struct share *s, uint64_t within_ms)
{
    uint64_t now = plat_clock_mono_ms(), until = now + within_ms;
    while (!s->answered) {
        now = plat_clock_mono_ms();
        if (s->stopped(s->arg))
            return -SM_ECANCEL;
        if (now > until || now > s->until_ms)
            return -SM_ETIME;
        int r = sm_ipc_await(s->ipc, TURN_MS);
        if (r && r != -SM_ETIME && !s->answered)
            return r == -SM_EPEER ? r : -SM_EPROTO;
    }
    return s->answer_err ? error_of(s->answer_err) : 0;
}

/* Ask; the answer is in s->answer.  An error of the house is the last of this share. */
static int ask(struct share *s, uint16_t type, struct sm_span body, uint64_t within_ms)
{
    if (s->over)
        return s->over;
    s->answered = false;
    s->answer_err = 0;
    int r = sm_ipc_ask(s->ipc, type, body, -1, on_answer, s);
    r = r ? -SM_EPEER : wait_answer(s, within_ms);
    if (scan_remote_over(r))
        s->over = r;
    return r;
}

static int broken(struct share *s)
{
    return s->over = -SM_EPROTO;
}

static void meta_of(const struct share *s, const struct share_facts *f, struct plat_meta *ret)
{
    static const uint8_t volume[16] = "smb";
    bool folder = f->type == SHARE_FOLDER;
    *ret = (struct plat_meta){.type = folder ? PLAT_DIR : PLAT_FILE,
        .mode = folder ? FOLDER_MODE : FILE_MODE,
        .uid = s->uid,
        .gid = s->gid,
        .size = folder ? 0 : f->size,
        .blocks_bytes = folder ? 0 : f->size,
        .mtime = f->written,
        .ctime = f->changed,
        .atime = f->written,
        .btime = f->created,
        .has_btime = f->created.s > 0,
        .nlink = 1,
        .dos_attributes = f->attributes};
    memcpy(ret->id.volume, volume, sizeof volume);
    memcpy(ret->id.id, &f->number, sizeof f->number);
}

static int facts(struct share *s, uint16_t type, struct sm_span body, uint8_t wanted, struct plat_meta *ret)
{
    struct share_facts f;
    int r = ask(s, type, body, ASK_MS);
    if (r)
        return r;
    if (share_facts_get(sm_buf_span(&s->answer), &f))
        return broken(s);
    if (f.type != wanted)
        return -EISDIR; /* something else by now */
    meta_of(s, &f, ret);
    return 0;
}

static int look(void *arg, struct plat_meta *ret)
{
    return facts(arg, W_LOOK, SM_SPAN(NULL, 0), SHARE_FOLDER, ret);
}

struct listing {
    int (*each)(void *to, struct sm_span name, const struct plat_meta *m);
    void *to;
    uint64_t n;
    bool unfit;
};

static int take_page(struct share *s, struct listing *l, bool *ret_more)
{
    struct share_page page;
    struct share_facts f;
    struct sm_span name;
    struct plat_meta m;
    if (share_page_get(sm_buf_span(&s->answer), &page))
        return broken(s);
    int r;
    while ((r = share_row_next(&page, &name, &f)) == 1) {
        if (++l->n > s->folder_max)
            return -EOVERFLOW;
        if (++s->entries > s->entries_max)
            return s->over = -SM_ELIMIT;
        meta_of(s, &f, &m);
        r = l->each(l->to, name, &m);
        if (r)
            return r;
    }
    if (r)
        return broken(s);
    l->unfit |= page.unfit;
    *ret_more = page.more;
    return 0;
}

static int list(
    void *arg, const char *path, int (*each)(void *to, struct sm_span name, const struct plat_meta *m), void *to)
{
    struct share *s = arg;
    struct listing l = {.each = each, .to = to};
    bool more = false;
    int r = ask(s, W_LIST, SM_SPAN_STR(path), LIST_MS);
    if (!r)
        r = take_page(s, &l, &more);
    while (!r && more) {
        r = ask(s, W_MORE, SM_SPAN(NULL, 0), ASK_MS);
        if (!r)
            r = take_page(s, &l, &more);
    }
    return r ? r : l.unfit ? -EILSEQ : 0;
}

static int open_file(void *arg, const char *path, struct plat_meta *ret)
{
    return facts(arg, W_OPEN, SM_SPAN_STR(path), SHARE_FILE, ret);
}

static ssize_t read_file(void *arg, void *to, size_t n)
{
    struct share *s = arg;
    uint32_t want = (uint32_t)(n < SHARE_READ_MAX ? n : SHARE_READ_MAX);
    const uint8_t le[4] = {(uint8_t)want, (uint8_t)(want >> 8), (uint8_t)(want >> 16), (uint8_t)(want >> 24)};
    if (want == 0)
        return 0;
    int r = ask(s, W_READ, SM_SPAN(le, sizeof le), ASK_MS);
    if (r)
        return r;
    if (s->answer.n > want)
        return broken(s);
    if (s->answer.n) /* an empty answer has no bytes to copy from */
        memcpy(to, s->answer.p, s->answer.n);
    s->bytes_read += s->answer.n;
    return (ssize_t)s->answer.n;
}

static int again(void *arg, struct plat_meta *ret)
{
    return facts(arg, W_AGAIN, SM_SPAN(NULL, 0), SHARE_FILE, ret);
}

static void shut(void *arg)
{
    (void)!ask(arg, W_SHUT, SM_SPAN(NULL, 0), ASK_MS); /* the next open closes it too */
}

void share_begin(struct share *s)
{
    s->answer = SM_BUF_INIT(SM_IPC_BODY_MAX);
    s->entries = s->bytes_read = 0;
    s->entries_max = SHARE_ENTRIES_MAX;
    s->folder_max = SHARE_FOLDER_MAX;
    s->over = 0;
    s->remote = (struct scan_remote){
        .look = look, .list = list, .open = open_file, .read = read_file, .again = again, .close = shut, .arg = s};
}

void share_end(struct share *s)
{
    sm_buf_wipe(&s->answer);
}
