/* The parent: settings, restarts after kill -9 of every child, notices, the opener, mail, and an orderly end. */
#include "tests/sakimorid/box.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plat/clock.h"
#include "plat/fs.h"

static struct box box;

static int start(void **state)
{
    box_start(&box, "mail_host = 127.0.0.1\nmail_from = box@clinic.example\nmail_tls = none\n");
    return 0;
}

static int stop(void **state)
{
    if (box.pid)
        (void)box_stop(&box);
    box_remove(&box);
    return 0;
}

/* Run the program to its end: exit code, and what it said on standard error. */
static int run_once(const char *a1, const char *v1, const char *a2, const char *v2, struct sm_buf *ret_err)
{
    int err[2], status = -1;
    char piece[512];
    ssize_t n;

    assert_int_equal(pipe(err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        dup2(err[1], 2);
        close(err[0]);
        execl(getenv("FAKEBOX"), "sakimorid", a1, v1, a2, v2, (char *)NULL);
        _exit(127);
    }
    close(err[1]);
    while ((n = read(err[0], piece, sizeof piece)) > 0)
        assert_ok(sm_buf_put(ret_err, piece, (size_t)n));
    close(err[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_exit(int code, const char *a1, const char *v1, const char *a2, const char *v2, const char *says)
{
    struct sm_buf err = SM_BUF_INIT(1 << 16);

    assert_int_equal(run_once(a1, v1, a2, v2, &err), code);
    if (!strstr(sm_buf_str(&err), says))
        print_error("said: %s\n", sm_buf_str(&err));
    assert_non_null(strstr(sm_buf_str(&err), says));
    sm_buf_wipe(&err);
}

static void a_wrong_line_is_named_with_what_is_allowed(void **state)
{
    char conf[200], data[200];

    snprintf(conf, sizeof conf, "%s/bad.conf", box.dir);
    snprintf(data, sizeof data, "%s/other", box.dir);
    assert_ok(plat_replace(AT_FDCWD, conf, SM_SPAN_STR("# note\nlisten = 127.0.0.1\nport = abc\n"), 0600));
    expect_exit(2, "--data", data, "--config", conf, "bad.conf:3");
    expect_exit(2, "--data", data, "--config", conf, "a whole number from 0 to 65534");
    expect_exit(2, "--data", data, "--port", "70000", "a whole number from 0 to 65534");
    expect_exit(2, "--data", data, "--colour", "red", "no such option");
    expect_exit(2, "--child", "nobody", NULL, NULL, "no such part");
}

static void two_boxes_never_share_data(void **state)
{
    expect_exit(1, "--data", box.data, "--port", "0", "running on this data already");
}

static void a_first_start_leaves_a_commented_settings_file(void **state)
{
    char data[200], file[300];
    struct sm_buf text = SM_BUF_INIT(1 << 16);
    struct stat st;

    snprintf(data, sizeof data, "%s/fresh", box.dir);
    snprintf(file, sizeof file, "%s/sakimori.conf", data);
    /* An address that is none ends it after the file was made. */
    expect_exit(1, "--data", data, "--listen", "not-an-address", "not-an-address");
    assert_ok(plat_fs_read_file(AT_FDCWD, file, 1 << 16, &text));
    assert_non_null(strstr(sm_buf_str(&text), "port = 8443"));
    assert_non_null(strstr(sm_buf_str(&text), "画面のポート"));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    sm_buf_wipe(&text);
}

static void brain_is_told_how_every_child_is(void **state)
{
    static const char *const names[] = { "front", "keyd", "brain", "vault", "out" };
    struct got g = box_get(&box, "/api/v1/children");
    json_t *j = got_json(&g);

    for (size_t i = 0; i < 5; i++) {
        json_t *c = json_object_get(j, names[i]);
        assert_string_equal(json_string_value(json_object_get(c, "state")), "up");
        assert_true(json_is_true(json_object_get(json_object_get(c, "confined"), "nnp")));
        assert_int_equal(json_is_true(json_object_get(json_object_get(c, "confined"), "uid")), geteuid() == 0);
    }
    json_decref(j);
}

static void only_out_is_told_the_mail_password(void **state)
{
    struct got g = box_get(&box, "/api/v1/config");
    json_t *j = got_json(&g), *s = json_object_get(j, "settings");

    assert_string_equal(json_string_value(json_object_get(s, "mail_host")), "127.0.0.1");
    assert_null(json_object_get(s, "mail_password"));
    assert_null(json_object_get(j, "mail"));
    assert_true(json_array_size(json_object_get(j, "names")) >= 1);
    assert_int_equal(json_array_size(json_object_get(j, "not_separated")), geteuid() == 0 ? 0 : 1);
    json_decref(j);
}

static void *ask_late(void *arg)
{
    struct got g = box_get(&box, "/api/v1/late?ms=1500");
    long status = g.status;

    got_wipe(&g);
    *(long *)arg = status;
    return NULL;
}

static void a_killed_brain_is_back_and_the_question_is_asked_again(void **state)
{
    pid_t brain = box_child(&box, "brain");
    pthread_t t;
    long status = 0;

    assert_true(brain > 0);
    assert_int_equal(pthread_create(&t, NULL, ask_late, &status), 0);
    (void)poll(NULL, 0, 300); /* under way */
    assert_int_equal(kill(brain, SIGKILL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(status, 200);
    assert_true(box_child(&box, "brain") > 0 && box_child(&box, "brain") != brain);
}

static void every_other_child_comes_back_too(void **state)
{
    static const char *const names[] = { "vault", "keyd", "out", "front" };

    for (size_t i = 0; i < 4; i++) {
        pid_t was = box_child(&box, names[i]), now = 0;
        uint64_t until = plat_clock_mono_ms() + 30000;
        assert_true(was > 0);
        assert_int_equal(kill(was, SIGKILL), 0);
        while ((now == 0 || now == was) && plat_clock_mono_ms() < until)
            now = box_child(&box, names[i]);
        assert_true(now > 0 && now != was);
    }
    struct got g = box_get(&box, "/");
    assert_int_equal(g.status, 200);
    got_wipe(&g);
}

static void a_killed_vault_breaks_only_the_pack_under_way(void **state)
{
    static char body[3 << 20];
    struct got g;
    const char *path = "/agent/v1/sessions/s/packs/0000000000000000000000000000000000000000000000000000000000000000";

    kill(box_child(&box, "vault"), SIGKILL);
    g = box_ask(&box, (struct ask){ .door = AGENT, .method = "PUT", .path = path, .headers = { "X-Sakimori-Length: 3145728" },
        .body = body, .body_n = sizeof body });
    /* Waited for the new vault, which then finds that the name is wrong. */
    assert_int_equal(g.status, 422);
    got_wipe(&g);
}

static struct got post(const char *path, const char *body)
{
    return box_ask(&box, (struct ask){ .method = "POST", .path = path, .body = body, .body_n = strlen(body) });
}

static void the_opener_runs_only_while_it_is_wanted(void **state)
{
    struct got g;

    assert_int_equal(box_child(&box, "opener"), 0);
    g = post("/api/v1/opener", "{\"start\":true}");
    assert_int_equal(g.status, 200);
    got_wipe(&g);
    pid_t opener = box_child(&box, "opener");
    assert_true(opener > 0);
    g = post("/api/v1/opener", "{\"start\":false}");
    got_wipe(&g);
    uint64_t until = plat_clock_mono_ms() + 10000;
    while (box_child(&box, "opener") && plat_clock_mono_ms() < until)
        (void)poll(NULL, 0, 50);
    assert_int_equal(box_child(&box, "opener"), 0);
    assert_int_equal(kill(opener, 0), -1);
}

/* ---- a mail server and a web server of one connection each ---- */

struct server { int fd, port; bool smtp; struct sm_buf heard; };

static void say(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static void smtp_line(int fd, const char *line, bool *data)
{
    if (*data) {
        if (!strcmp(line, ".\r\n")) {
            *data = false;
            say(fd, "250 kept\r\n");
        }
    } else if (!strncmp(line, "EHLO", 4)) {
        say(fd, "250-test\r\n250 8BITMIME\r\n");
    } else if (!strncmp(line, "DATA", 4)) {
        *data = true;
        say(fd, "354 go\r\n");
    } else if (!strncmp(line, "QUIT", 4)) {
        say(fd, "221 bye\r\n");
    } else {
        say(fd, "250 ok\r\n");
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct pollfd p = { .fd = s->fd, .events = POLLIN };
    int fd = poll(&p, 1, 30000) > 0 ? accept(s->fd, NULL, NULL) : -1;
    char line[8192];
    bool data = false;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

    if (f && s->smtp)
        say(fd, "220 test\r\n");
    while (f && fgets(line, sizeof line, f)) {
        (void)!sm_buf_put(&s->heard, line, strlen(line));
        if (s->smtp) {
            smtp_line(fd, line, &data);
        } else if (!strcmp(line, "\r\n")) {
            size_t n = fread(line, 1, 12, f);
            (void)!sm_buf_put(&s->heard, line, n);
            break;
        }
    }
    if (f && !s->smtp)
        say(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    if (f)
        fclose(f);
    return NULL;
}

static pthread_t server_start(struct server *s, bool smtp)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof a;
    pthread_t t;

    *s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .smtp = smtp, .heard = SM_BUF_INIT(1 << 20) };
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&t, NULL, serve, s), 0);
    return t;
}

static void a_japanese_mail_reaches_the_server_that_the_console_set(void **state)
{
    struct server s;
    pthread_t t = server_start(&s, true);
    char body[400];
    struct got g;

    snprintf(body, sizeof body, "{\"host\":\"127.0.0.1\",\"port\":%d,\"tls\":\"none\",\"from\":\"box@clinic.example\",\"user\":\"\"}", s.port);
    g = post("/api/v1/mailset", body);
    assert_int_equal(g.status, 200);
    got_wipe(&g);
    g = post("/api/v1/mail", "{\"id\":\"m1\",\"to\":[\"a@b.example\",\"c@d.example\"],\"subject\":\"【防人】確認してください\","
        "\"text\":\"バックアップが止まっています。\\n.\\n\",\"tries\":1}");
    assert_int_equal(g.status, 200);
    got_wipe(&g);
    box_wait(&box, "/api/v1/results", "\"id\":\"m1\",\"kind\":\"mail\",\"ok\":true");
    assert_int_equal(pthread_join(t, NULL), 0);
    const char *heard = sm_buf_str(&s.heard);
    assert_non_null(strstr(heard, "MAIL FROM:<box@clinic.example>"));
    assert_non_null(strstr(heard, "RCPT TO:<a@b.example>"));
    assert_non_null(strstr(heard, "RCPT TO:<c@d.example>"));
    assert_non_null(strstr(heard, "Subject: =?UTF-8?B?44CQ6Ziy5Lq644CR"));
    assert_non_null(strstr(heard, "Content-Transfer-Encoding: base64"));
    assert_null(strstr(heard, "防人"));
    sm_buf_wipe(&s.heard);
    close(s.fd);
}

/* Whoever can set where mail goes, but does not know the password, cannot have it sent to a server of theirs. */
static void a_password_is_not_taken_along_to_another_mail_server(void **state)
{
    static const struct { const char *host, *password; bool has; } steps[] = { { "mail.clinic.example", ",\"password\":\"p-of-mail\"", true },
        { "mail.clinic.example", "", true }, { "evil.example", "", false }, { "mail.clinic.example", "", false } };
    char path[120], body[300];

    snprintf(path, sizeof path, "%s/mail.json", box.data);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sm_buf kept = SM_BUF_INIT(8192);
        snprintf(body, sizeof body, "{\"host\":\"%s\",\"port\":587,\"tls\":\"tls\",\"user\":\"u\",\"from\":\"a@b\"%s}", steps[i].host,
            steps[i].password);
        struct got g = post("/api/v1/mailset", body);
        assert_int_equal(g.status, 200);
        got_wipe(&g);
        assert_int_equal(plat_fs_read_file(AT_FDCWD, path, 8192, &kept), 0);
        assert_non_null(strstr(sm_buf_str(&kept), steps[i].host));
        assert_int_equal(strstr(sm_buf_str(&kept), "p-of-mail") != NULL, steps[i].has);
        sm_buf_wipe(&kept);
    }
}

static void kept_after(const char *route, const char *body, const char *file, bool has)
{
    struct sm_buf kept = SM_BUF_INIT(8192);
    char path[120];

    snprintf(path, sizeof path, "%s/%s", box.data, file);
    struct got g = post(route, body);
    assert_int_equal(g.status, 200);
    got_wipe(&g);
    assert_int_equal(plat_fs_read_file(AT_FDCWD, path, 8192, &kept), 0);
    assert_int_equal(strstr(sm_buf_str(&kept), "s-of-it") != NULL, has);
    sm_buf_wipe(&kept);
}

static void nor_a_token_to_another_firewall_or_a_password_to_another_store(void **state)
{
    kept_after("/api/v1/wallset", "{\"url\":\"https://fw\",\"pin\":\"\",\"token\":\"s-of-it\"}", "firewall.json", true);
    kept_after("/api/v1/wallset", "{\"url\":\"https://fw\",\"pin\":\"p\"}", "firewall.json", true);
    kept_after("/api/v1/wallset", "{\"url\":\"https://evil\",\"pin\":\"p\"}", "firewall.json", false);
#define STORE(urls, more) "{\"store\":\"local\",\"urls\":\"" urls "\",\"database\":\"d\",\"table\":\"t\",\"user\":\"u\"" more ",\"ca\":\"\"}"
    kept_after("/api/v1/houseset", STORE("https://ch", ",\"password\":\"s-of-it\""), "house.json", true);
    kept_after("/api/v1/houseset", STORE("https://ch", ""), "house.json", true);
    kept_after("/api/v1/houseset", STORE("https://evil", ""), "house.json", false);
#undef STORE
}

static void a_web_hook_is_posted_and_follows_no_redirect(void **state)
{
    struct server s;
    pthread_t t = server_start(&s, false);
    char body[400];
    struct got g;

    snprintf(body, sizeof body, "{\"id\":\"h1\",\"url\":\"http://127.0.0.1:%d/hook\",\"json\":{\"text\":\"x\"},\"tries\":1}", s.port);
    g = post("/api/v1/hook", body);
    assert_int_equal(g.status, 200);
    got_wipe(&g);
    box_wait(&box, "/api/v1/results", "\"detail\":\"302\",\"id\":\"h1\",\"kind\":\"webhook\",\"ok\":false");
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_non_null(strstr(sm_buf_str(&s.heard), "POST /hook HTTP/1.1"));
    assert_non_null(strstr(sm_buf_str(&s.heard), "{\"text\":\"x\"}"));
    sm_buf_wipe(&s.heard);
    close(s.fd);
    g = post("/api/v1/hook", "{\"id\":\"h2\",\"url\":\"file:///etc/passwd\",\"json\":{},\"tries\":1}");
    got_wipe(&g);
    box_wait(&box, "/api/v1/results", "\"id\":\"h2\",\"kind\":\"webhook\",\"ok\":false");
}

static void a_mail_that_cannot_be_is_refused_with_the_reason(void **state)
{
    struct got g = post("/api/v1/mail", "{\"id\":\"m2\",\"to\":[\"a@b.example\\r\\nBcc: x@y\"],\"subject\":\"s\",\"text\":\"t\",\"tries\":1}");

    got_wipe(&g);
    box_wait(&box, "/api/v1/results", "\"id\":\"m2\",\"kind\":\"mail\",\"ok\":false");
    g = post("/api/v1/mailset", "{\"host\":\"h\",\"port\":0,\"tls\":\"none\",\"from\":\"a@b\"}");
    assert_int_equal(g.status, 502);
    got_wipe(&g);
}

static void sigterm_ends_everything_in_order(void **state)
{
    static const char *const names[] = { "front", "keyd", "brain", "vault", "out" };
    pid_t pids[5];
    uint64_t began;

    for (int i = 0; i < 5; i++)
        pids[i] = box_child(&box, names[i]);
    began = plat_clock_mono_ms();
    assert_int_equal(box_stop(&box), 0);
    assert_true(plat_clock_mono_ms() - began < 20000);
    for (int i = 0; i < 5; i++)
        assert_true(pids[i] > 0 && kill(pids[i], 0) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_line_is_named_with_what_is_allowed),
        cmocka_unit_test(two_boxes_never_share_data),
        cmocka_unit_test(a_first_start_leaves_a_commented_settings_file),
        cmocka_unit_test(brain_is_told_how_every_child_is),
        cmocka_unit_test(only_out_is_told_the_mail_password),
        cmocka_unit_test(a_killed_brain_is_back_and_the_question_is_asked_again),
        cmocka_unit_test(every_other_child_comes_back_too),
        cmocka_unit_test(a_killed_vault_breaks_only_the_pack_under_way),
        cmocka_unit_test(the_opener_runs_only_while_it_is_wanted),
        cmocka_unit_test(a_japanese_mail_reaches_the_server_that_the_console_set),
        cmocka_unit_test(a_password_is_not_taken_along_to_another_mail_server),
        cmocka_unit_test(nor_a_token_to_another_firewall_or_a_password_to_another_store),
        cmocka_unit_test(a_web_hook_is_posted_and_follows_no_redirect),
        cmocka_unit_test(a_mail_that_cannot_be_is_refused_with_the_reason),
        cmocka_unit_test(sigterm_ends_everything_in_order),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, start, stop);
}
