/* Our own rules on the chain of the hospitals, as the devices log it; and on a quiet day. */
#include "detect/kit.h"
#include <stdio.h>
#include <string.h>
#include "detect/correlate/correlate.h"
#include "detect/load.h"
#include "normalise/normalise.h"

#define WIN(channel, provider, id, rest)                                                                               \
    "{\"EventTime\":\"2026-11-15 02:00:00\",\"Hostname\":\"PC-%d\",\"Channel\":\"" channel                             \
    "\",\"SourceName\":\"" provider "\",\"EventID\":" id "," rest "}"
#define SECURITY(id, rest) WIN("Security", "Microsoft-Windows-Security-Auditing", id, rest)
#define SYSMON(id, rest) WIN("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", id, rest)
#define FORTI(rest) "date=2026-11-15 time=02:40:00 devname=\"FG60E\" devid=\"FGT60E0000000000\" " rest

struct row {
    int64_t at;
    int count, step, number;
    const char *line, *fires;
};
/* 2026-11-14T17:38:00Z, 02:38 in Japan. */
enum { NIGHT = 1794677880, NOON = NIGHT + 34320 };

struct watch {
    struct kit k;
    struct correlate *c;
    struct normalise *n;
    char fired[512];
    uint64_t ref;
};

static void fire(struct watch *w, const struct sigma_rule *rule)
{
    if (!rule->correlated && rule->level >= SIGMA_LOW && !strstr(w->fired, rule->name))
        snprintf(w->fired + strlen(w->fired), sizeof w->fired - strlen(w->fired), "%s%s", w->fired[0] ? " " : "",
            rule->name + strlen("sakimori_"));
}

static void on_correlation(void *ctx, const struct correlate_hit *h)
{
    fire(ctx, h->rule);
}

static void feed(struct watch *w, const char *line, int64_t at)
{
    struct normalise_hint hint = NORMALISE_HINT;
    struct event_time now = { .s = at };

    hint.format = strncmp(line, "{\"v\":1,", 7) ? NULL : "endpoint"; /* what agents tell comes with its name */
    assert_int_equal(normalise_record(w->n, &hint, SM_SPAN_STR(line), now, &w->k.e), 0);
    assert_false(w->k.e.notes & EVENT_UNPARSED);
    w->k.e.time = now;
    kit_match(&w->k);
    w->ref++;
    for (size_t i = 0; i < w->k.hits; i++) {
        fire(w, w->k.hit[i]);
        assert_true(correlate_add(w->c, w->k.hit[i], &w->k.e, w->ref, on_correlation, w) >= 0);
    }
}

static void open_watch(struct watch *w)
{
    struct load_counts c = { 0 };
    struct sigma_fault f;

    *w = (struct watch){ 0 };
    kit_open(&w->k);
    assert_ok(sigma_list(w->k.set, "known_places", "-")); /* as watch does */
    assert_ok(load_sources(w->k.set, RULES "/logsources.yml", &f));
    assert_ok(load_rules(w->k.set, RULES "/sakimori", NULL, NULL, &c));
    assert_int_equal(c.faults, 0);
    kit_compile(&w->k);
    assert_int_equal(w->k.faults, 0);
    assert_ok(correlate_new(w->k.set, w->k.names, &w->c));
    assert_ok(normalise_new(w->k.names, &w->n));
}

static void close_watch(struct watch *w)
{
    correlate_free(w->c);
    normalise_free(w->n);
    kit_close(&w->k);
}

static void play(const struct row *row, size_t n, int64_t start)
{
    struct watch w;

    open_watch(&w);
    for (size_t i = 0; i < n; i++) {
        w.fired[0] = 0;
        for (int k = 0; k < row[i].count; k++) {
            char line[2048];
            snprintf(line, sizeof line, row[i].line, row[i].number + k);
            feed(&w, line, start + row[i].at + (int64_t)k * row[i].step);
        }
        if (strcmp(w.fired, row[i].fires))
            print_message("row %zu (%.60s)\n", i, row[i].line);
        assert_string_equal(w.fired, row[i].fires);
    }
    close_watch(&w);
}

