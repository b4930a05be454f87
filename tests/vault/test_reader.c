#include <errno.h>

#include "vault_test.h"

#include "vault/snapshot/reader.h"

/*
 * A small generation by hand:
 *   /home/a.txt      two chunks, the second shared with b
 *   /home/b.bin      a hole, then a part of the shared chunk
 *   /home/dir/deep/x one chunk
 *   /home/dir/link   hard link to x's bytes (same group, no stream)
 *   /home/many/f...  3,000 files in several pages
 *   /home/big        9,000 parts: stream pages
 *   /home/only-hole  layout none with a size
 *   /srv             empty folder, a second root
 */
struct world {
    struct seal_ctx *c;
    struct seal_keys k;
    struct test_store store;
    struct file_key f;
    struct chunk_key k_item;
    struct cid envelope;
    uint64_t counter;
    struct sm_buf manifest;
    struct crypto_sign_pair device;
    uint8_t *shared;
    unsigned asked_keys;
};

struct folder {
    struct world *w;
    struct sm_buf parts, keys;
    size_t n;
};

static int on_page(void *arg, const struct chunk_info *info, struct sm_span sealed)
{
    struct folder *d = arg;
    struct part p = {.cid = info->cid};
    (void)test_store_put(&d->w->store, &info->cid, sealed);
    d->n++;
    return sm_buf_put(&d->parts, &p, sizeof p) < 0 ? -1 : sm_buf_put(&d->keys, &info->ck, sizeof info->ck);
}

static int on_stream_page(void *arg, const struct chunk_info *info, struct sm_span sealed)
{
    (void)test_store_put(&((struct world *)arg)->store, &info->cid, sealed);
    return 0;
}

static struct chunk_info put_chunk(struct world *w, struct sm_span plain)
{
    struct sm_buf sealed = {0};
    struct chunk_info i = test_chunk(w->c, &w->k, OBJ_CHUNK, plain, 1, &sealed);
    (void)test_store_put(&w->store, &i.cid, sm_buf_span(&sealed));
    sm_buf_wipe(&sealed);
    return i;
}

static void add(struct world *w, struct dirpage_builder *b, const char *name, uint8_t kind, struct sm_span meta,
    uint64_t size, uint8_t layout, const struct part *parts, size_t n, const struct chunk_key *keys, size_t nkeys)
{
    struct sm_buf item = {0};
    struct dirpage_stream s = {
        .size = size, .layout = layout, .envelope = w->envelope, .counter = ++w->counter, .parts = parts, .nparts = n};
    struct dirpage_entry e = {.name = SM_SPAN_STR(name),
        .kind = kind,
        .meta = meta,
        .streams = &s,
        .nstreams = kind == ENTRY_FILE || kind == ENTRY_DIR ? layout != 255 : 0};
    if (layout != LAYOUT_NONE && layout != 255)
        assert_int_equal(
            item_seal(w->c, &w->k_item, w->counter, &w->envelope, layout, parts, n, keys, nkeys, &item), 0);
    s.item = sm_buf_span(&item);
    assert_int_equal(dirpage_add(b, &e), 0);
    sm_buf_wipe(&item);
}

static const struct sm_span nometa = {(const uint8_t *)"\1", 1};

static void add_dir(struct world *w, struct dirpage_builder *b, const char *name, struct folder *d)
{
    add(w, b, name, ENTRY_DIR, nometa, 0, d->n ? LAYOUT_DIRPAGES : LAYOUT_NONE, (struct part *)(void *)d->parts.p, d->n,
        (struct chunk_key *)(void *)d->keys.p, d->n);
    sm_buf_wipe(&d->parts);
    sm_buf_wipe(&d->keys);
}

static struct dirpage_builder *begin(struct world *w, struct folder *d, bool root)
{
    struct dirpage_builder *b;
    *d = (struct folder){.w = w};
    assert_int_equal(dirpage_builder_new(w->c, &w->k, root, on_page, d, &b), 0);
    return b;
}

static void end(struct dirpage_builder *b, struct folder *d)
{
    size_t n;
    assert_int_equal(dirpage_finish(b, &n), 0);
    assert_int_equal(n, d->n);
    dirpage_builder_free(b);
}

