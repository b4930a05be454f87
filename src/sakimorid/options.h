/*
 * Settings of the box (DATA/sakimori.conf) and the command line of sakimorid.
 * The table in options.c is the only place that names a setting: file, help, checks and what each child
 * is told come from it.
 */
#ifndef SAKIMORID_OPTIONS_H
#define SAKIMORID_OPTIONS_H
#include "core/json.h"
#include "core/opt.h"

struct settings {
    char *listen, *names, *web, *socket, *group, *log_level, *test_clock, *disks, *rules, *syslog_listen;
    int64_t port, connections, connections_per_address, idle_s, disk_reserve_bytes, scrub_days, scrub_rate_bytes;
    int64_t syslog_udp, syslog_tcp, syslog_tls;
    char *mail_host, *mail_tls, *mail_user, *mail_from, *mail_password;
    int64_t mail_port;
};

/* What the command line says; strings borrow from argv. */
struct arguments {
    const char *data, *listen, *port, *config, *web, *rules, *local_agent, *agent_data;
    const char *child;   /* --child=NAME: this process is a child */
    int64_t parent;      /* --parent=PID, with --child */
    bool headless, help, version;
};

extern const struct sm_opt options_table[];
extern const size_t options_n;

/* ret_why has 240 bytes.  -SM_EINVAL says what is wrong. */
sm_must_use int options_arguments(int argc, char **argv, struct arguments *ret, char *ret_why);
void options_help(FILE *to);
/* Read the file (made with the standard values when it is not there and create is true; mode 0600), then put --listen, --port
 * and --web over it.  settings is all zero before.  -SM_EINVAL with ret_why, -errno. */
sm_must_use int options_load(const char *file, bool create, const struct arguments *a, struct settings *ret,
    char *ret_why);
void options_wipe(struct settings *s);
/* What the child `who` (WHO_ bit) is told: an object of its own options.  NULL when out of memory.  New reference. */
json_t *options_for(const struct settings *s, unsigned who);

#endif