/* %d is the number of a machine, or stands in a comment. */
static void every_step_of_the_chain_is_seen(void **state)
{
    static const struct row rows[] = {
        { 0, 6, 5, 0,
            FORTI("logid=\"0101039426\" type=\"event\" subtype=\"vpn\" level=\"alert\" logdesc=\"SSL VPN login fail\" "
                  "action=\"ssl-login-fail\" "
                  "remip=203.0.113.77 user=\"administrator\" reason=\"x%d\""),
            "vpn_many_failures" },
        { 60, 1, 0, 0,
            FORTI("logid=\"0101039424\" type=\"event\" subtype=\"vpn\" level=\"information\" logdesc=\"SSL VPN tunnel "
                  "up\" action=\"tunnel-up\" "
                  "tunneltype=\"ssl-tunnel\" remip=203.0.113.77 tunnelip=10.212.134.200 user=\"hoshu\" "
                  "group=\"VENDOR%d\" msg=\"SSL tunnel established\""),
            "vpn_success vpn_failures_then_success vpn_night" },
        { 480, 1, 0, 7,
            SECURITY(
                "4625", "\"LogonType\":\"3\",\"TargetUserName\":\"Administrator\",\"IpAddress\":\"10.212.134.200\""),
            "" },
        { 484, 1, 0, 7,
            SECURITY(
                "4625", "\"LogonType\":\"3\",\"TargetUserName\":\"Administrator\",\"IpAddress\":\"10.212.134.200\""),
            "" },
        { 500, 1, 0, 7,
            SECURITY(
                "4624", "\"LogonType\":\"10\",\"TargetUserName\":\"Administrator\",\"IpAddress\":\"10.212.134.200\""),
            "rdp_failures_then_success rdp_local_administrator" },
        { 840, 25, 1, 10,
            FORTI("logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" srcip=192.168.10.7 "
                  "srcport=50000 dstip=192.168.10.%d "
                  "dstport=445 proto=6 action=\"accept\" sentbyte=0"),
            "sweep" },
        { 900, 25, 1, 30,
            SYSMON("3", "\"Image\":\"C:\\\\Users\\\\Public\\\\n.exe\",\"Initiated\":\"true\",\"DestinationIp\":\"192."
                        "168.10.9\","
                        "\"DestinationPort\":\"445\",\"x\":\"y\""),
            "" },
        { 86400, 8, 30, 20,
            SECURITY("4624", "\"LogonType\":\"3\",\"TargetUserName\":\"kanri\",\"IpAddress\":\"192.168.10.7\""),
            "one_account_many_machines one_address_many_machines one_account_many_machines_late" },
        { 90000, 1, 0, 7,
            WIN("System", "Service Control Manager", "7036",
                "\"param1\":\"ウイルスバスター Corp. クライアント\",\"param2\":\"停止\""),
            "antivirus_service_stopped" },
        { 90300, 1, 0, 7, WIN("Security", "Microsoft-Windows-Eventlog", "1102", "\"SubjectUserName\":\"kanri\""),
            "blinded log_cleared" },
        { 200000, 60, 2, 7,
            SYSMON("23", "\"Image\":\"C:\\\\Windows\\\\explorer.exe\",\"TargetFilename\":\"D:\\\\Backup\\\\2026\\\\a."
                         "vbk\",\"n\":\"1\""),
            "" },
        { 210000, 1, 0, 7,
            SYSMON("1", "\"Image\":\"C:\\\\Windows\\\\System32\\\\vssadmin.exe\",\"CommandLine\":\"vssadmin delete "
                        "shadows /all /quiet\""),
            "shadow_copies_deleted" },
        { 345600, 8, 600, 7,
            FORTI("logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" srcip=192.168.10.7 "
                  "srcport=5123%d dstip=198.51.100.9 "
                  "dstport=443 proto=6 action=\"accept\" sentbyte=1000000000 rcvdbyte=1000"),
            "outflow_at_night" },
        { 400000, 1, 0, 7,
            SYSMON("11", "\"Image\":\"C:\\\\x.exe\",\"TargetFilename\":\"D:\\\\SSMIX2\\\\Restore-My-Files.txt\""),
            "ransom_note" },
        { 400001, 25, 1, 7,
            SYSMON("11", "\"Image\":\"C:\\\\x.exe\",\"TargetFilename\":\"D:\\\\SSMIX2\\\\0001.xml.lockbit\""), "" },
        { 400100, 5, 2, 50,
            FORTI("logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" srcip=192.168.10.7 "
                  "srcport=50000 dstip=192.168.10.%d "
                  "dstport=9100 proto=6 action=\"accept\" sentbyte=2000"),
            "raw_printing" },
    };

    play(rows, sizeof rows / sizeof *rows, NIGHT);
}

