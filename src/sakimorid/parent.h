/*
 * The parent: folders, sockets, channels, children and their restarts.  It parses nothing that comes from outside the
 * box and holds no key; of what children say it reads C_READY, C_NOTE, P_OPENER, P_COPIER, P_COURIER, P_ADDRESS, P_SELF, P_FIREWALL,
 * P_HOUSE and P_MAIL.
 */
#ifndef SAKIMORID_PARENT_H
#define SAKIMORID_PARENT_H
#include <sys/types.h>
#include "sakimorid/child.h"
#include "sakimorid/options.h"

/* What is settled before the first child starts. */
struct ground {
    char *data;               /* absolute */
    const char *web;          /* absolute; borrowed from settings or static */
    const char *local_agent, *agent_data; /* program and folder of this machine's agent, NULL: none; borrowed */
    char socket[4200];        /* the local socket */
    int console_fd, agent_fd, local_fd, lock_fd;
    int log_fd[3];            /* syslog over UDP, TCP, TLS; -1: none */
    const char *rules;        /* as web: the rules that are shipped */
    uint16_t port;            /* of the console, really bound */
    char console_url[128], agent_url[128];
    json_t *names, *ips;      /* for the server certificate */
    json_t *not_separated;    /* [{"ja", "en"}…] */
    json_t *mail;             /* DATA/mail.json: what P_MAIL set, {} else */
    json_t *firewall;         /* DATA/firewall.json: what P_FIREWALL set, {} else */
    json_t *house;            /* DATA/house.json: what P_HOUSE set, {} else */
    json_t *addresses;        /* DATA/copies.json: of each copy over the network what P_ADDRESS set, with its secrets */
};
/* Make the data folder and those of the rows, lock it, bind the ports.  Logs what failed; ret_why has 240 bytes. */
sm_must_use int ground_open(struct ground *g, const char *data, const struct settings *s,
    const struct child_row *rows, size_t n, char *ret_why);
void ground_close(struct ground *g);
/* The body of P_CONFIG for the child `who`; new reference or NULL (out of memory). */
json_t *ground_config(const struct ground *g, const struct settings *s, unsigned who);
/* What P_MAIL says, checked, kept and put in g->mail.  -SM_EINVAL with ret_why (160 bytes), -errno. */
sm_must_use int ground_mail(struct ground *g, const json_t *mail, char *ret_why);
/* What P_FIREWALL says: likewise, in g->firewall. */
sm_must_use int ground_firewall(struct ground *g, const json_t *said, char *ret_why);
/* What P_ADDRESS says: kept (0600, root's) and put in g->addresses, or removed.  Likewise. */
sm_must_use int ground_address(struct ground *g, const json_t *said, char *ret_why);
/* What P_HOUSE says: checked, kept (0600, root's) and put in g->house.  Likewise; ret_why has HOUSE_WHY bytes. */
sm_must_use int ground_house(struct ground *g, const json_t *said, char *ret_why);
bool ground_house_wanted(const struct ground *g);
/* Where the data is when nobody says: /var/lib/sakimori as root, else ~/.local/share/sakimori.  The caller frees. */
char *ground_standard_data(void);

/* Start all children and stay until SIGTERM or SIGINT.  Returns the exit code. */
int parent_run(struct ground *g, const struct settings *s, const struct child_row *rows, size_t n, bool headless);

/* The whole of sakimorid for a table of children: main.c gives the real one, tests theirs. */
int sakimorid_main(int argc, char **argv, const struct child_row *rows, size_t n);

#endif
