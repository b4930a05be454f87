/* Backup runs against a vault that checks everything. */
#include "engine_kit.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include "vault/backup/canary.h"

static void every_kind_of_entry_comes_back(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.status, RUN_COMPLETE);
    assert_int_equal(k->problems, 0);
    kit_restore_equal(k);
    kit_free(k);
}

static void an_unchanged_run_reads_no_file_and_writes_no_chunk(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    usleep(5000); /* beyond racy_ms: the files are old enough to be trusted */
    assert_int_equal(kit_backup(k), 0); /* those read within the first millisecond are read once more */
    uint64_t chunks = k->v.chunks_put, pages = k->v.pages_put;
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.files_read, 0);
    assert_int_equal(k->result.counts.bytes_read, 0);
    assert_int_equal(k->v.chunks_put, chunks);
    assert_int_equal(k->v.pages_put, pages);
    assert_int_equal(k->v.manifests, 3);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_changed_small_file_costs_little_and_the_others_stay(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    usleep(5000);
    assert_int_equal(kit_backup(k), 0);
    uint64_t bytes = k->v.bytes_put;
    tree_text_file(k->src, "small-007.hl7", "changed");
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.files_changed, 1);
    assert_int_equal(k->result.counts.chunks_new, 1);
    assert_true(k->v.bytes_put - bytes < 60000);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_shared_chunk_more_than_half_dead_is_cut_anew(void **state)
{
    struct kit *k = kit_new();
    char name[32], path[700];
    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "f%02d", i);
        tree_fill(k->src, name, 5000, 0, (uint64_t)i);
    }
    assert_int_equal(kit_backup(k), 0);
    usleep(5000);
    assert_int_equal(kit_backup(k), 0);
    for (int i = 0; i < 14; i++) {
        (void)snprintf(name, sizeof name, "f%02d", i);
        kit_path(k, name, path);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(kit_backup(k), 0); /* notes it */
    assert_int_equal(k->result.counts.files_deleted, 14);
    assert_int_equal(k->result.counts.files_read, 0);
    assert_int_equal(kit_backup(k), 0); /* does it */
    assert_int_equal(k->result.counts.files_read, 6);
    assert_int_equal(k->result.counts.chunks_new, 1);
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.files_read, 0);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_run_cut_at_any_pack_goes_on_without_sending_twice(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 8; at++) {
        struct kit *k = kit_new();
        char name[32];
        for (int i = 0; i < 5; i++) {
            (void)snprintf(name, sizeof name, "noise-%d", i);
            tree_fill(k->src, name, (size_t)11 << 20, 1, (uint64_t)i);
        }
        k->v.fail_at_pack = at;
        k->v.fail_err = -SM_EPEER;
        int e = kit_backup(k);
        if (e == 0) { /* all packs fit before */
            kit_free(k);
            assert_true(at > 4);
            return;
        }
        assert_int_equal(e, -SM_EPEER);
        assert_int_equal(k->v.manifests, 0);
        uint64_t chunks = k->v.chunks_put;
        assert_int_equal(kit_backup(k), 0);
        assert_int_equal(k->v.duplicates, 0);
        assert_true(at == 1 || chunks > 0);
        kit_restore_equal(k);
        kit_free(k);
    }
}

static void noise_of_many_packs(struct kit *k)
{
    char name[32];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof name, "noise-%d", i);
        tree_fill(k->src, name, (size_t)11 << 20, 1, (uint64_t)i);
    }
}

static void packs_under_way_are_no_more_than_the_sink_takes_and_all_are_awaited(void **state)
{
    (void)state;
    for (unsigned window = 1; window <= BACKUP_WINDOW_MAX; window++) {
        struct kit *k = kit_new();
        noise_of_many_packs(k);
        k->v.window = window;
        assert_int_equal(kit_backup(k), 0);
        assert_int_equal(k->v.waiting_most, window);
        assert_int_equal(k->v.waiting_n, 0);
        assert_int_equal(k->v.duplicates, 0);
        kit_restore_equal(k);
        kit_free(k);
    }
}