static struct sm_span link_meta(void)
{
    static struct sm_buf b;
    struct plat_meta m = {.type = PLAT_FILE};
    sm_buf_wipe(&b);
    assert_int_equal(
        meta_from_plat(&m, &(struct meta_extra){.has_link = true, .link_group = 5, .link_count = 2}, 0, &b), 0);
    return sm_buf_span(&b);
}

static void add_small(
    struct world *w, struct dirpage_builder *b, const char *name, const char *text, struct sm_span meta)
{
    struct chunk_info i = put_chunk(w, SM_SPAN_STR(text));
    struct part p = {.cid = i.cid, .length = strlen(text)};
    add(w, b, name, ENTRY_FILE, meta, p.length, LAYOUT_CHUNKS, &p, 1, &i.ck, 1);
}

static void add_big(struct world *w, struct dirpage_builder *b, const struct chunk_info *shared)
{
    struct stream_builder *sb;
    struct stream_result s;
    struct chunk_info other = put_chunk(w, SM_SPAN_STR("another chunk of the large one"));
    assert_int_equal(stream_builder_new(w->c, &w->k, on_stream_page, w, &sb), 0);
    for (unsigned i = 0; i < 9000; i++) {
        struct part p = {.cid = shared->cid, .offset = i, .length = 7};
        if (i % 100 == 50)
            p = (struct part){.hole = true, .length = 7};
        if (i % 100 == 51)
            p = (struct part){.cid = other.cid, .offset = i % 20, .length = 7};
        assert_int_equal(stream_add(sb, &p, i % 100 == 51 ? &other.ck : &shared->ck), 0);
    }
    assert_int_equal(stream_finish(sb, &s), 0);
    assert_int_equal(s.layout, LAYOUT_STREAMPAGES);
    add(w, b, "big", ENTRY_FILE, nometa, s.size, s.layout, s.parts, s.nparts, s.keys, s.nkeys);
    stream_builder_free(sb);
}

static void build_home(struct world *w, struct folder *home)
{
    struct folder deep, dir, many;
    struct dirpage_builder *h = begin(w, home, false), *b;
    struct chunk_info one = put_chunk(w, SM_SPAN_STR("first part, ")), sh = put_chunk(w, SM_SPAN(w->shared, 20000));
    struct part a[2] = {{.cid = one.cid, .length = 12}, {.cid = sh.cid, .offset = 100, .length = 50}};
    struct part hb[2] = {{.hole = true, .length = 1 << 20}, {.cid = sh.cid, .length = 20000}};
    struct chunk_key keys[2] = {one.ck, sh.ck};
    add(w, h, "a.txt", ENTRY_FILE, nometa, 62, LAYOUT_CHUNKS, a, 2, keys, 2);
    add(w, h, "b.bin", ENTRY_FILE, nometa, (1 << 20) + 20000, LAYOUT_CHUNKS, hb, 2, &sh.ck, 1);
    add_big(w, h, &sh);
    b = begin(w, &deep, false);
    add_small(w, b, "x", "the bytes of x", link_meta());
    end(b, &deep);
    b = begin(w, &dir, false);
    add_dir(w, b, "deep", &deep);
    add(w, b, "link", ENTRY_FILE, link_meta(), 0, 255, NULL, 0, NULL, 0);
    end(b, &dir);
    add_dir(w, h, "dir", &dir);
    b = begin(w, &many, false);
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%04u", i);
        add_small(w, b, name, name, nometa);
    }
    end(b, &many);
    add_dir(w, h, "many", &many);
    add(w, h, "only-hole", ENTRY_FILE, nometa, 12345, LAYOUT_NONE, NULL, 0, NULL, 0);
    end(h, home);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct crypto_x25519_pair pair[2];
    struct sm_buf set = {0}, env = {0}, item = {0};
    struct folder home, srv = {0}, root;
    struct dirpage_builder *b;
    uint8_t seed[32] = {77};
    w->c = test_ctx();
    w->k = test_keys();
    w->shared = malloc(20000);
    test_fill(w->shared, 20000, 55);
    test_recipients(pair, &set);
    assert_int_equal(envelope_make(&test_vault, &test_client, sm_buf_span(&set), &w->f, &w->envelope, &env), 0);
    (void)test_store_put(&w->store, &w->envelope, sm_buf_span(&env));
    assert_int_equal(item_key(&w->f, &test_client, &w->k_item), 0);
    build_home(w, &home);
    b = begin(w, &root, true);
    add_dir(w, b, "/home", &home);
    add_dir(w, b, "/srv", &srv);
    end(b, &root);
    struct cid roots[4];
    for (size_t i = 0; i < root.n; i++)
        roots[i] = ((struct part *)(void *)root.parts.p)[i].cid;
    assert_int_equal(
        item_seal(w->c, &w->k_item, ++w->counter, &w->envelope, LAYOUT_DIRPAGES, (struct part *)(void *)root.parts.p,
            root.n, (struct chunk_key *)(void *)root.keys.p, root.n, &item),
        0);
    struct manifest m = {.vault = test_vault,
        .client = test_client,
        .number = 1,
        .run = RUN_SCHEDULED,
        .status = RUN_COMPLETE,
        .envelope = w->envelope,
        .roots = roots,
        .nroots = root.n,
        .counter = w->counter,
        .item = sm_buf_span(&item)};
    assert_int_equal(crypto_sign_from_seed(seed, &w->device), 0);
    assert_int_equal(manifest_build(&m, &w->device, &w->manifest), 0);
    sm_buf_wipe(&root.parts);
    sm_buf_wipe(&root.keys);
    sm_buf_wipe(&set);
    sm_buf_wipe(&env);
    sm_buf_wipe(&item);
    return w;
}

