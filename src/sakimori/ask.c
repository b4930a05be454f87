/* Questions on the terminal, the answers file, secrets. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/totp.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/cli.h"

#define LINE_LONGEST 4096

int cli_answers_parse(struct sm_span text, json_t **ret, char *ret_why)
{
    json_t *j = NULL;
    int r = sm_json_parse(text, CLI_ANSWERS_MAX, &j, ret_why);
    if (r < 0)
        return r;
    if (!json_is_object(j)) {
        json_decref(j);
        snprintf(ret_why, 160, "an object is expected");
        return -SM_EFORMAT;
    }
    *ret = j;
    return 0;
}

int cli_answers_load(struct cli *c)
{
    const char *file = cli_opt(c, "answers");
    if (!file || c->answers)
        return CLI_OK;
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = fd < 0 ? -errno : 0;
    struct sm_buf text = SM_BUF_INIT(CLI_ANSWERS_MAX + 1);
    char why[160] = "";
    json_t *j = NULL;
    if (!r && fstat(fd, &st) < 0)
        r = -errno;
    if (!r && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
        cli_note(c, T(c, "%s は他の人にも読めます。chmod 600 してください", "%s can be read by others: chmod 600 it first"), file);
        close(fd);
        return CLI_USAGE;
    }
    char block[4096];
    ssize_t n = 0;
    while (!r && (n = plat_fs_read(fd, block, sizeof block)) > 0)
        r = sm_buf_put(&text, block, (size_t)n);
    sm_zero(block, sizeof block);
    if (!r && n < 0)
        r = (int)n;
    if (!r)
        r = cli_answers_parse(sm_buf_span(&text), &j, why);
    if (fd >= 0)
        close(fd);
    sm_buf_wipe(&text);
    if (r < 0) {
        cli_note(c, "%s: %s", file, cli_why(c, r, why));
        return CLI_USAGE;
    }
    c->answers = calloc(1, sizeof *c->answers);
    if (!c->answers) {
        json_decref(j);
        return CLI_FAILED;
    }
    c->answers->o = j;
    return CLI_OK;
}

const char *cli_answer(const struct cli *c, const char *key)
{
    const char *s = c->answers ? json_string_value(cli_at(c->answers->o, key)) : NULL;
    return s && *s ? s : NULL;
}

bool cli_has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    bool is = isatty(fd);
    close(fd);
    return is;
}

/* One line from fd without its end; NULL at the end of input or when too long. */
static char *read_line(int fd)
{
    char *line = calloc(1, LINE_LONGEST);
    size_t n = 0;
    while (line && n + 1 < LINE_LONGEST) {
        ssize_t got = plat_fs_read(fd, line + n, 1);
        if (got != 1 && n == 0) {
            cli_secret_free(line);
            return NULL;
        }
        if (got != 1 || line[n] == '\n')
            break;
        n++;
    }
    if (line) {
        line[n] = 0;
        if (n && line[n - 1] == '\r')
            line[n - 1] = 0;
    }
    return line;
}

static char *terminal_line(const char *prompt, bool echo)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios was, now;
    if (fd < 0 || tcgetattr(fd, &was) < 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    now = was;
    if (!echo)
        now.c_lflag &= ~(tcflag_t)ECHO;
    (void)!write(fd, prompt, strlen(prompt));  /* no prompt is no reason not to read */
    (void)tcsetattr(fd, TCSAFLUSH, &now);      /* shown characters are the person's to see */
    char *line = read_line(fd);
    (void)tcsetattr(fd, TCSANOW, &was);
    if (!echo)
        (void)!write(fd, "\n", 1);
    close(fd);
    return line;
}

