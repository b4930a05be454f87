/* What a machine is: read from files that anybody on it can read. */
#include "sakimori-agent/facts.h"
#include "sakimori-agent/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "plat/fs.h"

#define FILE_MAX ((size_t)16 << 20) /* /var/lib/dpkg/status is the largest */
#define LINE_MAX_BYTES 512u

/* What a database or a clinic's program comes with; of the thousands of others the system itself brings most. */
static const char *const wanted[] = {"postgresql", "mariadb", "mysql", "jma-receipt", "jma-", "orca", "orthanc", "dcmtk", "samba",
    "nginx", "apache2", "tomcat", "openjdk", "docker", "podman", "php", "redis", "slapd", "cups", "nfs-kernel-server", "sakimori",
    "linux-image", "isc-dhcp", "bind9", "dnsmasq", "chrony", "openvpn", "wireguard", "strongswan"};

typedef void (*line_fn)(void *arg, char *line);

/* Each line shorter than LINE_MAX_BYTES; longer ones are passed over. */
static void each_line(struct sm_span text, line_fn fn, void *arg)
{
    char line[LINE_MAX_BYTES];
    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        if (n < sizeof line && !memchr(text.p, 0, n)) {
            memcpy(line, text.p, n);
            line[n] = 0;
            fn(arg, line);
        }
        n += end != NULL;
        text = SM_SPAN(text.p + n, text.n - n);
    }
}

static bool fit(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return n > 0 && n <= FACTS_TEXT_MAX && sm_utf8_valid(SM_SPAN_STR(s));
}

static void put(json_t *o, const char *key, const char *s)
{
    if (fit(s))
        (void)!json_object_set_new(o, key, json_string(s)); /* without memory it is left out */
}

