/* The real program against a small box of canned answers on a local socket: exit codes, languages, JSON. */
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/fs.h"
#include "plat/local.h"
#include "plat/poll.h"
#include "plat/proc.h"
#include "sakimori/guide.h"

static char dir[64], data_path[96], out[1 << 16], err[1 << 16];
static int listening = -1;
static pthread_t server;

/* What the box says to a request that begins so. */
static const struct { const char *request, *status, *body;
} canned[] = {
    { "GET /healthz", "200 OK", "{\"ok\":true,\"version\":\"0.1.0\"}" },
    { "GET /api/v1/devices", "200 OK",
        "{\"items\":[{\"id\":\"0011223344556677\",\"name\":\"受付\\u001b[31m\",\"state\":\"late\"}],\"next\":null}" },
    { "GET /api/v1/people?cursor=2", "200 OK", "{\"items\":[{\"id\":\"b\",\"account\":\"two\"}],\"next\":null}" },
    { "GET /api/v1/people", "200 OK", "{\"items\":[{\"id\":\"a\",\"account\":\"one\"}],\"next\":\"2\"}" },
    { "GET /api/v1/sources", "401 Unauthorized", "{\"error\":{\"code\":\"not_signed_in\",\"message\":\"sign in\"}}" },
    { "GET /api/v1/audit", "403 Forbidden", "{\"error\":{\"code\":\"denied\",\"message\":\"not allowed\"}}" },
    { "GET /api/v1/generations/", "409 Conflict",
        "{\"error\":{\"code\":\"unlock_needed\",\"message\":\"unlock first\"}}" },
    { "GET /api/v1/card", "200 OK",
        "{\"title\":\"Emergency card\",\"institution\":\"Sakura\",\"dont\":[\"pay\"],\"steps\":[{\"minutes\":\"0-3\","
        "\"title\":\"Unplug\",\"lines\":[\"the cable\"]}],\"contacts\":[{\"name\":\"Vendor\",\"phone\":\"0120\"}]}" },
    { "GET /api/v1/status", "200 OK", "{\"state\":\"ok\",\"setup_done\":true}" },
    { "DELETE /api/v1/unlock", "400 Bad Request",
        "{\"error\":{\"code\":\"bad_request\",\"message\":\"not right\",\"field\":\"kind\",\"detail\":\"one of two\"}}" },
    { "GET /api/v1/runs/aaaa", "404 Not Found", "{\"error\":{\"code\":\"not_found\",\"message\":\"no such run\"}}" },
    { "GET /api/v1/runs/bbbb", "200 OK",
        "{\"id\":\"bbbb\",\"state\":\"partial\",\"problems\":[{\"path\":\"/x\",\"what\":\"open\"}]}" },
    { "GET /api/v1/runs/cccc", "200 OK", "{\"id\":\"cccc\",\"state\":\"failed\"}" },
    { "GET /api/v1/runs/eeeeeeeeeeee00000000000000000000", "200 OK",
        "{\"id\":\"eeeeeeeeeeee00000000000000000000\",\"state\":\"complete\"}" },
    { "GET /api/v1/restores/feedfeedfeedfeedfeedfeedfeedfeed", "200 OK",
        "{\"id\":\"feedfeedfeedfeedfeedfeedfeedfeed\",\"state\":\"complete\"}" },
    { "GET /api/v1/runs/dddd", "200 OK", "{\"id\":\"dddd\",\"state\":\"complete\"}" },
    { "GET /api/v1/runs?cursor=", "200 OK",
        "{\"items\":[{\"id\":\"0123456789abcdef0123456789abcdef\"},{\"id\":\"0123456789abffff0123456789abcdef\"},"
        "{\"id\":\"eeeeeeeeeeee00000000000000000000\"}],\"next\":null}" },
    { "GET /api/v1/runs", "200 OK", "{\"items\":[{\"id\":\"0123456789abcdef0123456789abcdef\"}],\"next\":\"1\"}" },
    { "GET /api/v1/restores", "200 OK", "{\"items\":[{\"id\":\"feedfeedfeedfeedfeedfeedfeedfeed\"}],\"next\":null}" },
    { "POST /api/v1/runs/eeeeeeeeeeee00000000000000000000/cancel", "200 OK", "{\"ok\":true}" },
    { "POST /api/v1/restores/feedfeedfeedfeedfeedfeedfeedfeed/cancel", "200 OK", "{\"ok\":true}" },
    { "GET /api/v1/rules?limit=200", "200 OK",
        "{\"items\":[{\"id\":\"11111111-2222-3333-4444-555555555555\",\"level\":\"high\"}],\"next\":null}" },
    { "PATCH /api/v1/rules/11111111-2222-3333-4444-555555555555", "200 OK", "{\"ok\":true}" },
    { "GET /api/v1/reviews/2026-10", "200 OK", "{\"month\":\"2026-10\",\"incidents\":[{\"id\":4,\"severity\":\"call\",\"title\":\"VPN\"}],\"levels\":{\"high\":3},"
        "\"drills\":{\"passed\":7,\"failed\":0},\"over\":true,\"signed\":null}" },
    { "GET /api/v1/reviews", "200 OK", "{\"items\":[{\"month\":\"2026-10\",\"over\":true,\"signed\":false}],\"next\":null}" },
    { "POST /api/v1/reviews/2026-10/sign", "200 OK", "{\"hash\":\"aa11\"}" },
    { "POST /api/v1/reviews/2026-11/sign", "409 Conflict", "{\"error\":{\"code\":\"conflict\",\"message\":\"not over\"}}" },
    { "GET /api/v1/logs/sources", "200 OK", "{\"items\":[{\"id\":\"1\",\"skew_s\":-1795412417},{\"id\":\"2\",\"skew_s\":3725},{\"id\":\"3\",\"skew_s\":0}],\"next\":null}" },
    { "POST /api/v1/audit/verify", "200 OK",
        "{\"ok\":false,\"lines\":9,\"first_bad\":{\"line\":4,\"why\":\"changed\"}}" },
    { "GET /api/v1/session", "200 OK", "{\"institution\":\"Sakura Clinic\",\"person\":{\"name\":\"院長\",\"role\":\"director\"}}" },
    { "POST /api/v1/session/password", "200 OK", "{\"ok\":true}" },
    { "POST /api/v1/session", "200 OK",
        "{\"token\":\"0123456789abcdef\",\"session\":{\"person\":{\"name\":\"院長\",\"role\":\"director\"}}}" },
    { "DELETE /api/v1/session", "200 OK", "{\"ok\":true}" },
    { "GET /api/v1/alarms", "200 OK", "this is no JSON" },
    { "GET ", "500 Internal Server Error", "{\"error\":{\"code\":\"internal\",\"message\":\"broken\"}}" },
};