static int src_get(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    struct test_object *o = test_store_find(&((struct world *)arg)->store, cid);
    ((struct world *)arg)->store.fetched++;
    return o ? sm_buf_put_span(ret, sm_buf_span(&o->bytes)) : -SM_EMISSING;
}

static int src_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct world *w = arg;
    w->asked_keys++;
    if (!cid_eq(envelope, &w->envelope))
        return -SM_EMISSING;
    *ret = w->f;
    return 0;
}

static int src_type(void *arg, const struct cid *cid)
{
    struct test_object *o = test_store_find(&((struct world *)arg)->store, cid);
    return o ? o->type : -SM_EMISSING;
}

static struct world *world;

static struct reader *open_world(void)
{
    struct reader_source s = {.get = src_get, .file_key = src_key, .type = src_type, .arg = world};
    struct reader *r;
    assert_int_equal(reader_open(&s, sm_buf_span(&world->manifest), world->device.public_key, &r), 0);
    return r;
}

static int setup(void **state)
{
    world = world_new();
    return 0;
}

static int teardown(void **state)
{
    seal_ctx_free(world->c);
    test_store_wipe(&world->store);
    sm_buf_wipe(&world->manifest);
    free(world->shared);
    free(world);
    return 0;
}

static int to_text(void *arg, const struct reader_node *n)
{
    struct sm_buf *b = arg;
    return sm_buf_put_span(b, n->e.name) < 0 ? -1 : sm_buf_put_u8(b, ' ');
}

static int count_entries(void *arg, const struct reader_node *n)
{
    (*(unsigned *)arg)++;
    return 0;
}

