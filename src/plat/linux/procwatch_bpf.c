/* Words from the program in the kernel (bpf/procwatch.bpf.c), which stands inside this one. */
#include "plat/linux/procwatch_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "plat/linux/bpf/procwatch.h"

enum { PROGRAMS_MAX = 8, TICK_NS = 10000000, MS_NS = 1000000, RUN_MAX = 1 << 16 };

static const uint8_t object_bytes[] __attribute__((aligned(8))) = {
#include "plat/procwatch_bpf.inc" /* made by the build */
};

struct procwatch_bpf {
    struct bpf_object *object;
    struct bpf_link *links[PROGRAMS_MAX];
    size_t links_n;
    struct ring_buffer *ring;
    uint64_t *lost; /* the kernel's own counter, mapped */
    size_t page;
    /* of the drain under way */
    procwatch_fn *fn;
    void *ctx;
    size_t given, max;
};

static void tell_exec(struct procwatch_bpf *b, const struct pw_exec *e)
{
    const uint32_t n = e->args_all > PW_ARGS ? PW_ARGS : e->args_all;
    const struct procwatch_word w = {.kind = PROCWATCH_EXEC,
        .seen = true,
        .pid = e->pid,
        .at_ms = (int64_t)(e->at_ns / MS_NS),
        .uid = e->uid,
        .session = e->session,
        .terminal = e->terminal != 0,
        .start = e->start_ns / TICK_NS,
        .file = {e->file[0], e->file[1], e->file[2]},
        .args = SM_SPAN(e->args, n),
        .args_cut = e->args_all > PW_ARGS,
        .name = SM_SPAN(e->name, strnlen(e->name, sizeof e->name))};
    b->fn(b->ctx, &w);
}

static void tell_net(struct procwatch_bpf *b, const struct pw_net *e)
{
    struct procwatch_word w = {.kind = e->kind == PW_CONNECT ? PROCWATCH_CONNECT : PROCWATCH_ACCEPT,
        .v6 = e->v6 != 0,
        .pid = e->pid,
        .at_ms = (int64_t)(e->at_ns / MS_NS),
        .from_port = (uint16_t)e->ports,
        .to_port = (uint16_t)(e->ports >> 16)};
    memcpy(w.from, e->from, sizeof w.from);
    memcpy(w.to, e->to, sizeof w.to);
    b->fn(b->ctx, &w);
}

static int on_record(void *ctx, void *data, size_t n)
{
    struct procwatch_bpf *b = ctx;
    const uint32_t kind = n >= sizeof(uint32_t) ? *(const uint32_t *)data : 0;
    const struct pw_short *s = data;
    if (kind == PW_EXEC && n >= sizeof(struct pw_exec)) {
        tell_exec(b, data);
    } else if ((kind == PW_CONNECT || kind == PW_ACCEPT) && n >= sizeof(struct pw_net)) {
        tell_net(b, data);
    } else if ((kind == PW_FORK || kind == PW_EXIT) && n >= sizeof *s) {
        const struct procwatch_word w = {.kind = kind == PW_FORK ? PROCWATCH_FORK : PROCWATCH_EXIT,
            .pid = s->pid,
            .parent = s->other,
            .at_ms = (int64_t)(s->at_ns / MS_NS),
            .start = s->start_ns / TICK_NS};
        b->fn(b->ctx, &w);
    }
    return ++b->given >= b->max ? -ECANCELED : 0; /* this one counts as taken */
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0; /* rooms and floors do not log; what failed is told by its number */
}

static int attach(struct procwatch_bpf *b, char *why)
{
    struct bpf_program *p;
    bpf_object__for_each_program(p, b->object) {
        struct bpf_link *link = b->links_n < PROGRAMS_MAX ? bpf_program__attach(p) : NULL;
        if (!link) {
            snprintf(why, 120, "BPF: %s could not be attached: %s", bpf_program__name(p), sm_strerror(-errno));
            return -SM_EUNSUPPORTED;
        }
        b->links[b->links_n++] = link;
    }
    return 0;
}

static int open_maps(struct procwatch_bpf *b, char *why)
{
    int ring = bpf_object__find_map_fd_by_name(b->object, "ring"),
        lost = bpf_object__find_map_fd_by_name(b->object, "lost");
    b->ring = ring >= 0 ? ring_buffer__new(ring, on_record, b, NULL) : NULL;
    b->page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = lost >= 0 ? mmap(NULL, b->page, PROT_READ, MAP_SHARED, lost, 0) : MAP_FAILED;
    b->lost = p == MAP_FAILED ? NULL : p;
    if (b->ring && b->lost)
        return 0;
    snprintf(why, 120, "BPF: its ring could not be opened: %s", sm_strerror(-errno));
    return -SM_EUNSUPPORTED;
}

int procwatch_bpf_open(struct procwatch_bpf **ret, char *ret_why)
{
    struct procwatch_bpf *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    libbpf_set_print(quiet);
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "sakimori");
    b->object = bpf_object__open_mem(object_bytes, sizeof object_bytes, &opts);
    int r = b->object ? bpf_object__load(b->object) : -errno;
    if (r) {
        snprintf(ret_why, 120, "BPF: the kernel does not take the program: %s", sm_strerror(r));
        r = -SM_EUNSUPPORTED;
    }
    if (!r)
        r = open_maps(b, ret_why);
    if (!r)
        r = attach(b, ret_why);
    if (r) {
        procwatch_bpf_close(b);
        return r;
    }
    (void)malloc_trim(0); /* the kernel's types, some megabytes, were read for it and are not needed again */
    *ret = b;
    return 0;
}

void procwatch_bpf_close(struct procwatch_bpf *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->links_n; i++)
        (void)bpf_link__destroy(b->links[i]); /* it ends with its descriptor */
    ring_buffer__free(b->ring);
    if (b->lost)
        (void)munmap(b->lost, b->page);
    bpf_object__close(b->object);
    free(b);
}

int procwatch_bpf_fd(const struct procwatch_bpf *b)
{
    return ring_buffer__epoll_fd(b->ring);
}

size_t procwatch_bpf_drain(struct procwatch_bpf *b, size_t max, procwatch_fn *fn, void *ctx)
{
    b->fn = fn;
    b->ctx = ctx;
    b->given = 0;
    b->max = max ? max : RUN_MAX; /* whoever makes words faster than they are read does not hold us for ever */
    (void)ring_buffer__consume(b->ring); /* its error is our own stop */
    return b->given;
}

uint64_t procwatch_bpf_lost(const struct procwatch_bpf *b)
{
    return __atomic_load_n(b->lost, __ATOMIC_RELAXED);
}