/* The last request with a body, as it came; read only after the program has ended. */
static char posted[8192];

static bool whole(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
    return end && (!length || length > end || strlen(end + 4) >= strtoul(length + 15, NULL, 10));
}

static void answer(int fd)
{
    char text[8192] = "";
    size_t n = 0;
    ssize_t got;
    while (n + 1 < sizeof text && (got = read(fd, text + n, sizeof text - 1 - n)) > 0) {
        n += (size_t)got;
        text[n] = 0;
        if (whole(text))
            break;
    }
    if (!strncmp(text, "POST ", 5))
        memcpy(posted, text, n + 1);
    for (size_t i = 0; i < sizeof canned / sizeof *canned; i++) {
        if (strncmp(text, canned[i].request, strlen(canned[i].request)))
            continue;
        int m = snprintf(text, sizeof text,
            "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            canned[i].status, strlen(canned[i].body), canned[i].body);
        (void)!write(fd, text, (size_t)m); /* a client that went away is its own fault */
        break;
    }
    (void)shutdown(fd, SHUT_WR);
    while (read(fd, text, sizeof text) > 0)
        ;
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct plat_peer peer;
        if (plat_poll_one(listening, PLAT_POLL_READ, 20000) != 1)
            return NULL;
        int fd = plat_local_accept(listening, &peer);
        if (fd < 0)
            return NULL;
        if (fcntl(fd, F_SETFL, 0) < 0)
            return NULL;
        answer(fd);
    }
}

static void take(const char *name, char *to, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, to, size - 1);
    to[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
}

