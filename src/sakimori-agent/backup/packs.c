/* Packs under way to the box, in memory that is shared with link. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/backup/backupd.h"
#include "sakimori-agent/carrier.h"

#define PACK_ROOM ((size_t)PACK_BYTES_MAX) /* address space; memory is taken as far as packs reach */
#define LIMIT_KIB_MAX 100000000
_Static_assert(PACKS_AHEAD <= BACKUP_WINDOW_MAX, "places of packs");

/* A pack under way. */
struct pack_way {
    int fd;
    uint8_t *map;
    enum { PACK_NONE, PACK_SENT, PACK_ANSWERED } state;
    bool lost, abandoned;
    int err;
    uint64_t bytes, asked_seq;
    struct sm_buf answer;
    char path[L_PATH_MAX];
};

/* The limit of this moment, of the settings as they are now: a change counts in a run that is under way. */
static uint64_t limit_now(struct backupd *b)
{
    const json_t *s = backupd_source(b, b->now.source);
    json_int_t kib = json_integer_value(json_object_get(s, "bandwidth_kib_s"));
    pace_limit(&b->pace, kib > 0 && kib <= LIMIT_KIB_MAX ? (uint64_t)kib * 1024 : 0, plat_clock_mono_ms());
    return b->pace.rate;
}

/* Hold back to the wanted bandwidth. */
static void hold_back(struct backupd *b)
{
    while (limit_now(b) && !atomic_load(&b->cancelled)) {
        uint64_t wait = pace_wait_ms(&b->pace, plat_clock_mono_ms());
        if (!wait)
            return;
        backupd_serve(b, (int)(wait < 250 ? wait : 250));
    }
}

static void pack_free(struct pack_way *p)
{
    if (!p)
        return;
    if (p->map)
        munmap(p->map, PACK_ROOM);
    if (p->fd >= 0)
        close(p->fd); /* memory */
    sm_buf_wipe(&p->answer);
    free(p);
}

/* Shared memory that link may read and not change; used again from pack to pack. */
static int pack_new(struct pack_way **ret)
{
    struct pack_way *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->answer.max = SM_IPC_BODY_MAX;
    p->fd = memfd_create("pack", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (p->fd >= 0 && ftruncate(p->fd, PACK_ROOM) == 0)
        p->map = mmap(NULL, PACK_ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    p->map = p->map == MAP_FAILED ? NULL : p->map;
    if (!p->map || fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
        int e = -errno;
        pack_free(p);
        return e;
    }
    *ret = p;
    return 0;
}

static void on_pack_answer(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct pack_way *p = arg;
    (void)text;
    if (!p->err)
        p->err = err < 0 ? err : sm_buf_put_span(&p->answer, m->body);
    p->lost = err < 0 && !m; /* link went away: the next one sends it again */
    if (m && m->flags & SM_IPC_MORE)
        return;
    p->state = PACK_ANSWERED;
    if (p->abandoned)
        pack_free(p);
}

static int pack_send(struct backupd *b, struct pack_way *p)
{
    for (;;) {
        int r = backupd_wait_link(b);
        p->err = 0;
        p->lost = false;
        sm_buf_clear(&p->answer);
        p->state = PACK_SENT;
        p->asked_seq = b->heads.last.seq;
        if (!r)
            r = carrier_pack_begin(b->link, p->path, p->fd, p->bytes, limit_now(b), on_pack_answer, p);
        if (!r)
            return 0;
        p->state = PACK_NONE;
        if (r == -SM_EPEER)
            backupd_serve(b, 0); /* notices that link itself is gone */
        if (r != -SM_EPEER || atomic_load(&b->cancelled) || b->link)
            return r;
    }
}

void backupd_paced(struct backupd *b, uint64_t bytes)
{
    pace_sent(&b->pace, bytes, plat_clock_mono_ms());
    hold_back(b);
}

int backupd_put_pack(
    void *arg, unsigned place, const struct cid *id, const struct pack_builder *pack, uint64_t bytes)
{
    struct backupd *b = arg;
    char hex[CID_HEX];
    int r = bytes > PACK_ROOM ? -SM_ELIMIT : b->pack[place] ? 0 : pack_new(&b->pack[place]);
    if (r)
        return r;
    struct pack_way *p = b->pack[place];
    if (pack_copy(pack, 0, p->map, PACK_ROOM) != bytes)
        return -SM_ESTATE;
    cid_hex(id, hex);
    snprintf(p->path, sizeof p->path, "/agent/v1/sessions/%s/packs/%s", b->session, hex);
    p->bytes = bytes;
    r = pack_send(b, p);
    if (!r)
        backupd_paced(b, bytes);
    return r;
}

/* The answer to a pack is there.  0: the box holds it; -SM_EAGAIN: it is sent again, to a box that was restarted. */
static int pack_result(struct backupd *b, struct pack_way *p)
{
    json_t *o = NULL;
    int status = 0, r = p->err ? p->err : carrier_pack_answer(&p->answer, &status, &o);
    p->state = PACK_NONE;
    if (!r && backupd_reopened(b, status)) {
        r = pack_send(b, p);
        r = r ? r : -SM_EAGAIN;
    } else if (!r) {
        r = status == 200 ? backupd_take_head(b, o, p->asked_seq) : backupd_refusal(status, o);
    }
    json_decref(o);
    return r;
}

int backupd_acked(void *arg, bool wait, unsigned *ret_place)
{
    struct backupd *b = arg;
    backupd_serve(b, 0);
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < PACKS_AHEAD; i++) {
            struct pack_way *p = b->pack[i];
            if (!p || p->state != PACK_ANSWERED)
                continue;
            int r = p->lost ? pack_send(b, p) : pack_result(b, p);
            if (!r && !p->lost && p->state == PACK_NONE) {
                *ret_place = i;
                return 0;
            }
            if (r && r != -SM_EAGAIN)
                return r;
        }
        if (!wait || turn)
            break;
        int r = b->link ? sm_ipc_await(b->link, BACKUP_ACK_WAIT_MS) : -SM_ETIME;
        if (r && (r != -SM_ETIME || !b->link))
            backupd_serve(b, b->link ? 0 : 100); /* notices that link is gone, waits for the next one */
    }
    return -SM_EAGAIN;
}

/* The run is over: what is still with link is let go when it answers, the rest now. */
void backupd_packs_drop(struct backupd *b)
{
    for (unsigned i = 0; i < PACKS_AHEAD; i++) {
        struct pack_way *p = b->pack[i];
        b->pack[i] = NULL;
        if (p && p->state == PACK_SENT)
            p->abandoned = true;
        else
            pack_free(p);
    }
}
