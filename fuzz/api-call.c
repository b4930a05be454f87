/* Any request of any caller: first byte who, first line "METHOD path?query", the rest the body. */
#include <stdint.h>
#include <stdio.h>
#include "../tests/api/api_kit.h"

#define CERT "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
static struct kit *kit;
static char cookies[4][200], csrf[4][80];

static void end(void)
{
    void *k = kit;
    (void)kit_close(&k);
}

static void begin(void)
{
    static const char *const accounts[] = { "director", "manager", "staff", "vendor" };
    char device[33];
    void *k = NULL;
    (void)kit_open(&k);
    kit = k;
    (void)atexit(end);
    kit_people(kit);
    kit_device(kit, CERT, device);
    for (size_t i = 0; i < 4; i++) {
        (void)kit_sign_in(kit, accounts[i], KIT_PASSWORD, NULL);
        memcpy(cookies[i], kit->token, sizeof cookies[i]);
        memcpy(csrf[i], kit->csrf, sizeof csrf[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char line[1024], *path;
    if (!kit)
        begin();
    if (n < 2 || n > 65536)
        return 0;
    unsigned who = data[0] % 7;
    const uint8_t *eol = memchr(data + 1, '\n', n - 1);
    size_t ln = eol ? (size_t)(eol - data - 1) : n - 1;
    if (ln >= sizeof line || memchr(data + 1, 0, ln))
        return 0;
    memcpy(line, data + 1, ln);
    line[ln] = 0;
    path = strchr(line, ' ');
    if (!path || !sm_utf8_valid(SM_SPAN(line, ln)))
        return 0;
    *path++ = 0;
    struct kit_who w = { 0 };
    if (who < 4)
        w = (struct kit_who){ .cookie = cookies[who], .csrf = csrf[who] };
    else if (who < 6)
        w = (struct kit_who){ .port = "agent", .cert = who == 4 ? CERT : NULL };
    char *body = eol ? strndup((const char *)eol + 1, n - ln - 2) : NULL;
    kit_begin(kit, &w, line, path, body);
    kit_run(kit);
    if (!kit->answered) /* a held poll */
        api_gone(kit->api, kit->call);
    api_tick(kit->api);
    kit_run(kit);
    json_array_clear(kit->asked);
    json_array_clear(kit->events);
    free(body);
    return 0;
}