static void what_was_not_acknowledged_is_not_taken_for_granted(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 3; at++) {
        struct kit *k = kit_new();
        noise_of_many_packs(k);
        k->v.window = 2;
        k->v.fail_at_ack = at;
        k->v.fail_err = -SM_EPEER;
        assert_int_equal(kit_backup(k), -SM_EPEER);
        assert_int_equal(k->v.manifests, 0);
        while (engine_lose(&k->v, 0, 0)) /* the box never had the two packs under way, nor those before */
            ;
        assert_int_equal(kit_backup(k), 0);
        kit_restore_equal(k);
        kit_free(k);
    }
}

static void files_read_again_out_of_caution_are_not_called_changed(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    for (int i = 0; i < 2; i++) {
        kit_prepare(k);
        k->config.racy_ms = 600000; /* everything is too fresh to be trusted */
        assert_int_equal(kit_run(k), 0);
    }
    assert_true(k->result.counts.files_read > 10);
    assert_int_equal(k->result.counts.files_changed, 0);
    assert_true(k->result.counts.client_suspicion < 20);
    kit_free(k);
}

/* Forty records, all of them touched, and a new archive of noise beside them. */
static void touched_by(struct kit *k, void (*touch)(const struct kit *, const char *, unsigned))
{
    char name[32];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "record-%02u.csv", i);
        tree_fill(k->src, name, i % 2 ? 3000 : 300000, 0, i);
    }
    usleep(5000);
    assert_int_equal(kit_backup(k), 0);
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "record-%02u.csv", i);
        touch(k, name, i);
    }
    tree_fill(k->src, "export.zip", (size_t)10 << 20, 1, 99);
    usleep(5000);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
}

static void touch_mode(const struct kit *k, const char *name, unsigned i)
{
    char path[700];
    (void)i;
    kit_path(k, name, path);
    assert_int_equal(chmod(path, 0600), 0);
}

static void touch_restored(const struct kit *k, const char *name, unsigned i)
{
    char path[700], put[700];
    kit_path(k, name, path);
    kit_path(k, "restored.tmp", put);
    tree_fill(k->src, "restored.tmp", i % 2 ? 3000 : 300000, 0, i);
    assert_int_equal(rename(put, path), 0);
}

static void touch_linked(const struct kit *k, const char *name, unsigned i)
{
    char path[700], other[700], text[32];
    (void)snprintf(text, sizeof text, "link-%02u", i);
    kit_path(k, name, path);
    kit_path(k, text, other);
    assert_int_equal(link(path, other), 0);
}

static void touch_noise(const struct kit *k, const char *name, unsigned i)
{
    tree_fill(k->src, name, 300000, 1, 1000 + i);
}

static void files_with_the_same_bytes_as_before_are_not_called_changed(void **state)
{
    void (*const touch[])(const struct kit *, const char *, unsigned) = { touch_mode, touch_restored, touch_linked };
    (void)state;
    for (size_t i = 0; i < sizeof touch / sizeof *touch; i++) {
        struct kit *k = kit_new();
        touched_by(k, touch[i]);
        assert_int_equal(k->result.counts.files_read >= 41, 1);
        assert_int_equal(k->result.counts.files_changed, 0);
        assert_int_equal(k->result.counts.files_new, touch[i] == touch_linked ? 41 : 1);
        assert_int_equal(k->result.counts.new_files_plain, k->result.counts.bytes_new_plain);
        assert_in_range(k->result.counts.client_suspicion, 0, 9);
        kit_free(k);
    }
}

static void files_written_over_with_noise_are_called_changed_beside_a_new_archive(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    touched_by(k, touch_noise);
    assert_int_equal(k->result.counts.files_changed, 40);
    assert_int_equal(k->result.counts.bytes_new_plain - k->result.counts.new_files_plain, 40 * 300000);
    assert_in_range(k->result.counts.client_suspicion, 90, 100);
    kit_free(k);
}

/* More unchanged files than the row between the threads is long, and then work for the sealers. */
static void new_files_behind_thousands_of_unchanged_ones_are_saved(void **state)
{
    struct kit *k = kit_new();
    char name[64], text[64];
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "a%05u", i);
        (void)snprintf(text, sizeof text, "small file number %u", i);
        tree_text_file(k->src, name, text);
    }
    assert_int_equal(kit_backup(k), 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 12; i++) {
            (void)snprintf(name, sizeof name, "z%u-%02u", round, i);
            tree_fill(k->src, name, (size_t)2 << 20, 0, 100 * round + i);
        }
        usleep(5000);
        assert_int_equal(kit_backup(k), 0);
        kit_restore_equal(k);
    }
    kit_free(k);
}

