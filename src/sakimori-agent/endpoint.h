/*
 * What the box wants watched, stopped and blocked on this machine (docs/PROTOCOL-agent.md, "Endpoint"): an order of the kind
 * `endpoint`, signed like any other, with a number that only rises.  Each part of the endpoint verifies it for itself and keeps it in
 * a folder of its own, so that neither link nor another part can give it a policy.  The machine's policy.conf has the last word.
 */
#ifndef AGENT_ENDPOINT_H
#define AGENT_ENDPOINT_H
#include "sakimori-agent/policy.h"

enum {
    ENDPOINT_PATHS_MAX = 64,    /* protect, exclude, scan.paths: each */
    ENDPOINT_SERIALS_MAX = 200, /* media.allow */
    ENDPOINT_FILES_MAX = 400,   /* block.files */
    ENDPOINT_TO_MAX = 200,      /* block.to */
    ENDPOINT_ROW_MAX = 160 << 10, /* bytes of a row {"order","sig"} as JSON: body of E_POLICY */
};
enum endpoint_mode { ENDPOINT_OFF, ENDPOINT_WATCH, ENDPOINT_STOP, ENDPOINT_KILL };
enum endpoint_answer { ENDPOINT_ANSWER_TELL, ENDPOINT_ANSWER_STOP, ENDPOINT_ANSWER_KILL };
enum endpoint_media { ENDPOINT_MEDIA_ALLOW, ENDPOINT_MEDIA_READ_ONLY, ENDPOINT_MEDIA_BLOCK };
enum { ENDPOINT_EVERY_DAY = 7, ENDPOINT_NO_DAY = -1 };

struct endpoint_texts {
    char **at; /* n of them */
    size_t n;
};
struct endpoint_policy {
    uint64_t number;            /* of the order it came with; 0: none was ever taken, these are the defaults */
    bool protect_auto;          /* all folders of people's data besides those of protect; never with a protect of policy.conf */
    struct endpoint_texts protect, exclude; /* absolute paths; exclude holds policy.conf's unprotect too */
    enum endpoint_mode ransom;  /* default stop */
    bool give_back;             /* default true */
    int sensitivity;            /* 0 … 2, default 1 */
    enum endpoint_answer answer; /* to hits of rules of level critical and high, by the tree; default tell */
    bool scan_on_write, scan_on_media; /* default true, true: where there is a scanner */
    int scan_weekday;           /* 0 Sunday … 6, ENDPOINT_EVERY_DAY, ENDPOINT_NO_DAY (default) */
    int scan_hour;              /* 0 … 23 */
    struct endpoint_texts scan_paths; /* none: what is protected */
    enum endpoint_media media;  /* default allow */
    struct endpoint_texts media_allow; /* serial numbers that are allowed whatever media says */
    uint8_t (*block_file)[32];  /* SHA-256 of programs that may not start */
    size_t block_file_n;
    struct endpoint_texts block_to; /* addresses, prefixes, domains: as text, checked for form */
    bool may_disable;           /* accounts may be disabled without a person asking; default false */
    bool isolate_by_rule;       /* a critical case cuts the machine off; default false */
};

/* Whose policy: borrowed, as long as it is used. */
struct endpoint_own {
    const struct agent_config *config; /* order_pub, device */
    const struct agent_policy *local;  /* policy.conf; NULL: nothing said */
    const char *path;                  /* the part's own copy: DATA/PART/policy.json */
};
/* What holds while nothing was set, with policy.conf's last word.  *ret is {0} or a policy, which is wiped.  -ENOMEM. */
sm_must_use int endpoint_policy_default(const struct agent_policy *local, struct endpoint_policy *ret);
/* The one that is kept, at a start; the default when there is none.  One that is damaged or not ours: an error, and *ret is the default
 * all the same.  *ret is {0} or a policy, which is wiped.  -SM_EAUTH, -SM_EFORMAT, -SM_EINVAL (ret_why, 160 bytes), -ENOMEM, -errno. */
sm_must_use int endpoint_policy_load(const struct endpoint_own *own, struct endpoint_policy *ret, char *ret_why);
/*
 * A row {"order","sig"} (what E_POLICY carries, or L_ORDER with "now"): verified, kept durably at own->path, and then *ret is it (what
 * it held is wiped).  A number above ret->number is taken, the same one is -SM_EEXISTS (nothing changes, all is well), a lower one
 * -SM_ETIME.  -SM_EAUTH, -SM_EFORMAT, -SM_EINVAL (ret_why, 160 bytes, names the field), -ENOMEM, -errno; *ret stays as it was.
 */
sm_must_use int endpoint_policy_take(
    const json_t *row, const struct endpoint_own *own, struct endpoint_policy *ret, char *ret_why);
/* The args of such an order alone (tests, fuzz). */
sm_must_use int endpoint_policy_parse(
    const json_t *args, const struct agent_policy *local, struct endpoint_policy *ret, char *ret_why);
void endpoint_policy_wipe(struct endpoint_policy *p);

/* The folder DATA/NAME of a part, 0700 of that user (user "": who runs): made by the supervisor. */
sm_must_use int endpoint_folder(const char *data, const char *name, const char *user, unsigned uid);
#endif
