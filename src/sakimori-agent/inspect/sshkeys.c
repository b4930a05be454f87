/*
 * Keys that let somebody in without a password: authorized_keys of every account.  These files are people's own: only
 * what has the form of a key is told of, so that a link to another file tells nothing of it.
 */
#include "sakimori-agent/inspect/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/hash.h"

enum { ACCOUNTS_MAX = 2000, KEYS_MAX = 200, FILE_MAX = 256 << 10 };

static bool is_kind(struct sm_span w)
{
    static const char *const kinds[] = {"ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (w.n == strlen(kinds[i]) && memcmp(w.p, kinds[i], w.n) == 0)
            return true;
    return false;
}

/* sshd(8), AUTHORIZED_KEYS FILE FORMAT: [options] kind base64 [comment]; options hold no blanks but in quotes. */
static bool split(struct sm_span line, struct sm_span *ret_kind, struct sm_span *ret_key, struct sm_span *ret_comment)
{
    while (line.n) {
        bool quoted = false;
        size_t n = 0;
        while (n < line.n && (quoted || (line.p[n] != ' ' && line.p[n] != '\t'))) {
            quoted ^= line.p[n] == '"' && (n == 0 || line.p[n - 1] != '\\');
            n++;
        }
        struct sm_span word = SM_SPAN(line.p, n);
        while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t'))
            n++;
        line = SM_SPAN(line.p + n, line.n - n);
        if (is_kind(word)) {
            *ret_kind = word;
            *ret_key = inspect_field(line, ' ', 0);
            size_t rest = ret_key->n < line.n ? ret_key->n + 1 : ret_key->n;
            *ret_comment = SM_SPAN(line.p + rest, line.n - rest);
            return ret_key->n > 0;
        }
    }
    return false;
}

static void put_key(struct sm_span user, const char *path, struct sm_span line, struct items *to)
{
    struct sm_span kind, key, comment;
    struct sm_buf blob = SM_BUF_INIT(FILE_MAX), print = SM_BUF_INIT(256), name = SM_BUF_INIT(ITEM_KEY);
    uint8_t hash[CRYPTO_SHA256_LEN];
    if (split(line, &kind, &key, &comment) && !sm_unbase64(key, &blob) && blob.n > 8) {
        crypto_sha256(sm_buf_span(&blob), hash);
        int r = sm_buf_put(&print, "SHA256:", 7);
        if (!r)
            r = sm_base64(SM_SPAN(hash, sizeof hash), &print);
        if (!r)
            r = sm_buf_put_span(&name, user);
        if (!r)
            r = sm_buf_printf(
                &name, " %.*s", (int)print.n - 1, (const char *)print.p); /* as ssh-keygen -l shows it: without = */
        if (!r) {
            items_add(to, sm_buf_span(&name));
            items_tell(to, "TargetUser", user);
            items_tell(to, "Fingerprint", SM_SPAN(print.p, print.n - 1));
            items_tell(to, "KeyType", kind);
            items_tell(to, "Comment", SM_SPAN(comment.p, comment.n < 200 ? comment.n : 200));
            items_tell(to, "TargetFilename", SM_SPAN_STR(path));
        }
        to->err = to->err ? to->err : r == -ENOMEM ? r : 0;
    }
    sm_buf_wipe(&blob);
    sm_buf_wipe(&print);
    sm_buf_wipe(&name);
}

static void look_file(const struct inspect_look *l, struct sm_span user, const char *path, struct items *to)
{
    struct sm_buf b = SM_BUF_INIT(FILE_MAX);
    struct sm_span rest, line;
    size_t n = 0;
    if (!inspect_read(l, path + 1, true, FILE_MAX, &b, NULL))
        for (rest = sm_buf_span(&b); inspect_line(&rest, &line) && n < KEYS_MAX; n++)
            if (line.n && line.p[0] != '#')
                put_key(user, path, line, to);
    sm_buf_wipe(&b);
}

static void look(const struct inspect_look *l, struct items *to)
{
    static const char *const names[] = {"authorized_keys", "authorized_keys2"};
    struct sm_buf b = SM_BUF_INIT(INSPECT_FILE_MAX);
    struct sm_span rest, line;
    size_t n = 0;
    if (inspect_read(l, "etc/passwd", true, INSPECT_FILE_MAX, &b, NULL))
        b.n = 0; /* nobody */
    for (rest = sm_buf_span(&b); inspect_line(&rest, &line) && n < ACCOUNTS_MAX; n++) {
        struct sm_span user = inspect_field(line, ':', 0), home = inspect_field(line, ':', 5);
        char path[ITEM_KEY];
        for (size_t i = 0; i < 2 && home.n > 1 && home.p[0] == '/'; i++) {
            int k = snprintf(
                path, sizeof path, "%.*s/.ssh/%s", (int)(home.n < 512 ? home.n : 512), (const char *)home.p, names[i]);
            if (k > 0 && (size_t)k < sizeof path)
                look_file(l, user, path, to);
        }
    }
    sm_buf_wipe(&b);
}

static const char *const folders[] = {"root/.ssh", NULL};
const struct inspect_sensor inspect_sshkeys = {.name = "sshkeys",
    .added = "ssh_key_added",
    .removed = "ssh_key_removed",
    .key = "Key",
    .folders = folders,
    .every_s = 60,
    .look = look};
