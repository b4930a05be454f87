/* The password rules of the guideline for medical information systems 7.0. */
#include "crypto/pass.h"

/*
 * What people choose: world-wide lists, keyboard walks, and words of a clinic in romaji.  Lower
 * case, disguises undone; digits and symbols around and between them do not help.
 */
static const char *const banned[] = {
    /* everywhere */
    "password", "passwort", "passwd", "passcode", "pass", "pswd", "secret", "letmein", "welcome", "login", "logon",
    "signin", "changeme", "change", "default", "guest", "user", "username", "test", "testing", "tester", "demo",
    "sample", "temp", "temporary", "admin", "administrator", "adminadmin", "root", "toor", "super", "superuser",
    "sysadmin", "system", "master", "manager", "operator", "owner", "server", "service", "support", "backup",
    "database", "network", "internet", "security", "access", "public", "private", "hello", "iloveyou", "love",
    "lovely", "sunshine", "princess", "monkey", "dragon", "football", "baseball", "soccer", "superman", "batman",
    "pokemon", "pikachu", "shadow", "trustno", "whatever", "freedom", "computer", "windows", "linux", "microsoft",
    "google", "apple", "cisco", "oracle", "postgres", "mysql", "michael", "jordan", "charlie", "daniel", "ashley",
    "summer", "winter", "spring", "autumn", "january", "february", "march", "april", "june", "july", "august",
    "september", "october", "november", "december", "monday", "tuesday", "friday", "sunday", "starwars", "killer",
    "ninja", "samurai", "flower", "cookie", "chocolate", "orange", "banana", "cheese", "hunter", "ranger", "abc",
    "abcd", "abcde", "abcdef", "abcdefg", "xyz", "aaa", "the", "my", "your", "new", "good", "best", "easy",
    /* keyboard */
    "qwerty", "qwertyu", "qwertyui", "qwertyuiop", "qwert", "qwer", "asdf", "asdfg", "asdfgh", "asdfghj", "asdfghjk",
    "asdfghjkl", "zxcv", "zxcvb", "zxcvbn", "zxcvbnm", "uiop", "hjkl", "poiuytrewq", "lkjhgfdsa", "mnbvcxz", "qaz",
    "wsx", "edc", "rfv", "tgb", "yhn", "ujm", "qazwsx", "qazwsxedc", "zaq", "xsw", "cde", "vfr", "bgt", "nhy", "mju",
    "q1w2", "e3r4", "t5y6", "u7i8", "1q2w", "3e4r", "5t6y", "7u8i", "9o0p", "a1s2", "d3f4", "g5h6", "z1x2", "c3v4",
    "1a2b", "3c4d", "1a2s", "3d4f", "a1b2", "c3d4", "e5f6", "aqsw", "dcfv", "qweasd", "zxc", "asd", "qwe", "rty",
    "fgh", "vbn", "wasd",
    /* a clinic, in romaji and English */
    "byouin", "byoin", "byoinn", "iin", "shinryo", "shinryojo", "sinryou", "sinryo", "shinryoujo", "clinic",
    "clinics", "kurinikku", "hospital", "medical", "medicine", "doctor", "nurse", "patient", "health", "dental",
    "pharmacy", "karte", "carte", "karute", "kanja", "kango", "kangoshi", "kangosi", "ishi", "isha", "sensei",
    "incho", "inchou", "inchyo", "jimu", "jimucho", "uketsuke", "uketuke", "kaikei", "yakkyoku", "yakuzaishi",
    "kusuri", "shika", "haisha", "naika", "geka", "shonika", "syounika", "seikei", "hifuka", "ganka", "jibika",
    "rezept", "reseputo", "rece", "receden", "rececon", "orca", "ormaster", "dicom", "pacs", "denkaru", "densi",
    "denshi", "densikarute", "denshikarute", "hoken", "kenshin", "kensa", "rentogen", "xray", "surgery", "kokyaku",
    "kaigo", "iryou", "iryo", "anzen", "kanri", "kanrisha", "kanrisya", "sakimori", "bouei", "himitsu", "himitu",
    "angou", "pasuwado", "pasuwaado", "nihon", "nippon", "japan", "tokyo", "toukyou", "osaka", "oosaka", "kyoto",
    "nagoya", "sapporo", "fukuoka", "yokohama", "hiroshima", "sendai", "okinawa", "sakura", "fujisan", "hanako",
    "tarou", "taro", "satou", "sato", "suzuki", "tanaka", "takahashi", "watanabe", "yamada", "yamamoto", "nakamura",
    "kobayashi", "itou", "ito", "kato", "katou", "yoshida", "himawari", "momiji", "arigatou", "arigato",
    "konnichiwa", "ohayou", "aishiteru", "daisuki", "kawaii", "doraemon", "gundam", "reiwa", "heisei", "showa",
    "shouwa", "desu", "masu", "watashi", "okane", "neko", "inu",
};