char *cli_secret(struct cli *c, const char *key, const char *prompt)
{
    const char *known = cli_answer(c, key);
    char *s = NULL;
    if (known)
        return strdup(known);
    int64_t fd = cli_flag(c, "password-stdin") ? 0 : cli_number(c, "password-fd", 0, 1023);
    if (fd < -1)
        return NULL;
    if (fd >= 0)
        s = read_line((int)fd);
    else
        s = terminal_line(prompt, false);
    if (!s || !*s) {
        cli_note(c, fd >= 0 ? T(c, "入力が足りません: %s", "input ended early: %s") : T(c,
            "端末がないので聞けません: %s(--password-stdin か --answers を使ってください)",
            "no terminal to ask on: %s (use --password-stdin or --answers)"), prompt);
        cli_secret_free(s);
        return NULL;
    }
    return s;
}

void cli_secret_free(char *s)
{
    if (s)
        sm_zero(s, strlen(s));
    free(s);
}

char *cli_ask(struct cli *c, const char *prompt, const char *standard)
{
    char text[512];
    for (int tries = 0; tries < 5; tries++) {
        (void)snprintf(text, sizeof text, standard && *standard ? "%s [%s]: " : "%s: ", prompt,
            standard ? standard : ""); /* cut */
        char *s = terminal_line(text, true);
        if (!s) {
            cli_note(c,
                T(c, "端末がないので聞けません: %s(--answers を使ってください)",
                    "no terminal to ask on: %s (use --answers)"),
                prompt);
            return NULL;
        }
        if (*s)
            return s;
        free(s);
        if (standard)
            return strdup(standard);
    }
    return NULL;
}

static int sheet_text(struct cli *c, const char *file, enum crypto_sheet_half half, struct sm_buf *to)
{
    if (file)
        return plat_fs_read_file(AT_FDCWD, !strcmp(file, "-") ? "/dev/stdin" : file, CRYPTO_SHEET_TEXT_MAX, to);
    for (int i = 0; i < 24; i++) {
        char *line = cli_ask(c,
            i ? T(c, "続き(終わりは空の行)", "more (empty line to end)")
            : half == CRYPTO_SHEET_OPEN
                ? T(c, "金庫の紙の「1 開ける鍵」のことば(24個)か、QR の文字",
                      "24 words of the recovery sheet's opening half, or the text of its QR code")
                : T(c, "金庫の紙の「2 大事な決まりを変える鍵(命令の鍵)」のことば(24個)か、QR の文字",
                      "24 words of the recovery sheet's half for orders, or the text of its QR code"),
            i ? "" : NULL);
        int r = line ? sm_buf_put(to, line, strlen(line)) : -ENODATA;
        if (!r)
            r = sm_buf_put_u8(to, '\n');
        bool last = !line || !*line;
        cli_secret_free(line);
        if (r < 0)
            return r;
        struct crypto_sheet s;
        char why[160];
        bool whole = crypto_sheet_parse(sm_buf_span(to), half, &s, why) == 0;
        crypto_sheet_wipe(&s);
        if (last || whole)
            break;
    }
    return 0;
}

int cli_sheet(struct cli *c, const char *file, enum crypto_sheet_half half, struct crypto_sheet *ret)
{
    struct sm_buf text = SM_BUF_INIT(CRYPTO_SHEET_TEXT_MAX + 1);
    char why[160] = "";
    int r = sheet_text(c, file, half, &text);
    if (!r)
        r = crypto_sheet_parse(sm_buf_span(&text), half, ret, why);
    sm_buf_wipe(&text);
    if (r < 0)
        cli_note(c, T(c, "金庫の紙: %s", "recovery sheet: %s"), cli_why(c, r, why));
    return r < 0 ? CLI_DENIED : CLI_OK;
}

int cli_totp(const char *secret_base32, char ret[8])
{
    struct sm_buf secret = SM_BUF_INIT(128);
    int r = sm_unbase32(SM_SPAN_STR(secret_base32), &secret);
    char code[CRYPTO_TOTP_CODE];
    if (r == 0 && secret.n == 0)
        r = -SM_EFORMAT;
    if (r == 0) {
        crypto_totp_code(sm_buf_span(&secret), (uint64_t)plat_clock_wall().s / CRYPTO_TOTP_STEP_S, code);
        memcpy(ret, code, sizeof code);
    }
    sm_buf_wipe(&secret);
    return r;
}