static void what_the_box_lost_is_sent_again(void **state)
{
    static const uint8_t type[] = { OBJ_CHUNK, OBJ_DIRPAGE, OBJ_STREAMPAGE, OBJ_ENVELOPE };
    (void)state;
    for (size_t i = 0; i < sizeof type; i++) {
        struct kit *k = kit_new();
        char disk[400];
        tree_edge(k->src);
        tree_fill(k->src, "disk.img", (size_t)48 << 20, 0, 5); /* enough 16 KiB chunks for stream pages */
        (void)snprintf(disk, sizeof disk, "%s/sub", k->src);
        assert_int_equal(mkdir(disk, 0755), 0);
        tree_text_file(disk, "in", "a folder below");
        assert_int_equal(kit_backup(k), 0);
        usleep(5000);
        assert_int_equal(kit_backup(k), 0);
        /* All of a kind: whichever the present generation uses are among them. */
        size_t lost = 0;
        while (engine_lose(&k->v, type[i], 0))
            lost++;
        assert_true(lost > 0);
        assert_int_equal(kit_backup(k), 0);
        assert_true(k->result.counts.rounds > 1);
        kit_restore_equal(k);
        kit_free(k);
    }
}

static void lost_caches_cost_reading_but_no_sending(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    uint64_t chunks = k->v.chunks_put;
    kit_prepare(k);
    k->config.forget = true;
    assert_int_equal(kit_run(k), 0);
    assert_true(k->result.counts.files_read > 60);
    assert_true(k->v.have_calls > 0);
    assert_int_equal(k->v.chunks_put, chunks);
    kit_restore_equal(k);
    kit_free(k);
}

static void pictures_of_two_bytes_take_less_where_the_box_knows_planes_and_come_back(void **state)
{
    enum { N = 3000001 };
    struct kit *k[2] = { kit_new(), kit_new() };
    uint8_t *b = malloc(N);
    (void)state;
    for (size_t i = 0; i < N; i++) /* noise of six bits below a high byte that seldom moves */
        b[i] = i % 2 ? (uint8_t)(i / 900 * 7 % 16) : (uint8_t)(i * i * 2654435761u >> 20 & 63);
    for (size_t i = 0; i < 2; i++) {
        tree_file(k[i]->src, "a volume", b, N); /* its name tells nothing */
        tree_file(k[i]->src, "scan.dcm", b + 1, N - 1);
        kit_prepare(k[i]);
        k[i]->config.planes = i == 1;
        assert_int_equal(kit_run(k[i]), 0);
        kit_restore_equal(k[i]);
    }
    assert_true(k[1]->result.counts.bytes_new_stored * 10 < k[0]->result.counts.bytes_new_stored * 9);
    /* A box that learned it meanwhile: what it has is found again as it was. */
    uint64_t chunks = k[0]->v.chunks_put;
    tree_file(k[0]->src, "a volume", b, N);
    kit_prepare(k[0]);
    k[0]->config.planes = true;
    assert_int_equal(kit_run(k[0]), 0);
    assert_true(k[0]->result.counts.bytes_read >= N);
    assert_int_equal(k[0]->v.chunks_put, chunks);
    free(b);
    kit_free(k[0]);
    kit_free(k[1]);
}

static void a_damaged_tree_cache_costs_reading_only(void **state)
{
    struct kit *k = kit_new();
    char name[700], hex[33];
    (void)state;
    tree_edge(k->src);
    assert_int_equal(kit_backup(k), 0);
    sm_hex(k->v.source.b, 16, hex);
    (void)snprintf(name, sizeof name, "%s/tree-%s", k->state, hex);
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 997) {
        int fd = open(name, O_RDWR | O_CLOEXEC);
        uint8_t was, now;
        assert_true(fd >= 0 && pread(fd, &was, 1, at) == 1);
        now = was ^ 0x41;
        assert_int_equal(pwrite(fd, &now, 1, at), 1);
        close(fd);
        assert_int_equal(kit_backup(k), 0);
        assert_int_equal(k->result.status, RUN_COMPLETE);
    }
    kit_restore_equal(k);
    kit_free(k);
}