struct folded { uint32_t c[CRYPTO_PASS_MAX]; size_t n; };

/* One code point of valid UTF-8. */
static uint32_t next_point(const uint8_t **p)
{
    const uint8_t *s = *p;
    int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        c = c << 6 | (s[i] & 0x3f);
    }
    *p = s + more + 1;
    return c;
}

/* Code points, full-width forms made plain, ASCII in lower case. */
static void fold(struct sm_span in, struct folded *ret)
{
    const uint8_t *p = in.p, *end = in.p + in.n;
    ret->n = 0;
    while (p < end && ret->n < CRYPTO_PASS_MAX) {
        uint32_t c = next_point(&p);
        if (c >= 0xff01 && c <= 0xff5e) {
            c = c - 0xff01 + 0x21;
        } else if (c == 0x3000) {
            c = ' ';
        }
        if (c >= 'A' && c <= 'Z') {
            c += 32;
        }
        ret->c[ret->n++] = c;
    }
}

static bool is_letter(uint32_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* Does c stand for the letter w, plainly or in the usual disguise? */
static bool stands_for(uint32_t c, uint32_t w)
{
    static const char *const disguise[26] = {['a' - 'a'] = "@4", ['b' - 'a'] = "8", ['c' - 'a'] = "(",
        ['e' - 'a'] = "3", ['g' - 'a'] = "69", ['i' - 'a'] = "1!|", ['l' - 'a'] = "1|!", ['o' - 'a'] = "0",
        ['s' - 'a'] = "$5", ['t' - 'a'] = "7+", ['z' - 'a'] = "2"};
    if (c == w) {
        return true;
    }
    return is_letter(w) && c < 0x80 && c > ' ' && disguise[w - 'a'] && strchr(disguise[w - 'a'], (int)c);
}

static bool matches_at(const struct folded *f, size_t at, const char *word, size_t n)
{
    if (n > f->n - at) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!stands_for(f->c[at + i], (uint8_t)word[i])) {
            return false;
        }
    }
    return true;
}

/* Can the whole password be laid out with banned words, digits and symbols alone? */
static bool is_common(const struct folded *f)
{
    bool reach[CRYPTO_PASS_MAX + 1] = {true};
    for (size_t at = 0; at < f->n; at++) {
        if (!reach[at]) {
            continue;
        }
        if (f->c[at] < 0x80 && !is_letter(f->c[at])) {
            reach[at + 1] = true;
        }
        for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++) {
            size_t n = strlen(banned[i]);
            if (matches_at(f, at, banned[i], n)) {
                reach[at + n] = true;
            }
        }
    }
    return reach[f->n]; /* a letter is demanded elsewhere, so at least one word was used */
}

