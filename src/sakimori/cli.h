/*
 * The command line `sakimori`: what every command file uses.
 *
 * One table (table.c) of commands: name, arguments, options, help in Japanese and English, function; one file per
 * group. A command answers with one of the exit codes below and has by then said why.  Standard output carries the
 * answer (tables, or JSON with --json) and nothing else; complaints, questions and progress go to standard error. Texts
 * from outside never reach the terminal raw: cli_text escapes control characters.
 */
#ifndef SAKIMORI_CLI_H
#define SAKIMORI_CLI_H
#include <jansson.h>
#include "core/buf.h"
#include "core/time.h"
#include "core/words.h"
#include "crypto/sheet.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,       /* it was tried and did not work */
    CLI_USAGE = 2,        /* the command line, or an answers file, is not right */
    CLI_DENIED = 3,       /* not signed in, or not allowed to */
    CLI_NOT_FOUND = 4,
    CLI_LOCKED = 5,       /* the restore key has to be unlocked first */
    CLI_PARTIAL = 6,      /* done in part; what is missing was named */
    CLI_UNREACHABLE = 7,  /* the box does not answer */
};

struct cli;
#define CLI_OPTS_MAX 16
struct cli_opt {
    const char *name;     /* without the dashes; NULL ends a list */
    const char *value;    /* "FILE"; NULL = a flag */
    bool many;            /* may be given again */
    const char *ja, *en;
};
struct cli_cmd {
    const char *name;     /* one to three words */
    const char *args;     /* positional arguments for the usage line, "" for none */
    unsigned min, max;    /* how many */
    int (*run)(struct cli *c);
    const char *ja, *en;
    const struct cli_opt *opts;   /* may be NULL */
};
extern const struct cli_cmd cli_commands[];
extern const size_t cli_commands_n;
extern const struct cli_opt cli_global_opts[];

/* ---- the command line (args.c) ---- */
#define CLI_VALUES_MAX 512
struct cli_value { const struct cli_opt *opt; const char *value; };
/* Which command and what with it.  Everything is borrowed from argv.  0, or -SM_EINVAL with ret_why (240 bytes) and the
 * command as far as it is known. */
struct cli_line {
    const struct cli_cmd *cmd;
    const char *arg[CLI_VALUES_MAX];
    size_t args;
    struct cli_value value[CLI_VALUES_MAX];
    size_t values;
    bool help;
};
sm_must_use int cli_parse(int argc, char **argv, bool ja, struct cli_line *ret, char *ret_why);
const char *cli_opt(const struct cli *c, const char *name);            /* the last one given, or NULL */
const char *cli_opt_nth(const struct cli *c, const char *name, size_t i); /* the i-th, or NULL */
bool cli_flag(const struct cli *c, const char *name);
const char *cli_arg(const struct cli *c, size_t i);                    /* NULL past the end */
/* A whole number option; -1 when absent, -2 when it is none between min and max (said already). */
int64_t cli_number(const struct cli *c, const char *name, int64_t min, int64_t max);
void cli_help(FILE *to, bool ja, const struct cli_cmd *cmd /* NULL: all */);
/* "ja…" → 1, "en…" → 0, else -1. */
int cli_language(const char *text);

struct cli {
    struct cli_line line;
    bool ja, json, tty_err;
    struct cli_net *net;
    struct cli_answers *answers;  /* of --answers, or NULL */
    bool stdin_used;
};
#define T(c, japanese, english) ((c)->ja ? (japanese) : (english))

/* ---- output (out.c) ---- */
/* Complaint or note on standard error, with a line end. */
void cli_note(const struct cli *c, const char *fmt, ...) sm_printf(2, 3);
/* text with control characters, and bytes that are not UTF-8, as \xNN. */
void cli_text(FILE *to, const char *text);
enum cli_kind { CLI_TEXT, CLI_TIME, CLI_BYTES, CLI_WORD, CLI_YES, CLI_SHORT /* an id: first 12 characters */ };
struct cli_col { const char *key; enum cli_kind kind; const char *ja, *en; };   /* key may be "a.b" */
/* Rows as a table with aligned columns (a wide character counts two). */
void cli_table(const struct cli *c, const json_t *items, const struct cli_col *cols, size_t n);
/* One object, a line a column. */
void cli_record(const struct cli *c, const json_t *object, const struct cli_col *cols, size_t n);
/* JSON, indented on a terminal, compact in a pipe. */
void cli_json(const json_t *v);
/* The Japanese or English word of a stable word of the API ("late" → 遅れ). */
const char *cli_word(const struct cli *c, const char *word);
/* "path: what went wrong" of a restore; and what went wrong in words of the reader, with a room's English detail behind it
 * in a Japanese answer (static storage, until the next call). */
void cli_problem(const struct cli *c, const char *path, int err, const char *what);
const char *cli_why(const struct cli *c, int err, const char *why);
/* Progress: on a terminal one line that is rewritten, else nothing.  total 0: unknown. */
void cli_progress(const struct cli *c, const char *label, uint64_t done, uint64_t total, const char *now);
void cli_progress_end(const struct cli *c);
void cli_bytes(uint64_t n, char ret[32]);
/* A time of the API as tables show it (JST); a text that is no time stays, cut. */
void cli_time(const char *rfc3339, char ret[SM_TIME_TEXT]);