/* What counts on one machine: the number stands still. */
static void what_happens_again_and_again_on_one_machine(void **state)
{
#define ONE(channel, provider, id, rest)                                                                               \
    "{\"EventTime\":\"2026-11-15 02:00:00\",\"Hostname\":\"SRV\",\"Channel\":\"" channel                               \
    "\",\"SourceName\":\"" provider "\",\"EventID\":" id ",\"n\":\"%d\"," rest "}"
    static const struct row rows[] = {
        { 0, 60, 2, 0,
            ONE("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "23",
                "\"TargetFilename\":\"D:\\\\バックアップ\\\\a.dat\""),
            "backups_deleted" },
        { 2000, 25, 1, 0,
            ONE("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "11",
                "\"TargetFilename\":\"D:\\\\SSMIX2\\\\1.xml.lockbit\""),
            "files_encrypted" },
        { 3000, 30, 5, 0,
            ONE("Microsoft-Windows-PrintService/Operational", "Microsoft-Windows-PrintService", "307",
                "\"Param1\":\"1\""),
            "printer_burst" },
        { 4000, 1, 5, 0,
            ONE("Microsoft-Windows-Windows Defender/Operational", "Microsoft-Windows-Windows Defender", "5001",
                "\"x\":\"1\""),
            "defender_off" },
        { 5000, 1, 5, 0, ONE("ForwardedEvents", "Microsoft-Windows-Eventlog", "1102", "\"x\":\"1\""),
            "blinded log_cleared" },
    };

    play(rows, sizeof rows / sizeof *rows, NIGHT);
}

/* What agents tell of their machine. */
static void what_an_agent_stopped_is_an_incident(void **state)
{
#define OWN(rest) "{\"v\":1,\"at\":\"2026-11-15T02:00:00Z\",\"service\":\"sakimori\",\"n\":\"%d\"," rest "}"
    static const struct row rows[] = {
        { 0, 1, 1, 1, OWN("\"action\":\"ransomware_stopped\",\"Image\":\"/tmp/x\""), "endpoint_ransomware_stopped" },
        { 10, 1, 1, 1, OWN("\"action\":\"ransomware_seen\",\"Image\":\"/tmp/x\""), "endpoint_ransomware_seen" },
        { 20, 1, 1, 1, OWN("\"action\":\"overflow\",\"What\":\"spool\",\"Lost\":5"), "endpoint_events_lost" },
    };

    play(rows, sizeof rows / sizeof *rows, NOON);
}

static void what_is_done_to_an_agent_and_with_media(void **state)
{
    (void)state;
    static const struct row rows[] = {
        { 0, 1, 1, 1, OWN("\"action\":\"agent_killed\",\"part\":\"link\""), "agent_killed" },
        { 10, 1, 1, 1, OWN("\"action\":\"agent_silent\",\"part\":\"link\""), "agent_silent" },
        { 20, 1, 1, 1, OWN("\"action\":\"agent_quiet\",\"part\":\"link\""), "agent_quiet" },
        { 30, 1, 1, 1, OWN("\"action\":\"agent_ended\",\"part\":\"link\""), "agent_ended" },
        { 40, 1, 1, 1, OWN("\"action\":\"part_killed\",\"part\":\"link\""), "part_killed" },
        { 50, 1, 1, 1, OWN("\"action\":\"part_stopped\",\"part\":\"link\""), "part_stopped" },
        { 60, 1, 1, 1, OWN("\"action\":\"part_debugged\",\"part\":\"link\""), "part_debugged" },
        { 70, 1, 1, 1, OWN("\"action\":\"agent_frozen\",\"part\":\"link\""), "agent_frozen" },
        { 80, 1, 1, 1, OWN("\"action\":\"agent_touched\",\"part\":\"link\""), "agent_touched" },
        { 90, 1, 1, 1, OWN("\"action\":\"agent_disabled\",\"part\":\"link\""), "agent_disabled" },
        { 100, 1, 1, 1, OWN("\"action\":\"agent_disk_full\",\"part\":\"link\""), "agent_disk_full" },
        { 110, 1, 1, 1, OWN("\"action\":\"agent_blinded\",\"part\":\"link\""), "agent_blinded" },
        { 120, 1, 1, 1, OWN("\"action\":\"part_fails\",\"part\":\"link\""), "part_fails" },
        { 130, 1, 1, 1, OWN("\"action\":\"media_blocked\",\"part\":\"link\""), "media_blocked" },
        { 140, 1, 1, 1, OWN("\"action\":\"media_undone\",\"part\":\"link\""), "media_undone" },
        { 150, 1, 1, 1, OWN("\"action\":\"media_failed\",\"part\":\"link\""), "media_failed" },
    };

    play(rows, sizeof rows / sizeof *rows, NOON);
}

/* Each address tries too rarely to be seen by itself. */
static void passwords_tried_at_random_are_one_thing(void **state)
{
    static const struct row rows[] = {
        { 0, 499, 2, 100,
            FORTI("type=\"event\" subtype=\"vpn\" action=\"ssl-login-fail\" remip=2001:db8::%d user=\"x\" "
                  "reason=\"typing\" logdesc=\"SSL VPN login fail\""),
            "vpn_account_tried" },
        { 1100, 200, 2, 700,
            FORTI("type=\"event\" subtype=\"vpn\" action=\"ssl-login-fail\" remip=2001:db8::%d user=\"x\" "
                  "reason=\"typing\" logdesc=\"SSL VPN login fail\""),
            "vpn_spray" },
    };

    play(rows, sizeof rows / sizeof *rows, NOON);
}

