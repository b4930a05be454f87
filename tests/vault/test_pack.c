#include "vault_test.h"

#include <sys/mman.h>
#include <unistd.h>

#include "vault/pack/pack.h"

struct made {
    struct pack_builder *b;
    struct cid id;
    uint64_t bytes;
    struct sm_buf file;
};

static void object(struct seal_ctx *c, const struct seal_keys *k, uint8_t type, uint64_t seed, size_t n,
    struct sm_buf *ret, struct cid *ret_cid)
{
    uint8_t *p = malloc(n);
    test_fill(p, n, seed);
    if (type == OBJ_DIRPAGE) {
        struct chunk_info info;
        assert_int_equal(page_seal(c, k, type, NULL, 0, SM_SPAN(p, n), (struct seal_how){0}, &info, ret), 0);
        *ret_cid = info.cid;
    } else {
        *ret_cid = test_chunk(c, k, type, SM_SPAN(p, n), 0, ret).cid;
    }
    free(p);
}

static int collect(void *arg, struct sm_span piece)
{
    return sm_buf_put_span(arg, piece);
}

static struct made make(uint8_t kind, uint32_t n)
{
    struct made m = {0};
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys();
    assert_int_equal(pack_builder_new(&test_vault, &test_client, &test_session, kind, &m.b), 0);
    for (uint32_t i = 0; i < n; i++) {
        struct sm_buf o = {0};
        struct cid cid;
        object(c, &k, kind == PACK_DATA ? OBJ_CHUNK : OBJ_DIRPAGE, i, 100 + i * 37 % 5000, &o, &cid);
        assert_int_equal(pack_add(m.b, &cid, sm_buf_span(&o)), 0);
        assert_int_equal(pack_add(m.b, &cid, sm_buf_span(&o)), -SM_EEXISTS);
        sm_buf_wipe(&o);
    }
    assert_int_equal(pack_finish(m.b, &m.id, &m.bytes), 0);
    assert_int_equal(pack_emit(m.b, 0, collect, &m.file), 0);
    assert_int_equal(m.file.n, m.bytes);
    seal_ctx_free(c);
    return m;
}

static void made_wipe(struct made *m)
{
    pack_builder_free(m->b);
    sm_buf_wipe(&m->file);
}

struct seen {
    uint32_t n;
    uint64_t next;
    size_t bytes;
};

static int see(void *arg, const struct pack_object *o, struct sm_span bytes)
{
    struct seen *s = arg;
    if (s->n > 0)
        assert_int_equal(o->offset, s->next);
    s->next = o->offset + o->length;
    s->bytes += bytes.n;
    s->n++;
    return 0;
}

static int run_check(struct sm_span file, size_t piece, const struct pack_expect *x, struct seen *seen)
{
    struct pack_check *c;
    int64_t r = 0;
    int out;
    assert_int_equal(pack_check_new(x, see, seen, &c), 0);
    for (size_t at = 0; r >= 0 && at < file.n; at += piece) {
        size_t n = file.n - at < piece ? file.n - at : piece;
        r = pack_check_put(c, SM_SPAN(file.p + at, n));
        if (r >= 0 && (size_t)r < n) {
            r = -SM_EFORMAT; /* more than a pack */
            break;
        }
    }
    out = r < 0 ? (int)r : pack_check_left(c) == 0 ? 0 : -SM_EPARTIAL;
    if (out == 0)
        assert_non_null(pack_check_id(c));
    pack_check_free(c);
    return out;
}

static void a_pack_proves_itself_in_any_split(void **state)
{
    const size_t pieces[] = {1, 7, 79, 80, 81, 4096, 1 << 20};
    for (uint8_t kind = PACK_DATA; kind <= PACK_META; kind++) {
        struct made m = make(kind, 40);
        struct pack_expect x = {&m.id, &test_vault, &test_client, &test_session};
        for (size_t i = 0; i < 7; i++) {
            struct seen s = {0};
            assert_int_equal(run_check(sm_buf_span(&m.file), pieces[i], &x, &s), 0);
            assert_int_equal(s.n, 40);
            assert_int_equal(s.next, m.bytes);
            assert_true(kind == PACK_DATA ? s.bytes == 0 : s.bytes > 0);
        }
        made_wipe(&m);
    }
}

