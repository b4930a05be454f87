/*
 * Lines of real machines, as far as the shared test data is there (SAKIMORI_SHARED, or ../shared beside the work
 * tree): which
 * product a line is from, and whether host, program, process, time, address and user are read as their tables say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "normalise/normalise.h"
#include "../test.h"

static struct event_names *names;
static struct normalise *norm;
static struct event e;

static const char *shared(void)
{
    const char *s = getenv("SAKIMORI_SHARED");

    return s ? s : SHARED;
}

static FILE *data(const char *name)
{
    char path[600];

    snprintf(path, sizeof path, "%s/data/detection/%s", shared(), name);
    return fopen(path, "r");
}

static bool is(struct sm_span s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.p, text, s.n);
}

static void normalise(struct normalise_state *state, const char *line)
{
    struct normalise_hint h = NORMALISE_HINT;
    h.zone_s = 0;
    h.state = state;
    assert_true(normalise_record(norm, &h, SM_SPAN_STR(line), (struct event_time){ 1480000000, 0 }, &e) >= 0);
}

/* ---- OSSEC's cases: "log 1 pass = line", "decoder = name" ---- */

/* What a decoder's lines must be: words of the log source, NULL any. */
static const struct { const char *decoder, *product, *category, *service; } expected[] = {
    { "sshd", "linux", NULL, "sshd" }, { "web-accesslog", NULL, "webserver", NULL },
    { "web-accesslog-iis-default", NULL, "webserver", "iis" },
    { "web-accesslog-iis6", NULL, "webserver", "iis" }, { "apache-errorlog", NULL, NULL, "apache" },
    { "nginx-errorlog", NULL, NULL, "nginx" },
    { "pix", "cisco", NULL, NULL }, { "cisco-ios", "cisco", NULL, NULL }, { "pam", "linux", "authentication", NULL },
    { "sudo", "linux", NULL, "sudo" }, { "su", "linux", NULL, "auth" }, { "doas", "linux", NULL, "auth" },
    { "dhcpd", "linux", NULL, "dhcp" },
    { "named", "linux", "dns", NULL }, { "dnsmasq", "linux", "dns", NULL }, { "iptables", "linux", NULL, NULL },
    { "Sysmon-EventID#1", "windows", NULL, "sysmon" }, { "windows", "windows", NULL, "security" },
    { "vsftpd", "linux", NULL, "vsftpd" },
    { "dovecot", "linux", NULL, "dovecot" }, { "dovecot-info", "linux", NULL, "dovecot" },
    { "proftpd", "linux", NULL, "proftpd" },
    { "smbd", "linux", NULL, "samba" }, { "openbsd-httpd", NULL, "webserver", NULL },
    { "dropbear", "linux", NULL, "sshd" },
    { "postfix", "linux", NULL, "postfix" }, { "postfix-reject", "linux", NULL, "postfix" },
    { "NetworkManager", "linux", NULL, NULL },
    { "rshd", "linux", NULL, NULL }, { "smtpd", "linux", NULL, NULL }, { "netscreenfw", NULL, NULL, NULL },
    { "asterisk", NULL, NULL, NULL },
};

struct tally { const char *decoder; unsigned lines, right; };
static struct tally tallies[64];
static size_t tallies_n;

static bool word_is(uint16_t word, const char *text)
{
    return !text || is(event_names_text(names, word), text);
}

static void one_case(const char *decoder, const char *line)
{
    size_t i = 0, t = 0;

    while (i < sizeof expected / sizeof *expected && strcmp(expected[i].decoder, decoder))
        i++;
    if (i == sizeof expected / sizeof *expected || (!expected[i].product && !expected[i].category &&
        !expected[i].service))
        return;
    while (t < tallies_n && strcmp(tallies[t].decoder, expected[i].decoder))
        t++;
    if (t == tallies_n)
        tallies[tallies_n++].decoder = expected[i].decoder;
    tallies[t].lines++;
    normalise(NULL, line);
    if (word_is(e.product, expected[i].product) && word_is(e.category, expected[i].category) && word_is(e.service,
        expected[i].service))
        tallies[t].right++;
    else
        print_message("  %s: %.150s\n", decoder, line);
}

