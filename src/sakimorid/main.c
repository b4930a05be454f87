/* The children of the box: one row each.  Adding one is a folder with its entry and a row here. */
#include <linux/capability.h>
#include "sakimorid/parent.h"

#define READ(p) { .path = (p) }
#define READ_OPT(p) { .path = (p), .optional = true }
#define WRITE(p) { .path = (p), .write = true }

static const struct child_row rows[] = {
    { .name = "keyd", .who = WHO_KEYD, .entry = keyd_main, .profile = "keyd", .user = "_sakimori-keyd",
        .folders = { WRITE("keys") }, .nofile = 64 },
    { .name = "vault", .who = WHO_VAULT, .entry = vault_main, .profile = "vault", .user = "_sakimori-vault",
        .folders = { WRITE("vault"), WRITE("peers") }, .nofile = 1024 },
    { .name = "brain", .who = WHO_BRAIN, .entry = brain_main, .profile = "brain", .user = "_sakimori-brain",
        .folders = { WRITE("state"), WRITE("public") }, .nofile = 256 },
    { .name = "out", .who = WHO_OUT, .entry = out_main, .profile = "out", .user = "_sakimori-out",
        .folders = { READ("/etc"), READ("/usr/lib"), READ_OPT("/lib"), READ_OPT("/lib64"), READ_OPT("/run/systemd"),
            READ_OPT("/usr/share/ca-certificates"), READ_OPT("/dev/null") },
        .nofile = 256 },
    { .name = "front", .who = WHO_FRONT, .entry = front_main, .profile = "front", .user = "_sakimori-front", .nofile = 16384 },
    { .name = "opener", .who = WHO_OPENER, .entry = opener_main, .profile = "opener", .user = "_sakimori-opener",
        .nofile = 64, .on_request = true },
    /* It reads the vault, which is another user's: with Landlock that and the one target are all it can read. */
    { .name = "copier", .who = WHO_COPIER, .entry = copier_main, .profile = "copier", .user = "_sakimori-copier",
        .folders = { READ("vault") }, .nofile = 256, .on_request = true, .caps = { CAP_DAC_READ_SEARCH }, .caps_n = 1,
        .job_folder = true },
    /* Copies over the network: the vault for reading, what a name and a certificate need, and nothing to write to. */
    { .name = "courier", .who = WHO_COURIER, .entry = courier_main, .profile = "courier", .user = "_sakimori-courier",
        .folders = { READ("vault"), READ_OPT("/etc/resolv.conf"), READ_OPT("/etc/hosts"), READ_OPT("/etc/nsswitch.conf"),
            READ_OPT("/etc/gai.conf"), READ_OPT("/etc/host.conf"), READ_OPT("/etc/ssl/certs"),
            READ_OPT("/usr/share/ca-certificates"), READ_OPT("/usr/local/share/ca-certificates"), READ("/usr/lib"),
            READ_OPT("/lib"), READ_OPT("/lib64"), READ_OPT("/run/systemd/resolve"), READ_OPT("/dev/null") },
        .nofile = 256, .on_request = true, .caps = { CAP_DAC_READ_SEARCH }, .caps_n = 1 },
    /* Of brain's folder and of watch's it sees the copies laid out for it, of keyd nothing but what is sealed. */
    { .name = "selfsave", .who = WHO_SELF, .entry = selfsave_main, .profile = "selfsave", .user = "_sakimori-self",
        .folders = { WRITE("self"), READ_OPT("state/self"), READ_OPT("journal/saved") }, .nofile = 256, .on_request = true,
        .caps = { CAP_DAC_READ_SEARCH }, .caps_n = 1 },
    /* Bytes of strangers, no file and no key. */
    { .name = "collector", .who = WHO_COLLECTOR, .entry = collector_main, .profile = "collector",
        .user = "_sakimori-collector", .nofile = 4096 },
    /* It reads what strangers wrote: no network, no key, and of files the record and the rules. */
    { .name = "watch", .who = WHO_WATCH, .entry = watch_main, .profile = "watch", .user = "_sakimori-watch",
        .folders = { WRITE("journal"), WRITE("watch"), WRITE("rules") }, .nofile = 512, .rules_folder = true },
    /* It reads the record, which is watch's, for people who ask. */
    { .name = "seeker", .who = WHO_SEEKER, .entry = seeker_main, .profile = "seeker", .user = "_sakimori-seeker",
        .folders = { READ("journal") }, .nofile = 512, .caps = { CAP_DAC_READ_SEARCH }, .caps_n = 1 },
    /* It brings the record to ClickHouse and asks there: the record for reading, and what a name and a certificate need. */
    { .name = "house", .who = WHO_HOUSE, .entry = house_main, .profile = "house", .user = "_sakimori-house",
        .folders = { READ("journal"), READ_OPT("/etc/resolv.conf"), READ_OPT("/etc/hosts"), READ_OPT("/etc/nsswitch.conf"),
            READ_OPT("/etc/gai.conf"), READ_OPT("/etc/host.conf"), READ_OPT("/etc/ssl/certs"),
            READ_OPT("/usr/share/ca-certificates"), READ_OPT("/usr/local/share/ca-certificates"), READ("/usr/lib"),
            READ_OPT("/lib"), READ_OPT("/lib64"), READ_OPT("/run/systemd/resolve"), READ_OPT("/dev/null") },
        .nofile = 512, .on_request = true, .caps = { CAP_DAC_READ_SEARCH }, .caps_n = 1 },
};

int main(int argc, char **argv)
{
    return sakimorid_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
