/*
 * What bench/watch-syslog measures with: a mix of lines as a clinic's devices send them, normalised one after the other.
 *   watch_syslog [SECONDS [FILE]]     lines per CPU-second, bytes and allocations per line, as JSON; FILE: lines of that file instead
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "normalise/normalise.h"

static const char *const mix[] = {
    "<86>Nov 15 02:41:09 srv1 sshd[20247]: Failed password for invalid user admin from 203.0.113.9 port 36942 ssh2",
    "<38>Nov 15 02:41:09 srv1 sshd[20247]: Accepted publickey for jimu from 192.168.1.15 port 50122 ssh2: ED25519 SHA256:abc",
    "<78>Nov 15 02:45:01 srv1 CRON[3119]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)",
    "<30>Nov 15 02:45:02 srv1 systemd[1]: Started Session 42 of user jimu.",
    "<85>Nov 15 02:45:03 srv1 sudo:     jimu : TTY=pts/0 ; PWD=/home/jimu ; USER=root ; COMMAND=/usr/bin/tail /var/log/syslog",
    "<4>Nov 15 02:45:04 srv1 kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00:11:22:33:44:55 SRC=203.0.113.9 DST=192.168.1.2 LEN=40 TTL=240 ID=1 PROTO=TCP SPT=40000 DPT=23 WINDOW=1024",
    "<190>PP[01] Rejected at IN(2000) filter: TCP 203.0.113.5:40122 > 192.0.2.1:3389",
    "<190>[INSPECT] PP[01][out][101] TCP 192.168.100.5:50000 > 203.0.113.80:443 (2026/11/15 02:45:04)",
    "<166>Nov 15 2026 02:41:09 asa01 : %ASA-6-302013: Built inbound TCP connection 1234 for outside:203.0.113.5/40122 (203.0.113.5/40122) to inside:192.168.1.10/443 (192.0.2.1/443)",
    "<30>Nov 15 02:45:05 srv1 dhcpd[4842]: DHCPACK on 192.168.1.164 to f4:8c:50:9d:eb:35 (pc-01) via eth0",
    "<134>1 2026-11-15T02:41:09.003Z app1.clinic.local receipt 99 ID47 [meta sequenceId=\"29\"] receipt 0012 printed at window 3",
    "<30>Nov 15 02:45:06 srv1 named[464]: client @0x7f2b68014d40 192.168.1.50#40080 (example.com): query: example.com IN A + (192.168.1.1)",
};
static const char *const heavy[] = {
    "<189>date=2026-11-15 time=03:00:00 devname=\"FG60E\" devid=\"FGT60E0000000000\" eventtime=1794679200123456789 tz=\"+0900\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" srcip=192.168.10.20 srcport=51234 srcintf=\"internal\" srcintfrole=\"lan\" dstip=198.51.100.9 dstport=443 dstintf=\"wan1\" dstintfrole=\"wan\" srccountry=\"Reserved\" dstcountry=\"Japan\" sessionid=12345 proto=6 action=\"close\" policyid=3 policytype=\"policy\" service=\"HTTPS\" trandisp=\"snat\" transip=203.0.113.1 transport=51234 duration=36 sentbyte=4294 rcvdbyte=10240 sentpkt=100 rcvdpkt=50 appcat=\"unscanned\"",
};

static struct event_names *names;
static struct normalise *norm;
static struct normalise_hint hint;
static struct event e;
static size_t fields;

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rate(const char *const *lines, size_t n, double seconds, size_t *ret_bytes)
{
    size_t done = 0, bytes = 0;
    double from = cpu(), now = from;

    while (now - from < seconds) {
        for (size_t round = 0; round < 200; round++)
            for (size_t i = 0; i < n; i++) {
                struct sm_span s = SM_SPAN_STR(lines[i]);
                if (normalise_record(norm, &hint, s, (struct event_time){ 1795132800, 0 }, &e) < 0)
                    exit(1);
                bytes += s.n;
                fields += e.n;
                done++;
            }
        now = cpu();
    }
    *ret_bytes = bytes / done;
    return (double)done / (now - from);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    size_t bytes, heavy_bytes;

    names = event_names_new();
    hint = NORMALISE_HINT;
    hint.state = normalise_state_new();
    if (!names || !hint.state || normalise_new(names, &norm) < 0 || event_init(&e) < 0)
        return 1;
    (void)rate(mix, sizeof mix / sizeof *mix, 0.05, &bytes);
    struct mallinfo2 before = mallinfo2();
    double r = rate(mix, sizeof mix / sizeof *mix, seconds, &bytes);
    struct mallinfo2 after = mallinfo2();
    hint.state = NULL;
    double alone = rate(mix, sizeof mix / sizeof *mix, seconds, &bytes);
    double h = rate(heavy, 1, seconds, &heavy_bytes);
    printf("{\"syslog_lines_per_cpu_s\":%.0f,\"bytes_per_line\":%zu,\"without_state_per_cpu_s\":%.0f,\"fortigate_lines_per_cpu_s\":%.0f,"
           "\"fortigate_bytes_per_line\":%zu,\"heap_grown\":%lld}\n",
        r, bytes, alone, h, heavy_bytes, (long long)after.uordblks - (long long)before.uordblks);
    return 0;
}