static void a_cancelled_run_makes_no_generation(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    for (int i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "noise-%d", i);
        tree_fill(k->src, name, (size_t)11 << 20, 1, (uint64_t)i);
    }
    k->cancel_after = 1;
    assert_int_equal(kit_backup(k), -SM_ECANCEL);
    assert_int_equal(k->v.manifests, 0);
    k->cancel_after = 0;
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->v.duplicates, 0);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_refused_manifest_leaves_the_cache_as_it_was(void **state)
{
    struct kit *k = kit_new();
    (void)state;
    tree_edge(k->src);
    k->v.fail_manifest = true;
    assert_int_equal(kit_backup(k), -SM_EPEER);
    k->v.fail_manifest = false;
    uint64_t chunks = k->v.chunks_put;
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->v.chunks_put, chunks);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_path_that_is_not_there_makes_the_run_partial(void **state)
{
    struct kit *k = kit_new();
    char gone[400];
    (void)state;
    tree_text_file(k->src, "a", "a");
    (void)snprintf(gone, sizeof gone, "%s/gone", k->base);
    k->roots[1] = gone;
    k->roots_n = 2;
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.status, RUN_PARTIAL);
    assert_int_equal(k->problems, 1);
    assert_string_equal(k->problem_path, gone);
    assert_int_equal(k->problem_err, -ENOENT);
    k->roots[0] = gone;
    k->roots_n = 1;
    assert_int_equal(kit_backup(k), -SM_ENOTFOUND);
    assert_int_equal(k->v.manifests, 1);
    kit_free(k);
}

/* Runs in a child without privilege: root may read everything. */
static int unreadable_child(struct kit *k)
{
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        return 2;
    int e = kit_backup(k);
    bool ok = e == 0 && k->result.status == RUN_PARTIAL && k->problems == 2 && k->result.counts.unreadable == 2;
    return ok ? 0 : 1;
}

static void what_may_not_be_read_is_named_and_the_rest_is_saved(void **state)
{
    struct kit *k = kit_new();
    char p[700];
    (void)state;
    tree_text_file(k->src, "good", "g");
    tree_text_file(k->src, "secret", "s");
    kit_path(k, "secret", p);
    assert_int_equal(chmod(p, 0), 0);
    kit_path(k, "closed", p);
    assert_int_equal(mkdir(p, 0), 0);
    if (geteuid() == 0) {
        assert_int_equal(chmod(k->base, 0755), 0);
        assert_int_equal(chown(k->state, 65534, 65534), 0);
        assert_int_equal(chown(k->v.dir, 65534, 65534), 0);
    }
    pid_t child = fork();
    if (child == 0)
        _exit(unreadable_child(k));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    kit_free(k);
}

struct scribbler { char path[700]; atomic_bool stop; };
static void *scribble(void *arg)
{
    struct scribbler *s = arg;
    for (uint64_t n = 0; !atomic_load(&s->stop); n++) {
        int fd = open(s->path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd >= 0) {
            (void)!write(fd, &n, sizeof n);
            close(fd);
        }
    }
    return NULL;
}

static void a_file_that_changes_while_it_is_read_is_noted(void **state)
{
    struct kit *k = kit_new();
    struct scribbler s = { 0 };
    pthread_t t;
    (void)state;
    tree_fill(k->src, "log", (size_t)8 << 20, 1, 1);
    kit_path(k, "log", s.path);
    assert_int_equal(pthread_create(&t, NULL, scribble, &s), 0);
    bool noted = false;
    for (int i = 0; i < 50 && !noted; i++) {
        assert_int_equal(kit_backup(k), 0);
        noted = k->result.counts.changed_while_read == 1;
    }
    atomic_store(&s.stop, true);
    pthread_join(t, NULL);
    assert_true(noted);
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.changed_while_read, 0);
    kit_restore_equal(k);
    kit_free(k);
}

static void encrypted_files_raise_the_clients_own_suspicion(void **state)
{
    struct kit *k = kit_new();
    char a[700], b[700];
    (void)state;
    for (int i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "r%02d.txt", i);
        tree_fill(k->src, name, 9000, 0, (uint64_t)i);
    }
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.client_suspicion, 0);
    for (int i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "r%02d.txt", i);
        kit_path(k, name, a);
        if (i < 20) {
            tree_fill(k->src, name, 9000, 1, (uint64_t)i);
            continue;
        }
        (void)snprintf(b, sizeof b, "%.680s.locked", a);
        assert_int_equal(rename(a, b), 0);
    }
    assert_int_equal(kit_backup(k), 0);
    assert_int_equal(k->result.counts.lost_magic, 20);
    assert_int_equal(k->result.counts.renamed, 20);
    assert_int_equal(k->result.counts.extension_changed, 20);
    assert_true(k->result.counts.client_suspicion >= 50);
    kit_free(k);
}

