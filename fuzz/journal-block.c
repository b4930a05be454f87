/* A segment of blocks, as a reader and a verifier meet it: every column decoded, events made again, queries run over
 * it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "journal/internal.h"
#include "journal/query.h"
#include "plat/fs.h"

static struct event_names *names;
static struct event e;
static struct evquery *query[3];

static void set_up(void)
{
    static const char *const text[] = { "a OR 患者", "raw:*x*", "@time>=2020-01-01 AND number>3" };

    if (names)
        return;
    names = event_names_new();
    if (!names || event_init(&e) < 0)
        abort();
    for (size_t i = 0; i < 3; i++)
        if (evquery_parse(SM_SPAN_STR(text[i]), 0, &query[i], NULL) < 0)
            abort();
}

static void one_block(struct ev_block *b)
{
    struct sm_buf raw = SM_BUF_INIT(8 << 20);
    uint64_t *bits = calloc(EVIDENCE_BLOCK_EVENTS_MAX / 64, sizeof *bits);
    struct sm_span what;
    struct ev_row row;

    (void)ev_block_check(b, &what);
    for (uint32_t i = 0; i < b->head.events && i < 50; i++)
        (void)ev_block_event(b, i, names, &e, &raw, &row);
    for (size_t i = 0; i < 3 && bits; i++)
        (void)q_match(query[i], b, bits);
    free(bits);
    sm_buf_wipe(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ev_segment s;
    int fd = memfd_create("segment", MFD_CLOEXEC);

    set_up();
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (ev_segment_load(fd, &s) < 0) {
        close(fd);
        return 0;
    }
    for (size_t i = 0; i < s.n && i < 8; i++) {
        struct ev_block b;
        struct ev_at at;
        if (ev_segment_block(&s, i, &at, &b) < 0)
            continue;
        one_block(&b);
        ev_block_wipe(&b);
    }
    ev_segment_wipe(&s);
    return 0;
}
