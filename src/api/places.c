/*
 * Places outside that the institution knows: online claims, a cloud backup, the line of a vendor (setting `places`).  What goes there at
 * night is no leak, and no playbook ever blocks them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "api/watch.h"

#define PLACES_MAX 60

bool address_net(const char *text, struct address_net *ret)
{
    char address[64];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof address)
        return false;
    memcpy(address, text, n);
    address[n] = 0;
    unsigned len = inet_pton(AF_INET, address, ret->bytes) == 1 ? 4 : inet_pton(AF_INET6, address, ret->bytes) == 1 ? 16 : 0;
    char *end = NULL;
    unsigned long bits = slash ? strtoul(slash + 1, &end, 10) : 8ul * len;
    if (!len || (slash && (end == slash + 1 || *end || slash[1] == '-' || slash[1] == '+')) || bits > 8ul * len)
        return false;
    ret->bits = (unsigned)bits;
    ret->len = len;
    return true;
}

bool address_in(const char *address, const char *net)
{
    struct address_net a, n;
    if (!address_net(address, &a) || !address_net(net, &n) || a.len != n.len || a.bits < n.bits)
        return false;
    unsigned whole = n.bits / 8, rest = n.bits % 8;
    if (memcmp(a.bytes, n.bytes, whole) != 0)
        return false;
    return !rest || ((a.bytes[whole] ^ n.bytes[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

/* The rules compare by text: a whole address, or an IPv4 net that ends at a dot. */
static json_t *pattern_of(const char *text)
{
    struct address_net n;
    if (!address_net(text, &n))
        return NULL;
    if (n.bits == 8 * n.len)
        return json_stringn(text, strcspn(text, "/"));
    if (n.len != 4 || n.bits % 8 != 0 || n.bits == 0)
        return NULL;
    return n.bits == 8 ? json_sprintf("%u.*", n.bytes[0]) : n.bits == 16 ? json_sprintf("%u.%u.*", n.bytes[0], n.bytes[1])
        : json_sprintf("%u.%u.%u.*", n.bytes[0], n.bytes[1], n.bytes[2]);
}

const char *places_check(const json_t *in, json_t **ret)
{
    json_t *list = json_array();
    size_t i;
    const json_t *v;
    const char *bad = json_is_array(in) && json_array_size(in) <= PLACES_MAX ? NULL : "places";
    json_array_foreach(in, i, v) {
        struct sm_obj o = SM_OBJ(v);
        const char *address = sm_obj_str(&o, "address", 2, 64), *name = sm_obj_str(&o, "name", 1, 120);
        json_t *pattern = o.err < 0 ? NULL : pattern_of(address);
        if (!pattern)
            bad = "places.address";
        else
            api_append(list, json_pack("{s:s,s:s}", "address", address, "name", name));
        json_decref(pattern);
    }
    if (bad)
        json_decref(list);
    else
        *ret = list;
    return bad;
}

json_t *places_list(struct api *a)
{
    json_t *list = state_setting(a->state, "places");
    if (json_is_array(list))
        return list;
    json_decref(list);
    return json_array();
}

json_t *places_patterns(struct api *a)
{
    json_t *list = places_list(a), *out = json_array(), *v;
    size_t i;
    json_array_foreach(list, i, v) {
        json_t *pattern = pattern_of(api_str(v, "address"));
        if (pattern)
            api_append(out, pattern);
    }
    json_decref(list);
    return out;
}

bool places_know(struct api *a, const char *address)
{
    json_t *list = places_list(a), *v;
    bool known = false;
    size_t i;
    json_array_foreach(list, i, v)
        known |= address_in(address, api_str(v, "address"));
    json_decref(list);
    return known;
}