static void canaries_are_counted_and_a_changed_one_is_seen(void **state)
{
    struct kit *k = kit_new();
    char a[700], b[700];
    const char *canary[2] = { a, b };
    (void)state;
    tree_edge(k->src);
    tree_text_file(k->src, "0-canary.csv", "name,amount\nx,1\n");
    tree_text_file(k->src, "~canary.csv", "name,amount\ny,2\n");
    kit_path(k, "0-canary.csv", a);
    kit_path(k, "~canary.csv", b);
    for (int i = 0; i < 3; i++) {
        kit_prepare(k);
        k->config.canaries = canary;
        k->config.canaries_n = 2;
        assert_int_equal(kit_run(k), 0);
        assert_int_equal(k->result.counts.canaries, 2);
        assert_int_equal(k->result.counts.canaries_changed, 0);
        assert_int_equal(k->result.counts.canaries_missing, 0);
    }
    kit_restore_equal(k);
    tree_text_file(k->src, "0-canary.csv", "name,amount\nx,2\n");
    assert_int_equal(unlink(b), 0);
    kit_prepare(k);
    k->config.canaries = canary;
    k->config.canaries_n = 2;
    assert_int_equal(kit_run(k), 0);
    assert_int_equal(k->result.counts.canaries_changed, 1);
    assert_int_equal(k->result.counts.canaries_missing, 1);
    assert_true(k->result.counts.client_suspicion >= 90);
    kit_free(k);
}

static void a_laid_canary_is_recorded_and_every_touch_is_seen(void **state)
{
    struct kit *k = kit_new();
    static struct canary c[CANARY_EACH], again[CANARY_EACH], other[CANARY_EACH], read[4];
    uint8_t seed[32] = { 7 }, seed2[32] = { 8 };
    enum canary_state s;
    struct stat st;
    size_t n = 0;
    (void)state;
    tree_edge(k->src);
    assert_int_equal(canary_lay(k->src, seed, -1, c), 0);
    assert_int_equal(canary_lay(k->src, seed, -1, again), 0); /* laid twice: the same */
    assert_memory_equal(c, again, sizeof c);
    assert_true(strcmp(c[0].path, c[1].path) < 0);
    assert_int_equal(canary_lay(k->to, seed2, -1, other), -ENOENT);
    for (size_t i = 0; i < CANARY_EACH; i++) {
        assert_int_equal(canary_check(&c[i], &s), 0);
        assert_int_equal(s, CANARY_WHOLE);
        assert_int_equal(stat(c[i].path, &st), 0);
        assert_int_equal((uint64_t)st.st_size, c[i].size);
    }
    assert_int_equal(canary_list_load(k->state_dir, &k->v.source, read, 4, &n), -SM_ENOTFOUND);
    assert_int_equal(canary_list_save(k->state_dir, &k->v.source, c, CANARY_EACH), 0);
    assert_int_equal(canary_list_load(k->state_dir, &k->v.source, read, 1, &n), -SM_ELIMIT);
    assert_int_equal(canary_list_load(k->state_dir, &k->v.source, read, 4, &n), 0);
    assert_int_equal(n, CANARY_EACH);
    assert_memory_equal(read, c, sizeof c);
    /* Written elsewhere and moved: the same decoys, and nothing stays where they were written. */
    assert_int_equal(canary_lay(k->src, seed, k->state_dir, again), 0);
    assert_memory_equal(c, again, sizeof c);
    assert_int_equal(canary_lay(k->src, seed2, k->state_dir, other), 0);
    for (size_t i = 0; i < CANARY_EACH; i++) {
        assert_int_equal(canary_check(&other[i], &s), 0);
        assert_int_equal(s, CANARY_WHOLE);
        assert_int_equal(faccessat(k->state_dir, strrchr(other[i].path, '/') + 1, F_OK, 0), -1);
        assert_int_equal(faccessat(k->state_dir, strrchr(c[i].path, '/') + 1, F_OK, 0), -1);
    }
    int fd = open(c[0].path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "X", 1, 3), 1);
    close(fd);
    assert_int_equal(canary_check(&c[0], &s), 0);
    assert_int_equal(s, CANARY_CHANGED);
    assert_int_equal(canary_remove(&c[0]), -SM_EMISMATCH);
    assert_int_equal(canary_lay(k->src, seed, -1, again), -SM_EEXISTS);
    assert_int_equal(canary_remove(&c[1]), 0);
    assert_int_equal(canary_check(&c[1], &s), 0);
    assert_int_equal(s, CANARY_GONE);
    kit_free(k);
}