static bool is_repeated(const struct folded *f)
{
    size_t kinds = 0, breaks = 0, period;
    for (size_t i = 0; i < f->n; i++) {
        size_t j = 0;
        while (j < i && f->c[j] != f->c[i]) {
            j++;
        }
        kinds += j == i;
        int64_t step = i ? (int64_t)f->c[i] - (int64_t)f->c[i - 1] : 0;
        breaks += step < -1 || step > 1;
    }
    if (kinds < 5 || breaks <= 2) {
        return true;
    }
    for (period = 1; period <= f->n / 2; period++) {
        size_t i = period;
        while (i < f->n && f->c[i] == f->c[i - period]) {
            i++;
        }
        if (i == f->n && period <= 5) {
            return true;
        }
    }
    return false;
}

/* Does f contain part, disguises undone? */
static bool contains(const struct folded *f, const uint32_t *part, size_t n)
{
    for (size_t at = 0; at + n <= f->n; at++) {
        size_t i = 0;
        while (i < n && stands_for(f->c[at + i], part[i])) {
            i++;
        }
        if (i == n) {
            return true;
        }
    }
    return false;
}

/* Any part of name (cut at spaces and signs) of three or more characters? */
static bool contains_name(const struct folded *f, const char *name)
{
    struct folded w;
    size_t n = name ? strlen(name) : 0, start = 0;
    if (!n || n > CRYPTO_PASS_MAX || !sm_utf8_valid(SM_SPAN(name, n))) {
        return false;
    }
    fold(SM_SPAN(name, n), &w);
    for (size_t i = 0; i <= w.n; i++) {
        if (i < w.n && (is_letter(w.c[i]) || is_digit(w.c[i]) || w.c[i] >= 0x80)) {
            continue;
        }
        if (i - start >= 3 && contains(f, w.c + start, i - start)) {
            return true;
        }
        start = i + 1;
    }
    return false;
}

static enum crypto_pass_reason check_folded(
    const struct folded *f, bool second_factor, const char *account, const char *institution)
{
    bool letter = false, digit = false;
    for (size_t i = 0; i < f->n; i++) {
        if (f->c[i] < ' ' || (f->c[i] >= 0x7f && f->c[i] < 0xa0)) {
            return CRYPTO_PASS_NOT_TEXT;
        }
        letter = letter || is_letter(f->c[i]);
        digit = digit || is_digit(f->c[i]);
    }
    if (f->n < (second_factor ? 8u : 13u)) {
        return second_factor ? CRYPTO_PASS_SHORT_8 : CRYPTO_PASS_SHORT_13;
    }
    if (!letter || !digit) {
        return letter ? CRYPTO_PASS_NO_DIGIT : CRYPTO_PASS_NO_LETTER;
    }
    if (is_common(f)) {
        return CRYPTO_PASS_COMMON;
    }
    if (is_repeated(f)) {
        return CRYPTO_PASS_REPEATED;
    }
    if (contains_name(f, account)) {
        return CRYPTO_PASS_HAS_ACCOUNT;
    }
    return contains_name(f, institution) ? CRYPTO_PASS_HAS_INSTITUTION : CRYPTO_PASS_GOOD;
}

enum crypto_pass_reason crypto_pass_check(
    struct sm_span password, bool second_factor, const char *account, const char *institution)
{
    struct folded f;
    if (password.n > CRYPTO_PASS_MAX) {
        return CRYPTO_PASS_TOO_LONG;
    }
    if (!sm_utf8_valid(password)) {
        return CRYPTO_PASS_NOT_TEXT;
    }
    fold(password, &f);
    enum crypto_pass_reason reason = check_folded(&f, second_factor, account, institution);
    sm_zero(&f, sizeof(f));
    return reason;
}

const char *crypto_pass_reason_name(enum crypto_pass_reason reason)
{
    static const char *const names[] = {"GOOD", "NOT_TEXT", "TOO_LONG", "SHORT_8", "SHORT_13", "NO_LETTER",
        "NO_DIGIT", "COMMON", "REPEATED", "HAS_ACCOUNT", "HAS_INSTITUTION"};
    size_t i = (size_t)reason;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "?";
}