/* ---- questions (ask.c) ---- */
/* A file given by --answers, whole: an object, at most CLI_ANSWERS_MAX bytes, mode 0600 or less (-EPERM). */
#define CLI_ANSWERS_MAX ((size_t)64 << 10)
struct cli_answers { json_t *o; };
sm_must_use int cli_answers_parse(struct sm_span text, json_t **ret, char *ret_why /* 160 */);
/* CLI_OK or CLI_USAGE (said). */
int cli_answers_load(struct cli *c);
/* The answer for key from the file, or NULL. */
const char *cli_answer(const struct cli *c, const char *key);
/* A secret: from the answers file (key), --password-stdin or --password-fd (one line a secret, in the order asked), or
 * the terminal without echo.  The result is the caller's (cli_secret_free).  NULL: said already. */
char *cli_secret(struct cli *c, const char *key, const char *prompt);
void cli_secret_free(char *s);
/* A line from the terminal, standard when empty (may be NULL: must not be empty).  NULL: no terminal or end of input.
 */
char *cli_ask(struct cli *c, const char *prompt, const char *standard);
/* One half of the recovery sheet: from file ("-" = standard input), or asked for.  CLI_OK, or CLI_DENIED (said). */
int cli_sheet(struct cli *c, const char *file, enum crypto_sheet_half half, struct crypto_sheet *ret);
struct crypto_sign_pair;
/* The orders half: from --orders, from --sheet when that holds both as QR texts, or asked for.  CLI_OK or what was said. */
int cli_orders_key(struct cli *c, struct crypto_sign_pair *ret);
/* A new password (key new_password), on a terminal typed twice.  As cli_secret. */
char *cli_new_password(struct cli *c);
bool cli_has_terminal(void);
/* The present code of an authenticator secret (base32); -SM_EFORMAT. */
sm_must_use int cli_totp(const char *secret_base32, char ret[8]);

/* ---- the box (net.c) ---- */
/* All calls: CLI_OK or an exit code, and then the reason was said (unless quiet).  *ret is the caller's. */
int cli_call(struct cli *c, const char *method, const char *path, json_t *body /* taken, may be NULL */, json_t **ret);
/* As cli_call, but says nothing; the answer (also of an error) is in *ret, which may become NULL. */
int cli_call_quiet(struct cli *c, const char *method, const char *path, json_t *body, json_t **ret);
/* Body as it is to fd. */
int cli_download(struct cli *c, const char *path, int fd);
/* Where the last download goes on ("" nowhere): the header X-Sakimori-Next. */
const char *cli_next(const struct cli *c);
/* How many characters it could not say: the header X-Sakimori-Replaced. */
uint64_t cli_replaced(const struct cli *c);
/* Why not all that was asked for was looked at ("" it was): the header X-Sakimori-Away. */
const char *cli_away(const struct cli *c);
/* All pages of a list as one {"items": […]}. */
int cli_items(struct cli *c, const char *path, json_t **ret);
/* Get a list and print it. */
int cli_list(struct cli *c, const char *path, const struct cli_col *cols, size_t n);
/* Say what the box answered. */
void cli_complain(const struct cli *c, const json_t *answer);
/* path segment or query value, percent-encoded, appended. */
sm_must_use int cli_escape(struct sm_buf *to, const char *text);
/* "/api/v1/a?x=…": builds "prefix" with key=value pairs (NULL values left out); the caller frees. */
char *cli_path(const char *prefix, ...) __attribute__((sentinel));
int cli_net_open(struct cli *c);
void cli_net_close(struct cli *c);
/* Where the local socket is looked for, for messages. */
const char *cli_where(const struct cli *c);
/* Say why the last request got no answer. */
void cli_no_answer(const struct cli *c);
/* The token kept by sign-in.  -errno. */
sm_must_use int cli_token_save(struct cli *c, const char *token);
sm_must_use int cli_token_drop(struct cli *c);
void cli_use_token(struct cli *c, const char *token);
/* Point to another box (the demo). */
int cli_net_data(struct cli *c, const char *data);

/* ---- shared by several commands ---- */
/* The generation meant by `text`: an id, its beginning (8 characters up), "latest" or "last-clean" (with --source).
 * ret has 65 bytes. */
int cli_generation(struct cli *c, const char *text, char ret[65]);
/* Find one item of a list by id, beginning of an id, or name.  ret becomes the caller's. */
int cli_find(struct cli *c, const char *list, const char *text, json_t **ret);
/* The whole id meant by `text`, the beginning (6 characters up) of one in that list; what is shorter, or `full` long and
 * more, is taken as it is.  ret has CLI_ID_TEXT bytes. */
#define CLI_ID_TEXT 81
#define CLI_ID_FULL 32 /* of runs, restores */
int cli_whole_id(struct cli *c, const char *list, const char *text, size_t full, char *ret);
const char *cli_str(const json_t *o, const char *key);  /* "" when it is no string; key may be "a.b" */
const json_t *cli_at(const json_t *o, const char *key);
void cli_sleep_ms(unsigned ms);
/* Watch a run or restore until it ends. */
int cli_watch(struct cli *c, const char *what /* "runs" or "restores" */, const char *id);

#endif