static void the_first_name_of_a_linked_file_may_go(void **state)
{
    struct kit *k = kit_new();
    char a[700], b[700], c[700];
    (void)state;
    tree_fill(k->src, "a", 100000, 0, 1);
    kit_path(k, "a", a);
    kit_path(k, "b", b);
    kit_path(k, "c", c);
    assert_int_equal(link(a, b), 0);
    assert_int_equal(link(a, c), 0);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
    assert_int_equal(unlink(a), 0);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
    assert_int_equal(unlink(c), 0);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
    assert_int_equal(link(b, a), 0);
    assert_int_equal(kit_backup(k), 0);
    kit_restore_equal(k);
    kit_free(k);
}

static void a_killed_run_is_taken_up_by_the_next(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct kit *k = kit_new();
        tree_edge(k->src);
        tree_fill(k->src, "noise-x", (size_t)30 << 20, 1, 9);
        assert_int_equal(kit_backup(k), 0);
        tree_fill(k->src, "noise-x", (size_t)30 << 20, 1, 10);
        tree_text_file(k->src, "small-014.hl7", "other");
        pid_t child = fork();
        if (child == 0)
            _exit(kit_backup(k) == 0 ? 0 : 1);
        usleep((useconds_t)(3000 * round));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        /* What the killed one put is unknown to this process: as if the box had it without a manifest. */
        assert_int_equal(kit_backup(k), 0);
        kit_restore_equal(k);
        kit_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_entry_comes_back),
        cmocka_unit_test(an_unchanged_run_reads_no_file_and_writes_no_chunk),
        cmocka_unit_test(a_changed_small_file_costs_little_and_the_others_stay),
        cmocka_unit_test(a_shared_chunk_more_than_half_dead_is_cut_anew),
        cmocka_unit_test(a_run_cut_at_any_pack_goes_on_without_sending_twice),
        cmocka_unit_test(packs_under_way_are_no_more_than_the_sink_takes_and_all_are_awaited),
        cmocka_unit_test(what_was_not_acknowledged_is_not_taken_for_granted),
        cmocka_unit_test(files_read_again_out_of_caution_are_not_called_changed),
        cmocka_unit_test(files_with_the_same_bytes_as_before_are_not_called_changed),
        cmocka_unit_test(files_written_over_with_noise_are_called_changed_beside_a_new_archive),
        cmocka_unit_test(new_files_behind_thousands_of_unchanged_ones_are_saved),
        cmocka_unit_test(what_the_box_lost_is_sent_again),
        cmocka_unit_test(lost_caches_cost_reading_but_no_sending),
        cmocka_unit_test(pictures_of_two_bytes_take_less_where_the_box_knows_planes_and_come_back),
        cmocka_unit_test(a_damaged_tree_cache_costs_reading_only),
        cmocka_unit_test(a_cancelled_run_makes_no_generation),
        cmocka_unit_test(a_refused_manifest_leaves_the_cache_as_it_was),
        cmocka_unit_test(a_path_that_is_not_there_makes_the_run_partial),
        cmocka_unit_test(what_may_not_be_read_is_named_and_the_rest_is_saved),
        cmocka_unit_test(a_file_that_changes_while_it_is_read_is_noted),
        cmocka_unit_test(encrypted_files_raise_the_clients_own_suspicion),
        cmocka_unit_test(canaries_are_counted_and_a_changed_one_is_seen),
        cmocka_unit_test(a_laid_canary_is_recorded_and_every_touch_is_seen),
        cmocka_unit_test(the_first_name_of_a_linked_file_may_go),
        cmocka_unit_test(a_killed_run_is_taken_up_by_the_next),
    };
    return cmocka_run_group_tests_name("vault backup", tests, NULL, NULL);
}