static void ini(const char *path)
{
    static char lines[64][4096];
    static char text[8192];
    size_t n = 0;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\r\n")] = 0;
        char *eq = strstr(text, "= ");
        if (text[0] == '[')
            n = strncmp(text, "[", 1) == 0 && !strstr(text, "] ") && text[strlen(text) - 1] == ']' ? 0 : n;
        if (!strncmp(text, "log ", 4) && strstr(text, " pass") && eq && n < 64)
            snprintf(lines[n++], sizeof lines[0], "%.4095s", eq + 2);
        if (!strncmp(text, "decoder", 7) && eq) {
            char *decoder = eq + 2;
            decoder[strcspn(decoder, " ")] = 0;
            for (size_t i = 0; i < n; i++)
                one_case(decoder, lines[i]);
            n = 0;
        }
    }
    fclose(f);
}

static void lines_of_many_programs_are_known_for_what_they_are(void **state)
{
    char command[700], path[800];
    unsigned lines = 0, right = 0;

    (void)state;
    snprintf(command, sizeof command, "%s/data/detection/ossec-log-cases", shared());
    if (access(command, R_OK) < 0) {
        print_message("the shared test data is not here (%s): skipped\n", command);
        skip();
    }
    static const char *const files[] = { "apache", "apparmor", "cisco_ios", "dnsmasq", "doas", "dovecot", "dropbear",
        "modsecurity", "msauth",
        "named", "nginx", "openbsd-dhcpd", "openbsd-httpd", "pam", "pix", "postfix", "proftpd", "rsh", "samba",
            "sshd", "su", "sudo", "syslog",
        "sysmon", "vsftpd", "web_appsec", "web_rules", "opensmtpd" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s.ini", command, files[i]);
        ini(path);
    }
    for (size_t i = 0; i < tallies_n; i++) {
        print_message("%-28s %3u of %3u\n", tallies[i].decoder, tallies[i].right, tallies[i].lines);
        lines += tallies[i].lines;
        right += tallies[i].right;
    }
    print_message("products known: %u of %u lines\n", right, lines);
    assert_true(lines >= 150);
    assert_true(right * 100 >= lines * 95);
}

/* ---- loghub ---- */

/* Cells of a CSV line, in place; quotes and "" taken back. */
static size_t cells(char *line, char **ret, size_t max)
{
    size_t n = 0;
    char *p = line;

    line[strcspn(line, "\r\n")] = 0;
    while (n < max) {
        bool quoted = *p == '"';
        char *to = p += quoted;
        ret[n++] = p;
        while (*p && (quoted ? *p != '"' || p[1] == '"' : *p != ',')) {
            p += quoted && *p == '"';
            *to++ = *p++;
        }
        char end = *p;
        p += quoted && end;
        end = *p;
        *to = 0;
        if (end != ',')
            break;
        p++;
    }
    return n;
}

struct counts { unsigned lines, head, time, address, addresses, user, users; };

static void count_line(struct counts *k, const char *program, const char *pid, const char *clock, const char *content)
{
    char user[100], address[64];
    const char *from;
    int64_t s = e.time.s % 86400;
    int h, m, sec;

    k->lines++;
    k->head += is(event_text(&e, EVENT_F_program), program) && is(event_text(&e, EVENT_F_pid), pid) &&
        !(e.notes & EVENT_UNPARSED);
    k->time += sscanf(clock, "%d:%d:%d", &h, &m, &sec) == 3 && s == h * 3600 + m * 60 + sec;
    if ((sscanf(content, "Failed password for invalid user %99s", user) == 1 || sscanf(content,
        "Failed password for %99s", user) == 1 ||
            sscanf(content, "Accepted password for %99s", user) == 1) && strcmp(user, "from")) {
        k->users++;
        struct sm_span got = event_text(&e, EVENT_F_username);
        while (got.n && *got.p == ' ') { /* one attacker's name begins with a blank */
            got.p++;
            got.n--;
        }
        bool right = is(got, user);
        k->user += right;
        if (!right)
            print_message("  user: %s\n", content);
    }
    from = strstr(content, " from ");
    if (from && sscanf(from, " from %63[0-9.]", address) == 1 && strlen(address) > 7) {
        k->addresses++;
        k->address += is(event_text(&e, EVENT_F_src_ip), address);
    }
}

