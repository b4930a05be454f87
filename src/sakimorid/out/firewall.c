/* Requests to the API of a firewall: over TLS, to the address of the settings, with the token that only root's file and this process have. */
#include "sakimorid/out/firewall.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core/buf.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));

    return t ? t : "";
}

int firewall_prepare(CURL *e, const json_t *settings, const json_t *what, struct sm_buf *body, struct curl_slist **list, char *url, size_t size)
{
    const char *base = text_of(settings, "url"), *path = text_of(what, "path"), *token = text_of(settings, "token"), *pin = text_of(settings, "pin");
    char head[600];
    size_t n = strlen(base);
    int r;

    if (!*base || !*token)
        return -SM_ESTATE;
    if (*path && strncmp(path, "/api/v2/monitor/user/banned/", 28) != 0)
        return -SM_EINVAL; /* the token opens more than what is asked for here */
    while (n && base[n - 1] == '/')
        n--;
    r = snprintf(url, size, "%.*s%s", (int)n, base, path);
    if (r < 0 || (size_t)r >= size || strncmp(url, "https://", 8) != 0)
        return -SM_EINVAL;
    r = sm_json_dump(json_object_get(what, "json"), body);
    if (r < 0)
        return r;
    r = snprintf(head, sizeof head, "Authorization: Bearer %s", token);
    if (r < 0 || (size_t)r >= sizeof head)
        return -SM_EINVAL;
    struct curl_slist *first = curl_slist_append(NULL, "Content-Type: application/json"), *all = first ? curl_slist_append(first, head) : NULL;
    memset(head, 0, sizeof head);
    *list = all ? all : first;
    if (!all)
        return -ENOMEM;
    /* A certificate of its own is known by its public key; one that an authority signed by its name. */
    if (*pin && (curl_easy_setopt(e, CURLOPT_PINNEDPUBLICKEY, pin) != CURLE_OK || curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L) != CURLE_OK))
        return -SM_EUNSUPPORTED;
    if (curl_easy_setopt(e, CURLOPT_HTTPHEADER, all) != CURLE_OK || curl_easy_setopt(e, CURLOPT_POST, 1L) != CURLE_OK ||
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)body->n) != CURLE_OK || curl_easy_setopt(e, CURLOPT_POSTFIELDS, body->p) != CURLE_OK)
        return -ENOMEM;
    return 0;
}