/* Into a list of the object, each once. */
static void add(json_t *o, const char *key, const char *s)
{
    json_t *list = json_object_get(o, key), *v;
    size_t i;
    if (!list && json_object_set_new(o, key, json_array()) == 0)
        list = json_object_get(o, key);
    if (!list || !fit(s) || json_array_size(list) >= FACTS_LIST_MAX)
        return;
    json_array_foreach(list, i, v)
        if (strcmp(json_string_value(v), s) == 0)
            return;
    json_array_append_new(list, json_string(s));
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" */
static void os_line(void *o, char *line)
{
    if (strncmp(line, "PRETTY_NAME=", 12) != 0)
        return;
    char *s = line + 12 + (line[12] == '"'), *end = strchr(s, '"');
    if (end)
        *end = 0;
    put(o, "os", s);
}

static void memory_line(void *o, char *line)
{
    if (strncmp(line, "MemTotal:", 9) != 0)
        return;
    unsigned long long kib = strtoull(line + 9, NULL, 10);
    if (kib < (1ull << 40))
        (void)!json_object_set_new(o, "memory_bytes", json_integer((json_int_t)(kib * 1024)));
}

/* /proc/net/fib_trie: "  |-- 192.168.1.5", then "     /32 host LOCAL". */
struct trie {
    json_t *o;
    char last[64];
};

static void trie_line(void *arg, char *line)
{
    struct trie *t = arg;
    char *s = strstr(line, "|-- ");
    if (s)
        snprintf(t->last, sizeof t->last, "%.60s", s + 4);
    else if (strstr(line, "/32 host LOCAL") && t->last[0] && strncmp(t->last, "127.", 4) != 0)
        add(t->o, "addresses", t->last);
}

/* /proc/net/route: interface, destination, gateway; eight hex digits each, low byte first. */
static void route_line(void *o, char *line)
{
    char name[32] = "", text[32];
    unsigned to = 1, by = 0;
    if (sscanf(line, "%31s %8x %8x", name, &to, &by) != 3 || to != 0 || by == 0)
        return;
    snprintf(text, sizeof text, "%u.%u.%u.%u", by & 255, by >> 8 & 255, by >> 16 & 255, by >> 24);
    put(o, "gateway", text);
}

static void name_line(void *o, char *line)
{
    char text[64] = "";
    if (sscanf(line, "nameserver %60s", text) == 1)
        add(o, "dns", text);
}

/* /etc/passwd: people and not the system's own. */
static void user_line(void *o, char *line)
{
    char *name = line, *uid = strchr(line, ':'), text[FACTS_TEXT_MAX + 1];
    uid = uid ? strchr(uid + 1, ':') : NULL;
    if (!uid)
        return;
    long n = strtol(uid + 1, NULL, 10);
    name[strcspn(name, ":")] = 0;
    snprintf(text, sizeof text, "%.80s (%ld)", name, n);
    if (n >= 1000 && n < 60000)
        add(o, "users", text);
}

/* /var/lib/dpkg/status: Package, Status, Version, a paragraph each. */
struct package {
    json_t *o;
    char name[100];
    bool installed;
};

static void package_line(void *arg, char *line)
{
    struct package *p = arg;
    char text[FACTS_TEXT_MAX + 1];
    bool take = false;
    if (!line[0])
        p->name[0] = 0;
    else if (strncmp(line, "Package: ", 9) == 0)
        snprintf(p->name, sizeof p->name, "%.90s", line + 9);
    else if (strncmp(line, "Status: ", 8) == 0)
        p->installed = strstr(line, " installed") != NULL;
    if (!p->name[0] || !p->installed || strncmp(line, "Version: ", 9) != 0)
        return;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        take |= strncmp(p->name, wanted[i], strlen(wanted[i])) == 0;
    if (strstr(p->name, "-plugin-") || strstr(p->name, "-common") || strstr(p->name, "-libs"))
        take = false; /* they come with the others */
    snprintf(text, sizeof text, "%.70s %.40s", p->name, line + 9);
    if (take)
        add(p->o, "packages", text);
}

void facts_parse(enum facts_file file, struct sm_span text, json_t *o)
{
    static const line_fn simple[FACTS_FILES] = {[FACTS_OS] = os_line, [FACTS_MEMORY] = memory_line,
        [FACTS_ROUTE] = route_line, [FACTS_NAMES] = name_line, [FACTS_USERS] = user_line};
    struct trie trie = {.o = o};
    struct package package = {.o = o};
    if (file == FACTS_ADDRESSES)
        each_line(text, trie_line, &trie);
    else if (file == FACTS_PACKAGES)
        each_line(text, package_line, &package);
    else if (simple[file])
        each_line(text, simple[file], o);
}

/* ---- what is not a file of lines ---- */

static void read_file(const char *root, const char *path, enum facts_file file, json_t *o)
{
    char full[4200];
    struct sm_buf text = SM_BUF_INIT(FILE_MAX);
    snprintf(full, sizeof full, "%.4000s%s", root, path);
    if (plat_fs_read_file(AT_FDCWD, full, FILE_MAX, &text) == 0)
        facts_parse(file, sm_buf_span(&text), o);
    sm_buf_wipe(&text);
}

static bool is_disk(const struct mntent *m)
{
    static const char *const kinds[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "vfat", "ntfs", "ntfs3", "fuseblk"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(m->mnt_type, kinds[i]) == 0)
            return true;
    return false;
}

static void disks(const char *root, json_t *o)
{
    char path[4200];
    json_t *list = json_array();
    snprintf(path, sizeof path, "%.4000s/proc/self/mounts", root);
    FILE *f = setmntent(path, "re");
    struct plat_fs_space s;
    for (struct mntent *m; f && list && (m = getmntent(f)) != NULL && json_array_size(list) < 24;) {
        if (!is_disk(m) || !fit(m->mnt_dir) || !fit(m->mnt_fsname) || plat_fs_space(AT_FDCWD, m->mnt_dir, &s))
            continue;
        json_array_append_new(list,
            json_pack("{s:s,s:s,s:s,s:I,s:I}", "mount", m->mnt_dir, "device", m->mnt_fsname, "type", m->mnt_type, "bytes",
                (json_int_t)s.total_bytes, "used_bytes", (json_int_t)(s.total_bytes - s.free_bytes)));
    }
    if (f)
        endmntent(f);
    (void)!json_object_set_new(o, "disks", list);
}

static int service(void *o, struct sm_span name, unsigned char type)
{
    const char *s = (const char *)name.p;
    (void)type;
    if (name.n > 8 && strcmp(s + name.n - 8, ".service") == 0)
        add(o, "services", s);
    return 0;
}

static void services(const char *root, json_t *o)
{
    char path[4200];
    snprintf(path, sizeof path, "%.4000s/etc/systemd/system/multi-user.target.wants", root);
    int dir = plat_fs_open_dir(AT_FDCWD, path);
    if (dir >= 0) {
        (void)!plat_fs_list(dir, service, o); /* what was read until then */
        close(dir);
    }
}

json_t *facts_os(const char *root, const char *data, const char *skip)
{
    struct agent_policy policy = {0};
    char why[160] = "";
    json_t *o = json_object();
    bool may = policy_load(data, skip, &policy, why) == 0 && !policy.no_facts;
    policy_wipe(&policy);
    if (may && o)
        read_file(root, "/etc/os-release", FACTS_OS, o);
    json_t *os = json_incref(json_object_get(o, "os"));
    json_decref(o);
    return os;
}

int facts_collect(const char *root, struct sm_buf *ret)
{
    static const struct {
        const char *path;
        enum facts_file file;
    } files[] = {{"/etc/os-release", FACTS_OS}, {"/proc/meminfo", FACTS_MEMORY}, {"/proc/net/fib_trie", FACTS_ADDRESSES},
        {"/proc/net/route", FACTS_ROUTE}, {"/etc/resolv.conf", FACTS_NAMES}, {"/etc/passwd", FACTS_USERS},
        {"/var/lib/dpkg/status", FACTS_PACKAGES}};
    static const char *const dropped[] = {"services", "packages", "users", "disks"}; /* the first that goes is the longest */
    struct utsname u;
    struct sm_buf text = SM_BUF_INIT(FACTS_MAX);
    json_t *o = json_pack("{s:i,s:I}", "v", 1, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN));
    if (!o)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        read_file(root, files[i].path, files[i].file, o);
    if (uname(&u) == 0) {
        put(o, "kernel", u.release);
        put(o, "machine", u.machine);
        put(o, "hostname", u.nodename);
    }
    disks(root, o);
    services(root, o);
    int r = sm_json_dump(o, &text);
    for (size_t i = 0; r == -SM_ELIMIT && i < sizeof dropped / sizeof dropped[0]; i++) {
        (void)json_object_del(o, dropped[i]); /* may not be there */
        sm_buf_clear(&text);
        r = sm_json_dump(o, &text);
    }
    if (!r)
        r = sm_buf_put_span(ret, sm_buf_span(&text));
    sm_buf_wipe(&text);
    json_decref(o);
    return r;
}