/* Run it; input may be NULL.  Its exit code. */
static int run(const char *input, const char *const *words)
{
    char *argv[32], text[160], home[96], config[96];
    char *env[] = { (char *)"PATH=/usr/bin:/bin", home, config, (char *)"LANG=C.UTF-8",
        (char *)"ASAN_OPTIONS=detect_leaks=0", NULL };
    int n = 0, status = -1, fds[3];
    struct plat_proc p = PLAT_PROC_NONE;
    snprintf(home, sizeof home, "HOME=%s", dir);
    snprintf(config, sizeof config, "XDG_CONFIG_HOME=%s/config", dir);
    argv[n++] = (char *)SAKIMORI;
    for (; *words; words++)
        argv[n++] = (char *)*words;
    argv[n] = NULL;
    static const char *const names[] = { "in", "out", "err" };
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s/%s", dir, names[i]);
        fds[i] = open(text, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fds[i] >= 0);
    }
    if (input) {
        assert_ok(plat_fs_write_all(fds[0], SM_SPAN_STR(input)));
        assert_int_equal(lseek(fds[0], 0, SEEK_SET), 0);
    }
    const struct plat_spawn_fd map[] = { { fds[0], 0 }, { fds[1], 1 }, { fds[2], 2 } };
    const struct plat_spawn s = { .path = SAKIMORI, .argv = argv, .env = env, .fds = map, .fds_n = 3, .dir = dir };
    assert_ok(plat_proc_spawn(&s, &p));
    assert_ok(plat_proc_wait(&p, 60000, &status));
    plat_proc_close(&p);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    take("out", out, sizeof out);
    take("err", err, sizeof err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
#define RUN(...) run(NULL, (const char *const[]){ __VA_ARGS__, NULL })
#define BOX "--data", data_path, "--lang", "en"

static int start(void **state)
{
    char path[128];
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/sakimori-cli-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(data_path, sizeof data_path, "%s/data", dir);
    snprintf(path, sizeof path, "%s/run", data_path);
    assert_ok(plat_fs_mkdir_p(path, 0700));
    snprintf(path, sizeof path, "%s/run/cli.sock", data_path);
    listening = plat_local_listen(path, 0600);
    assert_true(listening >= 0);
    return pthread_create(&server, NULL, serve, NULL);
}

static int stop(void **state)
{
    (void)state;
    shutdown(listening, SHUT_RDWR);
    pthread_join(server, NULL);
    close(listening);
    return plat_fs_remove_tree(AT_FDCWD, dir);
}

static void help_is_there_in_both_languages(void **state)
{
    (void)state;
    assert_int_equal(RUN("--help", "--lang", "ja"), 0);
    assert_non_null(strstr(out, "使い方"));
    assert_int_equal(RUN("--help", "--lang=en"), 0);
    assert_non_null(strstr(out, "Usage"));
    assert_int_equal(RUN("source", "add", "--help", "--lang", "en"), 0);
    assert_non_null(strstr(out, "--exclude"));
    assert_int_equal(RUN("--version"), 0);
    assert_non_null(strstr(out, "sakimori "));
}

static void exit_codes_are_as_documented(void **state)
{
    (void)state;
    assert_int_equal(RUN("healthz", BOX), 0);
    assert_int_equal(RUN("today", BOX), 1);
    assert_int_equal(RUN("nonsense"), 2);
    assert_int_equal(RUN("--lang", "de", "status"), 2);
    assert_int_equal(RUN("source", "list", BOX), 3);
    assert_non_null(strstr(err, "sakimori sign-in"));
    assert_int_equal(RUN("audit", "list", BOX), 3);
    assert_int_equal(RUN("backup", "show", "aaaa", BOX), 4);
    assert_int_equal(
        RUN("generations", "ls", "0000000000000000000000000000000000000000000000000000000000000000", BOX), 5);
    assert_non_null(strstr(err, "sakimori unlock"));
    assert_int_equal(RUN("backup", "watch", "bbbb", BOX), 6);
    assert_non_null(strstr(err, "/x"));
    assert_int_equal(RUN("backup", "watch", "cccc", BOX), 1);
    assert_int_equal(RUN("backup", "watch", "dddd", BOX), 0);
    assert_int_equal(RUN("status", "--data", "/nonexistent"), 7);
    assert_int_equal(RUN("audit", "verify", BOX), 1);
}

static void card_status_and_errors_are_for_people(void **state)
{
    (void)state;
    assert_int_equal(RUN("card", BOX), 0);
    assert_non_null(strstr(out, "Minute 0-3  Unplug\n  - the cable\n"));
    assert_non_null(strstr(out, "0120"));
    assert_null(strchr(out, '{'));
    assert_int_equal(RUN("status", BOX), 0);
    assert_non_null(strstr(out, "Sakura Clinic"));
    assert_int_equal(RUN("lock", BOX), 1);
    assert_non_null(strstr(err, "not right (field: kind)"));
    assert_non_null(strstr(err, "one of two"));
}

static void lists_are_tables_or_json_and_never_raw_bytes(void **state)
{
    (void)state;
    assert_int_equal(RUN("devices", "list", "--data", data_path, "--lang", "ja"), 0);
    assert_non_null(strstr(out, "遅れ"));
    assert_null(strchr(out, '\033'));
    assert_non_null(strstr(out, "\\x1b"));
    assert_int_equal(RUN("devices", "list", BOX), 0);
    assert_non_null(strstr(out, "late"));
    assert_int_equal(RUN("devices", "list", "--json", BOX), 0);
    assert_non_null(strstr(out, "\"items\":[{"));
    assert_null(strchr(out, '\033'));
}

static void all_pages_of_a_list_are_fetched(void **state)
{
    (void)state;
    assert_int_equal(RUN("people", "list", "--json", BOX), 0);
    assert_non_null(strstr(out, "\"one\""));
    assert_non_null(strstr(out, "\"two\""));
}

/* Tables show twelve characters of an id: these are taken wherever an id is. */
static void the_beginning_of_an_id_serves_where_a_table_shows_it(void **state)
{
    (void)state;
    assert_int_equal(RUN("backup", "show", "eeeeeeeeeeee", BOX), 0);
    assert_int_equal(RUN("backup", "show", "eeeeeeeeeeee00000000000000000000", BOX), 0);
    assert_int_equal(RUN("backup", "watch", "eeeeeeee", BOX), 0);
    assert_non_null(strstr(out, "eeeeeeeeeeee00000000000000000000"));
    assert_int_equal(RUN("backup", "cancel", "eeeeeeeeeeee", BOX), 0);
    assert_int_equal(RUN("restore", "watch", "feedfeedfeed", BOX), 0);
    assert_int_equal(RUN("restore", "cancel", "feedfeedfeed", BOX), 0);
    assert_int_equal(RUN("rule", "off", "11111111-222", BOX), 0);
    assert_int_equal(RUN("backup", "show", "0123456789ab", BOX), 4);
    assert_non_null(strstr(err, "more than one fits"));
    assert_int_equal(RUN("backup", "show", "999999999999", BOX), 4);
    assert_non_null(strstr(err, "not found"));
}

static void an_answer_that_is_no_json_is_no_crash(void **state)
{
    (void)state;
    int e = RUN("alarms", "list", "--json", BOX);
    assert_int_equal(e, 0);
    assert_string_equal(out, "{\"items\":[]}\n");
}

static void sign_in_reads_the_password_from_standard_input_and_keeps_a_private_token(void **state)
{
    char path[128];
    struct stat st;
    (void)state;
    assert_int_equal(
        run("a secret of mine\n", (const char *const[]){ "sign-in", "incho", "--password-stdin", BOX, NULL }), 0);
    snprintf(path, sizeof path, "%s/config/sakimori/token", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(strstr(err, "a secret of mine"));
    assert_int_equal(RUN("sign-out", BOX), 0);
    assert_int_equal(stat(path, &st), -1);
}

static void a_director_changes_the_password_with_old_new_and_card(void **state)
{
    (void)state;
    assert_int_equal(run("umi-to-yama-7\nsora-to-kumo-8\nSKC1-AAAA\n", (const char *const[]){ "password", "--password-stdin", BOX, NULL }), 0);
    assert_non_null(strstr(posted, "POST /api/v1/session/password"));
    assert_non_null(strstr(posted, "\"old\":\"umi-to-yama-7\""));
    assert_non_null(strstr(posted, "\"new\":\"sora-to-kumo-8\""));
    assert_non_null(strstr(posted, "\"card\":\"SKC1-AAAA\""));
    posted[0] = 0;
    assert_int_equal(run("umi-to-yama-7\nsora-to-kumo-8\n", (const char *const[]){ "password", "--password-stdin", BOX, NULL }), 2);
    assert_int_equal(RUN("password", "surplus", BOX), 2);
    assert_string_equal(posted, "");
}

static void a_thaw_needs_a_reason(void **state)
{
    (void)state;
    posted[0] = 0;
    assert_int_equal(RUN("alarms", "thaw", "aaaa", "--false-alarm", BOX), 2);
    assert_non_null(strstr(err, "--why"));
    assert_string_equal(posted, "");
}

static void an_answers_file_that_others_can_read_is_refused(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/answers.json", dir);
    int fd = plat_fs_create(AT_FDCWD, path, PLAT_FS_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("{\"account\":\"incho\",\"password\":\"x\"}")));
    assert_int_equal(RUN("sign-in", "--answers", path, BOX), 2);
    assert_int_equal(fchmod(fd, 0600), 0);
    close(fd);
    assert_int_equal(RUN("sign-in", "--answers", path, BOX), 0);
}

static void the_settings_file_is_checked_and_the_wrong_line_is_named(void **state)
{
    char path[128];
    (void)state;
    assert_int_equal(RUN("settings", "print"), 0);
    assert_non_null(strstr(out, "listen = "));
    snprintf(path, sizeof path, "%s/sakimori.conf", dir);
    int fd = plat_fs_create(AT_FDCWD, path, PLAT_FS_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("# x\nport = abc\n")));
    close(fd);
    assert_int_equal(RUN("settings", "print", path), 2);
    assert_non_null(strstr(err, ":2:"));
}