static void a_quiet_day_fires_nothing(void **state)
{
    static const struct row rows[] = {
        { 0, 2, 20, 0,
            FORTI("type=\"event\" subtype=\"vpn\" action=\"ssl-login-fail\" remip=198.51.100.20 user=\"hoshu%d\" "
                  "reason=\"typing\" logdesc=\"SSL VPN login fail\""),
            "" },
        { 60, 1, 0, 0,
            FORTI("type=\"event\" subtype=\"vpn\" action=\"tunnel-up\" remip=198.51.100.20 user=\"hoshu\" "
                  "group=\"V%d\" logdesc=\"SSL VPN tunnel up\""),
            "vpn_success" }, /* compared with what is booked before anybody hears of it */
        { 100, 1, 0, 3,
            SECURITY("4625", "\"LogonType\":\"3\",\"TargetUserName\":\"jimu\",\"IpAddress\":\"192.168.10.3\""), "" },
        { 110, 40, 20, 3,
            SECURITY("4624", "\"LogonType\":\"3\",\"TargetUserName\":\"PC-03$\",\"IpAddress\":\"192.168.10.3\""), "" },
        { 1000, 4, 20, 3,
            SECURITY("4624", "\"LogonType\":\"3\",\"TargetUserName\":\"jimu\",\"IpAddress\":\"192.168.10.3\""), "" },
        { 2000, 15, 2, 10,
            FORTI("type=\"traffic\" subtype=\"forward\" srcip=192.168.10.5 dstip=192.168.10.%d dstport=445 proto=6 "
                  "action=\"accept\" sentbyte=500"),
            "" },
        { 3000, 20, 60, 0,
            FORTI("type=\"traffic\" subtype=\"forward\" srcip=192.168.10.5 srcport=5000%d dstip=198.51.100.80 "
                  "dstport=443 proto=6 action=\"accept\" sentbyte=900000000"),
            "" },
        { 5000, 20, 30, 5,
            SYSMON("11", "\"Image\":\"C:\\\\Windows\\\\explorer.exe\",\"TargetFilename\":\"D:\\\\共有\\\\readme.txt\""),
            "" },
        { 6000, 10, 30, 5, SYSMON("23", "\"Image\":\"C:\\\\b.exe\",\"TargetFilename\":\"D:\\\\Backup\\\\old.vhdx\""),
            "" },
        { 7000, 20, 60, 5,
            WIN("Microsoft-Windows-PrintService/Operational", "Microsoft-Windows-PrintService", "307",
                "\"Param1\":\"1\""),
            "" },
        { 9000, 1, 1, 5,
            WIN("System", "Service Control Manager", "7036", "\"param1\":\"Windows Update\",\"param2\":\"停止\""), "" },
        { 9100, 1, 1, 5,
            SYSMON("1",
                "\"Image\":\"C:\\\\Windows\\\\System32\\\\vssadmin.exe\",\"CommandLine\":\"vssadmin list shadows\""),
            "" },
    };

    play(rows, sizeof rows / sizeof *rows, NOON);
}

static void every_rule_that_people_see_speaks_japanese(void **state)
{
    struct watch w;

    open_watch(&w);
    for (size_t i = 0; i < sigma_count(w.k.set); i++) {
        const struct sigma_rule *r = sigma_rule_at(w.k.set, i);
        if (r->kind == SIGMA_FILTER)
            continue; /* nobody sees it */
        bool seen = !r->correlated && r->level >= SIGMA_LOW;
        if (seen != (*r->title_ja && *r->what_ja && *r->todo_ja) && r->level > SIGMA_LOW)
            print_message("%s\n", r->name);
        if (seen)
            assert_true(*r->title_ja && *r->what_ja && *r->todo_ja);
        assert_true(*r->id && *r->author && r->level != SIGMA_NONE);
    }
    close_watch(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_of_the_chain_is_seen),
        cmocka_unit_test(what_happens_again_and_again_on_one_machine),
        cmocka_unit_test(what_an_agent_stopped_is_an_incident), cmocka_unit_test(what_is_done_to_an_agent_and_with_media), cmocka_unit_test(passwords_tried_at_random_are_one_thing),
        cmocka_unit_test(a_quiet_day_fires_nothing),
        cmocka_unit_test(every_rule_that_people_see_speaks_japanese),
    };

    return cmocka_run_group_tests_name("detect_own", tests, NULL, NULL);
}
