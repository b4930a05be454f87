#include "sakimori-agent/fetch.h"

#include "plat/clock.h"

#define ANSWER_MAX ((size_t)96 << 20)
#define KEEP_MAX ((size_t)8 << 20) /* of an answer's memory, for the next one */
#define SILENCE_MS 330000u         /* a little more than link's own bound */
#define PUMP_MS 2                  /* then another's turn: it may have something to ask */
#define FIRST_ROOM ((size_t)4 << 20) /* of an answer: what grows is copied and wiped each time */

void fetch_init(struct fetch *f)
{
    *f = (struct fetch){.next = 0};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->turn, NULL);
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        f->way[i].answer.max = ANSWER_MAX;
        pthread_cond_init(&f->way[i].come, NULL);
    }
}

void fetch_wipe(struct fetch *f)
{
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        sm_buf_wipe(&f->way[i].answer);
        pthread_cond_destroy(&f->way[i].come);
    }
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->turn);
}

void fetch_take_turn(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    uint64_t mine = f->next++;
    while (f->serving != mine)
        pthread_cond_wait(&f->turn, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

void fetch_give_turn(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    f->serving++;
    pthread_cond_broadcast(&f->turn);
    pthread_mutex_unlock(&f->lock);
}

static void on_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct fetch_way *w = arg;
    (void)text;
    w->heard_ms = plat_clock_mono_ms();
    if (err < 0) {
        w->err = err;
        w->done = true;
        return;
    }
    if (!w->err)
        w->err = sm_buf_put_span(&w->answer, m->body);
    w->done = !(m->flags & SM_IPC_MORE);
}

/* The channel is of no use any more: whatever is under way in it ends with -SM_EPEER. */
static void drop(struct sm_ipc **link)
{
    sm_ipc_free(*link);
    *link = NULL;
}

static int ask(struct sm_ipc *link, const char *path, struct sm_span body, struct fetch_way *w)
{
    struct sm_buf text = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = link ? sm_buf_put_u8(&text, CARRY_STREAM) : -SM_EPEER;
    if (!r)
        r = sm_buf_put_u16(&text, (uint16_t)strlen(path));
    if (!r)
        r = sm_buf_put_span(&text, SM_SPAN_STR(path));
    if (!r)
        r = sm_buf_put_span(&text, body);
    if (!r)
        r = sm_ipc_ask(link, L_CALL, sm_buf_span(&text), -1, on_answer, w);
    sm_buf_wipe(&text);
    return r;
}

/* In turn.  Frames of all that is under way come in here, whoever waits. */
static void pump(struct fetch *f, struct sm_ipc **link)
{
    int r = *link ? sm_ipc_await(*link, PUMP_MS) : -SM_EPEER;
    uint64_t now = plat_clock_mono_ms();
    bool silent = false;
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        const struct fetch_way *w = &f->way[i];
        silent |= w->used && !w->done && now > w->heard_ms + SILENCE_MS;
    }
    if ((r && r != -SM_ETIME) || silent)
        drop(link);
    for (size_t i = 0; !*link && i < FETCH_WAYS; i++) {
        struct fetch_way *w = &f->way[i];
        if (w->used && !w->done) {
            w->err = -SM_EPEER;
            w->done = true;
        }
    }
}

/* Does somebody wait for a turn?  In turn. */
static bool is_wanted(struct fetch *f)
{
    pthread_mutex_lock(&f->lock);
    bool wanted = f->next != f->serving + 1;
    pthread_mutex_unlock(&f->lock);
    return wanted;
}

/* In turn.  Wake whoever has its answer, and when nobody takes in any more, one that does. */
static void tell(struct fetch *f, bool pumped)
{
    pthread_mutex_lock(&f->lock);
    bool heir = !pumped;
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        struct fetch_way *w = &f->way[i];
        if (w->used && (w->done || heir))
            pthread_cond_signal(&w->come);
        heir &= !w->used || w->done;
    }
    f->pumped = pumped;
    pthread_mutex_unlock(&f->lock);
}

/* Not in turn.  false: w is not done, and the caller takes in from here on. */
static bool is_done(struct fetch *f, struct fetch_way *w)
{
    pthread_mutex_lock(&f->lock);
    while (f->pumped && !w->done)
        pthread_cond_wait(&w->come, &f->lock);
    bool done = w->done;
    f->pumped |= !done;
    pthread_mutex_unlock(&f->lock);
    return done;
}

/* For all, until w is done. */
static void take_in(struct fetch *f, struct sm_ipc **link, struct fetch_way *w)
{
    bool done = false;
    while (!done) {
        fetch_take_turn(f);
        do {
            pump(f, link);
            done = w->done;
            tell(f, !done);
        } while (!done && !is_wanted(f));
        fetch_give_turn(f);
    }
}

static struct fetch_way *free_way(struct fetch *f)
{
    for (size_t i = 0; i < FETCH_WAYS; i++) {
        struct fetch_way *w = &f->way[i];
        if (w->used)
            continue;
        sm_buf_clear(&w->answer);
        (void)!sm_buf_reserve(&w->answer, FIRST_ROOM); /* else it grows */
        w->used = true;
        w->done = false;
        w->err = 0;
        w->heard_ms = plat_clock_mono_ms();
        return w;
    }
    return NULL;
}

/* u16 status, pieces, u16 status again when it was 200. */
static int read_answer(const struct fetch_way *w, int *ret_status, struct sm_span *ret)
{
    struct sm_rd rd = SM_RD(sm_buf_span(&w->answer));
    int status = sm_rd_u16(&rd);
    if (w->err || rd.err)
        return w->err ? w->err : -SM_EPROTO;
    if (status == 200 && rd.n >= 2) {
        status = rd.p[rd.n - 2] | rd.p[rd.n - 1] << 8;
        rd.n -= 2;
    }
    *ret_status = status;
    *ret = SM_SPAN(rd.p, rd.n);
    return 0;
}

int fetch_objects(struct fetch *f, struct sm_ipc **link, const char *path, struct sm_span body, void (*hear)(void *arg),
    void *arg, int *ret_status, struct sm_span *ret, struct fetch_way **ret_way)
{
    fetch_take_turn(f);
    hear(arg);
    struct fetch_way *w = free_way(f);
    int r = w ? ask(*link, path, body, w) : -SM_EAGAIN;
    if (w && r)
        w->done = true; /* nothing will come: no other may count on whose way it is */
    fetch_give_turn(f);
    if (!r && !is_done(f, w))
        take_in(f, link, w);
    if (!r)
        r = read_answer(w, ret_status, ret);
    if (!r)
        *ret_way = w;
    else if (w)
        fetch_done(f, w);
    return r;
}

void fetch_done(struct fetch *f, struct fetch_way *w)
{
    fetch_take_turn(f);
    if (w->answer.cap > KEEP_MAX) {
        sm_buf_wipe(&w->answer);
        w->answer.max = ANSWER_MAX;
    }
    w->used = false;
    fetch_give_turn(f);
}