static void folders_list_in_order(void **state)
{
    struct reader *r = open_world();
    struct sm_buf b = {0};
    unsigned n = 0;
    assert_int_equal(reader_list(r, SM_SPAN_STR(""), to_text, &b), 0);
    assert_string_equal(sm_buf_str(&b), "/home /srv ");
    sm_buf_clear(&b);
    assert_int_equal(reader_list(r, SM_SPAN_STR("/home/"), to_text, &b), 0);
    assert_string_equal(sm_buf_str(&b), "a.txt b.bin big dir many only-hole ");
    assert_int_equal(reader_list(r, SM_SPAN_STR("/home/many"), count_entries, &n), 0);
    assert_int_equal(n, 3000);
    n = 0;
    assert_int_equal(reader_list(r, SM_SPAN_STR("/srv"), count_entries, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(reader_list(r, SM_SPAN_STR("/nowhere"), count_entries, &n), -SM_ENOTFOUND);
    assert_int_equal(reader_list(r, SM_SPAN_STR("/home/a.txt"), count_entries, &n), -ENOTDIR);
    sm_buf_wipe(&b);
    reader_close(r);
}

static void paths_are_found_and_others_are_not(void **state)
{
    struct reader *r = open_world();
    struct reader_node n;
    const char *good[] = {
        "/home", "/home/a.txt", "/home/dir/deep/x", "/home/many/f0000", "/home/many/f1500", "/home/many/f2999", "/srv"};
    const char *bad[] = {"", "home", "/", "/hom", "/homes", "/home/x", "/home/a.txt/y", "/home/many/f3000",
        "/home/many/e", "/home//a.txt", "/home/dir/../a.txt", "/srv/x"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(reader_stat(r, SM_SPAN_STR(good[i]), &n), 0);
        reader_node_wipe(&n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(reader_stat(r, SM_SPAN_STR(bad[i]), &n), -SM_ENOTFOUND);
    reader_close(r);
}

struct walked {
    unsigned entries, leaves, depth, skipped;
    const char *skip;
};

static int walk_fn(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct walked *w = arg;
    if (event == READER_LEAVE) {
        w->leaves++;
        assert_int_equal(n->e.kind, ENTRY_DIR);
        return 0;
    }
    w->entries++;
    return w->skip && sm_span_eq(path, SM_SPAN_STR(w->skip)) ? READER_SKIP : 0;
}

static void a_walk_meets_everything_once_and_can_skip(void **state)
{
    struct reader *r = open_world();
    struct walked w = {0};
    assert_int_equal(reader_walk(r, SM_SPAN_STR(""), walk_fn, &w), 0);
    assert_int_equal(w.entries, 2 + 6 + 2 + 1 + 3000);
    assert_int_equal(w.leaves, 5);
    w = (struct walked){.skip = "/home/many"};
    assert_int_equal(reader_walk(r, SM_SPAN_STR("/home"), walk_fn, &w), 0);
    assert_int_equal(w.entries, 1 + 6 + 2 + 1);
    assert_int_equal(w.leaves, 3);
    reader_close(r);
}

struct got {
    struct sm_buf b;
    uint64_t at, holes;
    bool began;
};

static int take(void *arg, uint64_t offset, struct sm_span data)
{
    struct got *g = arg;
    if (g->began)
        assert_int_equal(offset, g->at);
    g->began = true;
    g->at = offset + data.n;
    if (data.p)
        return sm_buf_put_span(&g->b, data);
    g->holes += data.n;
    for (size_t i = 0; i < data.n; i++)
        if (sm_buf_put_u8(&g->b, 0) < 0)
            return -1;
    return 0;
}

static struct got read_range(struct reader *r, const char *path, uint64_t off, uint64_t len)
{
    struct got g = {0};
    struct reader_node n;
    assert_int_equal(reader_stat(r, SM_SPAN_STR(path), &n), 0);
    assert_int_equal(reader_read(r, &n, 0, off, len, take, &g), 0);
    reader_node_wipe(&n);
    return g;
}

static void files_read_whole_and_in_ranges(void **state)
{
    struct reader *r = open_world();
    struct got g = read_range(r, "/home/a.txt", 0, UINT64_MAX), part;
    assert_int_equal(g.b.n, 62);
    assert_memory_equal(g.b.p, "first part, ", 12);
    assert_memory_equal(g.b.p + 12, world->shared + 100, 50);
    sm_buf_wipe(&g.b);
    g = read_range(r, "/home/b.bin", 0, UINT64_MAX);
    assert_int_equal(g.holes, 1 << 20);
    assert_int_equal(g.b.n, (1 << 20) + 20000);
    assert_memory_equal(g.b.p + (1 << 20), world->shared, 20000);
    sm_buf_wipe(&g.b);
    g = read_range(r, "/home/only-hole", 5, 100);
    assert_int_equal(g.holes, 100);
    sm_buf_wipe(&g.b);
    g = read_range(r, "/home/big", 0, UINT64_MAX);
    assert_int_equal(g.b.n, 63000);
    assert_memory_equal(g.b.p + 7 * 9, world->shared + 9, 7);
    assert_memory_equal(g.b.p + 7 * 8999, world->shared + 8999, 7);
    for (uint64_t off = 0; off < 63100; off += 997) {
        part = read_range(r, "/home/big", off, 1500);
        size_t want = off >= 63000 ? 0 : 63000 - off < 1500 ? 63000 - off : 1500;
        assert_int_equal(part.b.n, want);
        assert_true(want == 0 || memcmp(part.b.p, g.b.p + off, want) == 0);
        sm_buf_wipe(&part.b);
    }
    sm_buf_wipe(&g.b);
    reader_close(r);
}

struct sum {
    uint64_t bytes, holes;
    unsigned n;
    struct seal_ctx *c;
};

static int add_part(void *arg, const struct reader_part *p)
{
    struct sum *s = arg;
    struct sm_buf plain = {0};
    assert_int_equal(p->file_offset, s->bytes);
    s->bytes += p->length;
    s->holes += p->hole;
    s->n++;
    if (!p->hole && s->n % 1000 == 1) {
        assert_int_equal(chunk_open(s->c, sm_buf_span(&test_store_find(&world->store, &p->cid)->bytes), &test_client,
                             &p->ck, &plain),
            0);
        assert_true(p->chunk_offset + p->length <= plain.n);
        sm_buf_wipe(&plain);
    }
    return 0;
}

static void parts_of_a_large_file_are_listed_with_their_keys(void **state)
{
    struct reader *r = open_world();
    struct reader_node n;
    struct sum s = {.c = world->c};
    assert_int_equal(reader_stat(r, SM_SPAN_STR("/home/big"), &n), 0);
    assert_int_equal(reader_parts(r, &n, 0, add_part, &s), 0);
    assert_int_equal(s.n, 9000);
    assert_int_equal(s.holes, 90);
    assert_int_equal(s.bytes, 63000);
    assert_int_equal(reader_parts(r, &n, 1, add_part, &s), -SM_ENOTFOUND);
    reader_node_wipe(&n);
    reader_close(r);
}

static void a_hard_link_finds_the_entry_that_carries_its_bytes(void **state)
{
    struct reader *r = open_world();
    struct reader_node link, from;
    struct meta_extra x;
    struct got g = {0};
    assert_int_equal(reader_stat(r, SM_SPAN_STR("/home/dir/link"), &link), 0);
    assert_int_equal(link.e.nstreams, 0);
    assert_int_equal(meta_extra_of(link.e.meta, &x), 0);
    assert_true(x.has_link);
    assert_int_equal(reader_link_source(r, x.link_group, &from), 0);
    assert_true(sm_span_eq(from.e.name, SM_SPAN_STR("x")));
    assert_int_equal(reader_read(r, &from, 0, 0, UINT64_MAX, take, &g), 0);
    assert_true(sm_span_eq(sm_buf_span(&g.b), SM_SPAN_STR("the bytes of x")));
    sm_buf_wipe(&g.b);
    reader_node_wipe(&from);
    reader_node_wipe(&link);
    assert_int_equal(reader_link_source(r, 999, &from), -SM_ENOTFOUND);
    reader_close(r);
}

static int count_cid(void *arg, const struct cid *c)
{
    assert_true(cid_eq(c, &world->envelope));
    (*(unsigned *)arg)++;
    return 0;
}

static void envelopes_are_told_without_asking_for_a_key(void **state)
{
    struct reader *r = open_world();
    unsigned n = 0;
    world->asked_keys = 0;
    assert_int_equal(reader_envelopes(r, count_cid, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(world->asked_keys, 0);
    reader_close(r);
}

/* For every object of the store: altered, or gone, a walk that reads everything says so and never gives other bytes. */
static int read_all(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct got g = {0};
    int e;
    if (event != READER_ENTRY || n->e.kind != ENTRY_FILE || n->e.nstreams == 0)
        return 0;
    e = reader_read(arg, n, 0, 0, UINT64_MAX, take, &g);
    sm_buf_wipe(&g.b);
    return e;
}

static void any_object_altered_or_missing_is_noticed(void **state)
{
    size_t n = world->store.n;
    for (size_t i = 0; i < n; i += n / 40 ? n / 40 : 1) {
        struct test_object *o = &world->store.o[i];
        struct reader *r = open_world();
        struct cid was = o->cid;
        if (o->type != OBJ_ENVELOPE) { /* keys come from elsewhere in this test */
            o->bytes.p[o->bytes.n / 2] ^= 1;
            assert_int_equal(reader_walk(r, SM_SPAN_STR(""), read_all, r), -SM_ECORRUPT);
            o->bytes.p[o->bytes.n / 2] ^= 1;
            reader_close(r);
            r = open_world();
            o->cid.b[0] ^= 1;
            assert_int_equal(reader_walk(r, SM_SPAN_STR(""), read_all, r), -SM_EMISSING);
            o->cid = was;
        }
        reader_close(r);
    }
    struct reader *r = open_world();
    assert_int_equal(reader_walk(r, SM_SPAN_STR(""), read_all, r), 0);
    reader_close(r);
}

static void a_wrong_f_or_device_opens_nothing(void **state)
{
    struct reader_source s = {.get = src_get, .file_key = src_key, .arg = world};
    struct walked w = {0};
    struct reader *r;
    uint8_t other[32] = {0};
    memcpy(other, world->device.public_key, 32);
    other[0] ^= 1;
    assert_int_equal(reader_open(&s, sm_buf_span(&world->manifest), other, &r), -SM_EAUTH);
    world->f.b[0] ^= 1;
    r = open_world();
    assert_int_equal(reader_walk(r, SM_SPAN_STR(""), walk_fn, &w), -SM_EAUTH);
    assert_int_equal(w.entries, 0);
    reader_close(r);
    world->f.b[0] ^= 1;
}

static void folders_deeper_than_the_limit_are_refused(void **state)
{
    struct world *w = world_new(), *keep = world;
    struct folder inner = {0}, d;
    struct walked seen = {0};
    for (unsigned i = 0; i < VAULT_DEPTH_MAX + 1; i++) {
        struct dirpage_builder *b = begin(w, &d, i == VAULT_DEPTH_MAX);
        add_dir(w, b, i == VAULT_DEPTH_MAX ? "/deep" : "d", &inner);
        end(b, &d);
        inner = d;
    }
    struct manifest m;
    struct sm_buf item = {0}, bytes = {0};
    assert_int_equal(manifest_parse(sm_buf_span(&w->manifest), &m), 0);
    m.roots = &((struct part *)(void *)inner.parts.p)->cid;
    m.nroots = 1;
    m.counter = ++w->counter;
    assert_int_equal(item_seal(w->c, &w->k_item, w->counter, &w->envelope, LAYOUT_DIRPAGES,
                         (struct part *)(void *)inner.parts.p, 1, (struct chunk_key *)(void *)inner.keys.p, 1, &item),
        0);
    m.item = sm_buf_span(&item);
    assert_int_equal(manifest_build(&m, &w->device, &bytes), 0);
    world = w;
    struct reader_source s = {.get = src_get, .file_key = src_key, .arg = w};
    struct reader *r;
    assert_int_equal(reader_open(&s, sm_buf_span(&bytes), NULL, &r), 0);
    assert_int_equal(reader_walk(r, SM_SPAN_STR(""), walk_fn, &seen), -SM_ELIMIT);
    assert_int_equal(seen.entries, VAULT_DEPTH_MAX + 1);
    reader_close(r);
    sm_buf_wipe(&inner.parts);
    sm_buf_wipe(&inner.keys);
    sm_buf_wipe(&item);
    sm_buf_wipe(&bytes);
    (void)teardown(NULL);
    world = keep;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_list_in_order),
        cmocka_unit_test(paths_are_found_and_others_are_not),
        cmocka_unit_test(a_walk_meets_everything_once_and_can_skip),
        cmocka_unit_test(files_read_whole_and_in_ranges),
        cmocka_unit_test(parts_of_a_large_file_are_listed_with_their_keys),
        cmocka_unit_test(a_hard_link_finds_the_entry_that_carries_its_bytes),
        cmocka_unit_test(envelopes_are_told_without_asking_for_a_key),
        cmocka_unit_test(any_object_altered_or_missing_is_noticed),
        cmocka_unit_test(a_wrong_f_or_device_opens_nothing),
        cmocka_unit_test(folders_deeper_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