static void every_changed_byte_of_a_pack_is_found(void **state)
{
    struct made m = make(PACK_META, 3);
    struct pack_expect x = {&m.id, NULL, NULL, NULL};
    for (size_t i = 0; i < m.file.n; i++) {
        struct seen s = {0};
        m.file.p[i] ^= 0x11;
        assert_true(run_check(sm_buf_span(&m.file), 1000, &x, &s) < 0);
        m.file.p[i] ^= 0x11;
    }
    for (size_t n = 0; n < m.file.n; n++) {
        struct seen s = {0};
        assert_int_equal(run_check(SM_SPAN(m.file.p, n), 4096, &x, &s), -SM_EPARTIAL);
    }
    made_wipe(&m);
}

static void another_vault_client_session_or_name_is_refused(void **state)
{
    struct made m = make(PACK_DATA, 2);
    struct vault_id v = {{1}};
    struct session_id se = {{1}};
    struct cid id = {{1}};
    struct seen s = {0};
    struct pack_expect rows[] = {{.id = &id}, {.vault = &v}, {.client = &test_other_client}, {.session = &se}};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(run_check(sm_buf_span(&m.file), 64, &rows[i], &s), -SM_EMISMATCH);
    assert_int_equal(s.n, 0);
    made_wipe(&m);
}

static void an_object_of_another_client_or_kind_does_not_get_in(void **state)
{
    struct seal_ctx *c = test_ctx();
    struct seal_keys k = test_keys_of(&test_other_client), own = test_keys();
    struct pack_builder *b;
    struct sm_buf o = {0};
    struct cid cid;
    struct made m = make(PACK_DATA, 1);
    struct pack_expect x = {0};
    struct seen s = {0};
    object(c, &k, OBJ_CHUNK, 0, 100, &o, &cid);
    assert_int_equal(pack_builder_new(&test_vault, &test_client, &test_session, PACK_DATA, &b), 0);
    assert_int_equal(pack_add(b, &cid, sm_buf_span(&o)), -SM_EINVAL);
    /* put into a pack by hand: same length, directory rewritten */
    assert_int_equal(m.file.n, PACK_HEADER_LEN + PACK_DIRENT_LEN + o.n);
    memcpy(m.file.p + PACK_HEADER_LEN, cid.b, 32);
    memcpy(m.file.p + PACK_HEADER_LEN + PACK_DIRENT_LEN, o.p, o.n);
    assert_int_equal(run_check(sm_buf_span(&m.file), 4096, &x, &s), -SM_EMISMATCH);
    assert_int_equal(s.n, 0);
    sm_buf_clear(&o);
    object(c, &own, OBJ_DIRPAGE, 0, 100, &o, &cid);
    assert_int_equal(pack_add(b, &cid, sm_buf_span(&o)), -SM_EINVAL);
    pack_builder_free(b);
    sm_buf_wipe(&o);
    made_wipe(&m);
    seal_ctx_free(c);
}

static void heads_that_lie_are_refused(void **state)
{
    struct made m = make(PACK_DATA, 4);
    const struct {
        size_t at;
        uint8_t v;
        int err;
    } rows[] = {{0, 'X', SM_EFORMAT}, {4, 2, SM_EVERSION}, {5, 3, SM_EFORMAT}, {6, 1, SM_EFORMAT}, {56, 0, SM_EFORMAT},
        {58, 9, SM_ELIMIT}, {60, 1, SM_EFORMAT}, {67, 4, SM_ELIMIT}, {72, 1, SM_EFORMAT}, {80 + 32, 0, SM_EFORMAT},
        {80 + 35, 1, SM_ELIMIT}, {80 + 36, 2, SM_EFORMAT}, {80 + 36, 9, SM_EFORMAT}, {80 + 39, 1, SM_EFORMAT}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pack_header h;
        struct cid id;
        struct sm_buf objects = {0};
        uint8_t was = m.file.p[rows[i].at];
        m.file.p[rows[i].at] = rows[i].v;
        assert_int_equal(pack_head_parse(sm_buf_span(&m.file), &h, &id, &objects), -rows[i].err);
        assert_int_equal(objects.n, 0);
        m.file.p[rows[i].at] = was;
        sm_buf_wipe(&objects);
    }
    /* the same name twice */
    struct pack_header h;
    struct cid id;
    struct sm_buf objects = {0};
    memcpy(m.file.p + 80, m.file.p + 120, 32);
    assert_int_equal(pack_head_parse(sm_buf_span(&m.file), &h, &id, &objects), -SM_EFORMAT);
    sm_buf_wipe(&objects);
    made_wipe(&m);
}