static void say(const char *what, const struct counts *k)
{
    print_message("%s: of %u lines head %u, time %u, address %u of %u, user %u of %u\n", what, k->lines, k->head,
        k->time, k->address,
        k->addresses, k->user, k->users);
}

/* The log beside its table; columns: where program, pid, clock and content stand. */
static bool loghub(const char *name, int program, int pid, int clock, int content, struct counts *k)
{
    static char line[65536], row[65536], path[200];
    char *cell[12];
    snprintf(path, sizeof path, "loghub/%s/%s_2k.log", name, name);
    FILE *log = data(path);
    snprintf(path, sizeof path, "loghub/%s/%s_2k.log_structured.csv", name, name);
    FILE *table = data(path);

    if (!log || !table) {
        if (log)
            fclose(log);
        if (table)
            fclose(table);
        return false;
    }
    struct normalise_state *state = normalise_state_new();
    assert_non_null(state);
    assert_non_null(fgets(row, sizeof row, table));
    while (fgets(line, sizeof line, log) && fgets(row, sizeof row, table)) {
        size_t n = cells(row, cell, 12);
        assert_true((int)n > content);
        line[strcspn(line, "\r\n")] = 0;
        normalise(state, line);
        count_line(k, program < 0 ? "sshd" : cell[program], pid < 0 ? "" : cell[pid], cell[clock], cell[content]);
    }
    normalise_state_free(state);
    fclose(log);
    fclose(table);
    return true;
}

static void two_thousand_lines_of_sshd_are_read_as_their_table_says(void **state)
{
    struct counts k = { 0 };

    (void)state;
    if (!loghub("OpenSSH", -1, 5, 3, 6, &k))
        skip();
    say("OpenSSH", &k);
    assert_int_equal(k.lines, 2000);
    assert_int_equal(k.time, 2000);
    assert_int_equal(k.head, 2000);
    assert_true(k.address * 1000 >= k.addresses * 995);
    assert_int_equal(k.user, k.users);
}

static void two_thousand_lines_of_a_linux_machine_are_read_as_their_table_says(void **state)
{
    struct counts k = { 0 };

    (void)state;
    if (!loghub("Linux", 5, 6, 3, 7, &k))
        skip();
    say("Linux", &k);
    assert_int_equal(k.lines, 2000);
    assert_int_equal(k.time, 2000);
    assert_true(k.head >= 1980);
    assert_true(k.address * 100 >= k.addresses * 99);
}

static void lines_of_apache_and_of_windows_servicing_have_their_time(void **state)
{
    static char line[65536];
    unsigned apache = 0, level = 0, cbs = 0, n = 0;
    FILE *f = data("loghub/Apache/Apache_2k.log");
    FILE *w = data("loghub/Windows/Windows_2k.log");

    (void)state;
    if (!f || !w)
        skip();
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        normalise(NULL, line);
        n++;
        apache += word_is(e.service, "apache") && !(e.notes & EVENT_NO_TIME);
        level += e.severity == (strstr(line, "] [error] ") ? 3 : strstr(line, "] [notice] ") ? 5 : 99);
    }
    while (fgets(line, sizeof line, w)) {
        line[strcspn(line, "\r\n")] = 0;
        normalise(NULL, line);
        cbs += !(e.notes & (EVENT_NO_TIME | EVENT_NO_YEAR | EVENT_UNPARSED));
    }
    fclose(f);
    fclose(w);
    print_message("Apache: of %u lines known %u, level %u; Windows servicing: time of %u\n", n, apache, level, cbs);
    assert_int_equal(apache, n);
    assert_int_equal(level, n);
    assert_int_equal(cbs, 2000);
}

static int begin(void **state)
{
    (void)state;
    names = event_names_new();
    return names && normalise_new(names, &norm) == 0 && event_init(&e) == 0 ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    event_wipe(&e);
    normalise_free(norm);
    event_names_free(names);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_many_programs_are_known_for_what_they_are),
        cmocka_unit_test(two_thousand_lines_of_sshd_are_read_as_their_table_says),
        cmocka_unit_test(two_thousand_lines_of_a_linux_machine_are_read_as_their_table_says),
        cmocka_unit_test(lines_of_apache_and_of_windows_servicing_have_their_time),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
