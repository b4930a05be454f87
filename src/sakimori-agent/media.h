/*
 * media: removable media as the policy wants them (endpoint.h: media, media_allow): read-only, or unusable, unless their serial is allowed.
 * Root with CAP_SYS_ADMIN alone; no network, no key; a channel to judge, which gives it the signed policy that it verifies itself, and hears
 * what it did.  A loop device counts only when its file lies below a folder that policy.conf names (`media = /folder`).
 */
#ifndef AGENT_MEDIA_H
#define AGENT_MEDIA_H
#include "plat/media.h"
#include "sakimori-agent/agent.h"
#include "sakimori-agent/endpoint.h"

enum {
    MEDIA_LOOK_MS = 5000,    /* besides when the kernel tells of a device */
    MEDIA_SOON_MS = 20,      /* one stick is several devices */
    MEDIA_TOLD_MAX = 12,     /* of the list for the box: E_PART_STATE has 4 KiB */
};

/* One that is there, and what was done to it. */
struct media_one {
    struct plat_medium m;
    enum endpoint_media done;
    int hold;                /* keeps it blocked; -1 */
    bool failed, there;
};
/* What the policy wants of this one. */
enum endpoint_media media_wanted(const struct endpoint_policy *p, const struct plat_medium *m);
/* The same as "allow", "read_only", "block". */
const char *media_word(enum endpoint_media mode);

int media_main(const char *data, const char *skip);
#endif