static void an_upload_goes_on_where_it_stopped(void **state)
{
    struct made m = make(PACK_DATA, 30);
    struct pack_expect x = {&m.id, &test_vault, &test_client, &test_session};
    int fd = memfd_create("part", MFD_CLOEXEC);
    uint8_t piece[333];
    assert_true(fd >= 0);
    for (size_t stop = 1; stop < m.bytes; stop += m.bytes / 13) {
        struct seen s = {0};
        struct pack_check *c;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, m.file.p, stop, 0), stop);
        assert_int_equal(pack_check_new(&x, see, &s, &c), 0);
        assert_int_equal(pack_check_file(c, fd, stop), 0);
        assert_int_equal(pack_check_taken(c), stop);
        size_t n;
        while ((n = pack_copy(m.b, pack_check_taken(c), piece, sizeof piece)) > 0)
            assert_int_equal(pack_check_put(c, SM_SPAN(piece, n)), n);
        assert_int_equal(pack_check_left(c), 0);
        assert_int_equal(s.n, 30);
        pack_check_free(c);
    }
    assert_int_equal(pwrite(fd, m.file.p, m.bytes, 0), m.bytes);
    struct sm_buf trailer = {0}, one = {0};
    assert_int_equal(pack_trailer_put(sm_buf_span(&m.file), 4096, &trailer), 0);
    assert_int_equal(pwrite(fd, trailer.p, trailer.n, (off_t)m.bytes), trailer.n);
    struct seen s = {0};
    struct pack_check *c;
    assert_int_equal(pack_check_new(&x, see, &s, &c), 0);
    assert_int_equal(pack_check_whole(c, fd), 0);
    assert_int_equal(pack_check_taken(c), m.bytes); /* the trailer is not the pack's */
    for (uint32_t i = 0; i < 30; i++) {
        struct pack_object o = pack_check_objects(c)[i];
        sm_buf_clear(&one);
        assert_int_equal(pack_read_object(fd, &o, &one), 0);
        assert_int_equal(one.n, o.length);
        o.cid.b[3] ^= 1;
        assert_int_equal(pack_read_object(fd, &o, &one), -SM_ECORRUPT);
        assert_int_equal(one.n, o.length);
    }
    pack_check_free(c);
    sm_buf_wipe(&trailer);
    sm_buf_wipe(&one);
    close(fd);
    made_wipe(&m);
}

static void a_trailer_reads_back_and_a_broken_one_does_not(void **state)
{
    struct made m = make(PACK_DATA, 10);
    struct sm_buf t = {0};
    struct pack_trailer got;
    assert_int_equal(pack_trailer_parse(SM_SPAN(NULL, 0), &got), 0);
    assert_int_equal(got.hashes.n, 0);
    assert_int_equal(pack_trailer_put(sm_buf_span(&m.file), 4096, &t), 0);
    assert_int_equal(pack_trailer_parse(sm_buf_span(&t), &got), 0);
    assert_int_equal(got.block_size, 4096);
    assert_int_equal(got.hashes.n, (m.file.n + 4095) / 4096 * 8);
    for (size_t n = 1; n < t.n; n++)
        assert_true(pack_trailer_parse(SM_SPAN(t.p, n), &got) < 0);
    t.p[t.n - 5] ^= 1; /* its own length */
    assert_int_equal(pack_trailer_parse(sm_buf_span(&t), &got), -SM_EFORMAT);
    sm_buf_wipe(&t);
    made_wipe(&m);
}

static void the_order_of_a_pack_is_shuffled(void **state)
{
    struct made a = make(PACK_DATA, 40), b = make(PACK_DATA, 40);
    assert_memory_not_equal(a.id.b, b.id.b, 32);
    assert_int_equal(a.bytes, b.bytes);
    made_wipe(&a);
    made_wipe(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_proves_itself_in_any_split),
        cmocka_unit_test(every_changed_byte_of_a_pack_is_found),
        cmocka_unit_test(another_vault_client_session_or_name_is_refused),
        cmocka_unit_test(an_object_of_another_client_or_kind_does_not_get_in),
        cmocka_unit_test(heads_that_lie_are_refused),
        cmocka_unit_test(an_upload_goes_on_where_it_stopped),
        cmocka_unit_test(a_trailer_reads_back_and_a_broken_one_does_not),
        cmocka_unit_test(the_order_of_a_pack_is_shuffled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
