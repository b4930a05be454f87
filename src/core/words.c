#include "core/words.h"
#include <string.h>
#include "core/err.h"

#define SYSTEM_MAX 200 /* numbers of errno end before */

#define WORD(set, key, ja, en) { SM_WORDS_##set, key, { ja, en } },
static const struct {
    enum sm_words set;
    const char *key, *text[2];
} table[] = {
#include "core/words.def"
};
#undef WORD
#define ROWS (sizeof table / sizeof table[0])

/* A key that ends in '*' stands for every text that begins so: names and numbers follow. */
static bool is_row(const char *key, const char *text)
{
    size_t n = strlen(key);
    return strcmp(key, text) == 0 || (n > 1 && key[n - 1] == '*' && strncmp(key, text, n - 1) == 0);
}

const char *sm_word(enum sm_words set, const char *key, bool ja)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].set == set && is_row(table[i].key, key))
            return table[i].text[!ja];
    return NULL;
}

const char *sm_errtext(int err, bool ja)
{
    const char *s = sm_word(SM_WORDS_ERROR, sm_errname(err), ja);
    if (s)
        return s;
    return ja && err ? "システムの誤りです。くり返すときは業者に電話してください" : ja ? "できました" : sm_strerror(err);
}

int sm_errno_of(const char *phrase)
{
    static const int ranges[][2] = { { 1, SYSTEM_MAX }, { SM_EFORMAT, SM_EPEER + 1 } };
    for (size_t k = 0; k < 2; k++)
        for (int i = ranges[k][0]; i < ranges[k][1]; i++)
            if (strcmp(sm_errname(i), "E?") != 0 && strcmp(sm_strerror(i), phrase) == 0)
                return i;
    return 0;
}

const char *sm_problem_code(const char *error)
{
    int e = *error ? sm_errno_of(error) : 0;
    return e ? sm_errname(e) : *error ? "other" : "none";
}

/* Where opening or reading itself failed the error says enough. */
static bool usual(const char *what)
{
    static const char *const words[] = { "open", "stat", "read", "path" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], what) == 0)
            return true;
    return false;
}

int sm_problem_text(const char *error, const char *what, bool ja, struct sm_buf *ret)
{
    int e = *error ? sm_errno_of(error) : 0;
    const char *text = e ? sm_errtext(e, ja) : sm_word(SM_WORDS_PART, error, ja), *part = sm_word(SM_WORDS_PART, what, ja);
    text = text ? text : error;
    part = part ? part : *error && usual(what) ? "" : what;
    if (!*text || !*part)
        return sm_buf_printf(ret, "%s%s", text, part);
    return sm_buf_printf(ret, ja ? "%s(%s)" : "%s (%s)", text, part);
}

size_t sm_words_count(void)
{
    return ROWS;
}

void sm_words_row(size_t i, enum sm_words *ret_set, const char **ret_key, const char **ret_ja, const char **ret_en)
{
    *ret_set = table[i].set;
    *ret_key = table[i].key;
    *ret_ja = table[i].text[0];
    *ret_en = table[i].text[1];
}