static void an_offline_audit_check_names_file_and_line(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/audit.jsonl", dir);
    int fd = plat_fs_create(AT_FDCWD, path, PLAT_FS_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("{}\n")));
    close(fd);
    assert_int_equal(RUN("audit", "verify", "--file", path, "--lang", "en"), 1);
    assert_non_null(strstr(err, "line 1"));
    assert_int_equal(RUN("audit", "verify", "--file", "/nonexistent"), 4);
}

static void a_log_file_becomes_events_and_what_was_not_understood_is_told(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/router.log", dir);
    int fd = plat_fs_create(AT_FDCWD, path, PLAT_FS_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_ok(plat_fs_write_all(fd, SM_SPAN_STR("2026/11/15 02:43:30: Login succeeded for HTTP: 192.168.100.31\n"
        "2026/11/15 02:45:00: \x90\xdd\x92\xe8\x82\xf0\x95\xdb\x91\xb6\x82\xb5\x82\xdc\x82\xb5\x82\xbd\nnobody's line")));
    close(fd);
    assert_int_equal(RUN("events", path, "--lang", "en"), 6);
    assert_non_null(strstr(out, "\"@product\":\"yamaha\""));
    assert_non_null(strstr(out, "\"@timestamp\":\"2026-11-14T17:43:30Z\""));
    assert_non_null(strstr(out, "\"src_ip\":\"192.168.100.31\""));
    assert_non_null(strstr(out, "\"Message\":\"設定を保存しました\""));
    assert_non_null(strstr(out, "\"Message\":\"nobody's line\""));
    assert_non_null(strstr(err, "1 not understood"));
    assert_int_equal(RUN("events", path, "--zone", "Z"), 6);
    assert_non_null(strstr(out, "\"@timestamp\":\"2026-11-15T02:43:30Z\""));
    assert_int_equal(RUN("events", path, "--format", "nothing-of-that-name", "--lang", "en"), 2);
    assert_non_null(strstr(err, "fortigate"));
    assert_int_equal(RUN("events", path, "--encoding", "klingon"), 2);
    assert_int_equal(RUN("events", path, "--zone", "noon"), 2);
    assert_int_equal(RUN("events", path, "--mapping", path), 2);
    assert_int_equal(RUN("events", "/nonexistent"), 4);
}

static void recover_without_a_vault_says_so(void **state)
{
    (void)state;
    assert_int_equal(RUN("recover", "--vault", dir, "--list"), 4);
    assert_int_equal(RUN("recover", "--vault", dir), 2);
    assert_int_equal(RUN("vault", "verify", "--vault", dir), 4);
    assert_int_equal(RUN("journal", "show", "--vault", dir), 4);
}

static void the_guide_tells_times_of_japan_and_kinds_in_words(void **state)
{
    struct cli c = { .ja = true };
    struct sm_buf b = SM_BUF_INIT(65536);
    json_t *g = json_pack("{s:{s:s},s:s,s:s,s:[{s:s,s:s,s:s,s:i}]}", "device", "name", "受付", "institution", "さくら", "made",
        "2026-11-22T20:30:00Z", "sources", "name", "帳票", "kind", "smb", "at", "2026-11-21T16:05:00.000Z", "bytes", 0);
    (void)state;
    assert_ok(guide_text(&c, g, &b));
    const char *text = sm_buf_str(&b);
    assert_non_null(strstr(text, "さくら 2026-11-23 05:30\n"));
    assert_non_null(strstr(text, "帳票 (共有フォルダー) 0 B  2026-11-22 01:05\n"));
    assert_null(strstr(text, "00Z"));
    sm_buf_wipe(&b);
    json_decref(g);
}

static void the_clock_of_a_sender_is_told_in_days_and_hours(void **state)
{
    assert_int_equal(RUN("logs", "sources", "--data", data_path, "--lang", "ja"), 0);
    assert_non_null(strstr(out, "20780日5時間遅れ"));
    assert_non_null(strstr(out, "1時間2分進み"));
    assert_null(strstr(out, "1795412417"));
    assert_int_equal(RUN("logs", "sources", BOX), 0);
    assert_non_null(strstr(out, "1 h 2 min fast"));
    assert_int_equal(RUN("logs", "sources", "--json", BOX), 0);
    assert_non_null(strstr(out, "-1795412417"));
}

static void a_month_is_shown_and_signed_with_the_password(void **state)
{
    assert_int_equal(RUN("review", "list", BOX), 0);
    assert_non_null(strstr(out, "2026-10"));
    assert_int_equal(RUN("review", "show", "2026-10", BOX), 0);
    assert_non_null(strstr(out, "VPN"));
    assert_non_null(strstr(out, " 3\n"));
    assert_non_null(strstr(out, "7"));
    assert_int_equal(RUN("review", "show", "../session", BOX), 2);
    assert_int_equal(run("umi-to-yama-7\n", (const char *const[]){ "review", "sign", "2026-10", "--password-stdin", BOX, NULL }), 0);
    assert_string_equal(out, "aa11\n");
    assert_int_equal(run("umi-to-yama-7\n", (const char *const[]){ "review", "sign", "2026-11", "--password-stdin", BOX, NULL }), 1);
    assert_non_null(strstr(err, "not over"));
}

static void a_rule_or_a_log_that_is_not_there_is_the_same_exit_code(void **state)
{
    char rule[96];
    (void)snprintf(rule, sizeof rule, "%s/rule.yml", dir);
    FILE *f = fopen(rule, "w");
    assert_non_null(f);
    assert_true(fputs("title: x\nid: 0b2c0a55-6f1c-4f3e-9a51-4f5a2b1c0d11\nlogsource: {product: linux}\ndetection:\n  a: {Message|contains: m}\n  condition: a\n", f) > 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(RUN("rules", "test", rule, "/nowhere/at/all.log"), 4);
    assert_non_null(strstr(err, "/nowhere/at/all.log"));
    assert_int_equal(RUN("rules", "test", "/nowhere/at/all.yml", rule), 4);
    assert_non_null(strstr(err, "/nowhere/at/all.yml"));
}

static void words_of_the_api_are_japanese_in_japanese_lists(void **state)
{
    static const char *const words[] = { "box", "s3", "sheet", "card", "proved", "files", "smb", "recipients" };
    struct cli ja = { .ja = true }, en = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_string_not_equal(cli_word(&ja, words[i]), words[i]);
        assert_string_not_equal(cli_word(&ja, words[i]), cli_word(&en, words[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_is_there_in_both_languages),
        cmocka_unit_test(exit_codes_are_as_documented),
        cmocka_unit_test(card_status_and_errors_are_for_people),
        cmocka_unit_test(lists_are_tables_or_json_and_never_raw_bytes),
        cmocka_unit_test(all_pages_of_a_list_are_fetched),
        cmocka_unit_test(the_beginning_of_an_id_serves_where_a_table_shows_it),
        cmocka_unit_test(an_answer_that_is_no_json_is_no_crash),
        cmocka_unit_test(sign_in_reads_the_password_from_standard_input_and_keeps_a_private_token),
        cmocka_unit_test(a_director_changes_the_password_with_old_new_and_card),
        cmocka_unit_test(a_thaw_needs_a_reason),
        cmocka_unit_test(an_answers_file_that_others_can_read_is_refused),
        cmocka_unit_test(the_settings_file_is_checked_and_the_wrong_line_is_named),
        cmocka_unit_test(an_offline_audit_check_names_file_and_line),
        cmocka_unit_test(a_log_file_becomes_events_and_what_was_not_understood_is_told),
        cmocka_unit_test(recover_without_a_vault_says_so),
        cmocka_unit_test(the_guide_tells_times_of_japan_and_kinds_in_words),
        cmocka_unit_test(the_clock_of_a_sender_is_told_in_days_and_hours),
        cmocka_unit_test(a_month_is_shown_and_signed_with_the_password),
        cmocka_unit_test(a_rule_or_a_log_that_is_not_there_is_the_same_exit_code),
        cmocka_unit_test(words_of_the_api_are_japanese_in_japanese_lists),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
