/*
 * Windows events as text: Snare's tabs behind syslog's head, OSSEC's agent, and the message that the event viewer
 * shows, whose
 * labelled values become the fields of the event's XML (TargetUserName, IpAddress ...), in English and in Japanese.
 */
#include "normalise/wintext.h"

enum section { NOWHERE, SUBJECT, TARGET, OTHER };

static const struct { const char *label; enum section is; } sections[] = {
    { "Subject:", SUBJECT }, { "New Logon:", TARGET }, { "Account For Which Logon Failed:", TARGET },
    { "Target Account:", TARGET },
    { "New Account:", TARGET }, { "Member:", OTHER }, { "Group:", TARGET },
    { "Account Whose Credentials Were Used:", TARGET },
    { "Target Server:", OTHER }, { "Network Information:", NOWHERE }, { "Process Information:", NOWHERE },
    { "Detailed Authentication Information:", NOWHERE }, { "Failure Information:", NOWHERE },
    { "Logon Information:", NOWHERE },
    { "サブジェクト:", SUBJECT }, { "新しいログオン:", TARGET }, { "ログオンを失敗したアカウント:", TARGET }, { "ターゲット アカウント:", TARGET },
    { "新しいアカウント:", TARGET }, { "グループ:", TARGET }, { "メンバー:", OTHER }, { "資格情報が使用されたアカウント:", TARGET },
    { "ネットワーク情報:", NOWHERE }, { "プロセス情報:", NOWHERE }, { "詳細な認証情報:", NOWHERE }, { "エラー情報:", NOWHERE },
    { "ログオン情報:", NOWHERE },
};

/* Longer labels before those they end with. */
static const struct { const char *label, *subject, *target; } labels[] = {
    { "Security ID:", "SubjectUserSid", "TargetUserSid" }, { "Account Name:", "SubjectUserName", "TargetUserName" },
    { "Account Domain:", "SubjectDomainName", "TargetDomainName" }, { "Linked Logon ID:", "TargetLinkedLogonId", NULL },
    { "Logon ID:", "SubjectLogonId", "TargetLogonId" },
    { "Logon Type:", "LogonType", NULL }, { "Workstation Name:", "WorkstationName", NULL },
    { "Source Network Address:", "IpAddress", NULL },
    { "Source Port:", "IpPort", NULL }, { "Logon Process:", "LogonProcessName", NULL },
    { "Authentication Package:", "AuthenticationPackageName", NULL }, { "Sub Status:", "SubStatus", NULL },
    { "Status:", "Status", NULL },
    { "Failure Reason:", "FailureReason", NULL }, { "New Process ID:", "NewProcessId", NULL },
    { "New Process Name:", "NewProcessName", NULL },
    { "Creator Process Name:", "ParentProcessName", NULL }, { "Creator Process ID:", "ProcessId", NULL },
    { "Process Command Line:", "CommandLine", NULL }, { "Caller Process Name:", "ProcessName", NULL },
    { "Process Name:", "ProcessName", NULL },
    { "Process ID:", "ProcessId", NULL }, { "Logon GUID:", "LogonGuid", NULL },
    { "Service Name:", "ServiceName", NULL },
    { "Service File Name:", "ServiceFileName", NULL }, { "Share Name:", "ShareName", NULL },
    { "Relative Target Name:", "RelativeTargetName", NULL },
    { "Object Name:", "ObjectName", NULL }, { "Client Address:", "IpAddress", NULL },
    { "Group Name:", "TargetUserName", NULL },
    { "セキュリティ ID:", "SubjectUserSid", "TargetUserSid" }, { "アカウント名:", "SubjectUserName", "TargetUserName" },
    { "アカウント ドメイン:", "SubjectDomainName", "TargetDomainName" }, { "リンクされたログオン ID:", "TargetLinkedLogonId", NULL },
    { "ログオン ID:", "SubjectLogonId", "TargetLogonId" }, { "ログオン タイプ:", "LogonType", NULL },
    { "ワークステーション名:", "WorkstationName", NULL },
    { "ソース ネットワーク アドレス:", "IpAddress", NULL }, { "ソース ポート:", "IpPort", NULL },
    { "ログオン プロセス:", "LogonProcessName", NULL },
    { "認証パッケージ:", "AuthenticationPackageName", NULL }, { "サブ ステータス:", "SubStatus", NULL }, { "状態:", "Status", NULL },
    { "ステータス:", "Status", NULL }, { "失敗の原因:", "FailureReason", NULL }, { "エラーの原因:", "FailureReason", NULL },
    { "新しいプロセス名:", "NewProcessName", NULL }, { "新しいプロセス ID:", "NewProcessId", NULL },
    { "クリエーター プロセス名:", "ParentProcessName", NULL }, { "プロセスのコマンド ライン:", "CommandLine", NULL },
    { "呼び出し側プロセス名:", "ProcessName", NULL }, { "プロセス名:", "ProcessName", NULL }, { "プロセス ID:", "ProcessId", NULL },
    { "サービス名:", "ServiceName", NULL }, { "サービス ファイル名:", "ServiceFileName", NULL }, { "共有名:", "ShareName", NULL },
    { "グループ名:", "TargetUserName", NULL },
};

enum {
    LABELS_FOUND_MAX = 96,
    LOOKED_MAX = 32 << 10,      /* bytes that labels are looked for in */
    SECTIONS = sizeof sections / sizeof *sections,
    LABELS = sizeof labels / sizeof *labels,
};

struct found { size_t at, end; int section, label; };

/* A label begins a word: after a blank, a line end or the end of a sentence. */
static bool begins_word(struct sm_span t, size_t at)
{
    return at == 0 || t.p[at - 1] <= ' ' || (at >= 3 && !memcmp(t.p + at - 3, "。", 3));
}

/* The longest label that ends with the colon at colon. */
static bool ending(struct sm_span t, size_t colon, struct found *ret)
{
    size_t best = 0;

    for (int i = 0; i < (int)(SECTIONS + LABELS); i++) {
        const char *l = i < (int)SECTIONS ? sections[i].label : labels[i - (int)SECTIONS].label;
        size_t n = strlen(l);
        if (n <= best || n > colon + 1 || memcmp(t.p + colon + 1 - n, l, n) || !begins_word(t, colon + 1 - n))
            continue;
        best = n;
        *ret = (struct found){ colon + 1 - n, colon + 1, i < (int)SECTIONS ? i : -1, i < (int)SECTIONS
            ? -1 : i - (int)SECTIONS };
    }
    return best > 0;
}

void windows_message(struct format_ctx *c, struct sm_span text)
{
    struct found f[LABELS_FOUND_MAX];
    size_t n = 0, looked = text.n < LOOKED_MAX ? text.n : LOOKED_MAX;

    for (size_t i = 0; i < looked && n < LABELS_FOUND_MAX; i++)
        n += text.p[i] == ':' && ending(text, i, &f[n]);
    enum section in = NOWHERE;
    for (size_t i = 0; i < n; i++) {
        if (f[i].section >= 0) {
            in = sections[f[i].section].is;
            continue;
        }
        size_t to = i + 1 < n ? f[i + 1].at : text.n;
        struct sm_span v = span_trim(SM_SPAN(text.p + f[i].end, to - f[i].end));
        /* The last one before prose ends with its line or a wide gap. */
        for (size_t k = 0; k + 1 < v.n; k++)
            if (v.p[k] == '\t' || v.p[k] == '\n' || v.p[k] == '\r' || (v.p[k] == ' ' && v.p[k + 1] == ' ')) {
                v.n = k;
                break;
            }
        const char *name = in == TARGET && labels[f[i].label].target ? labels[f[i].label].target
            : labels[f[i].label].subject;
        if (in == OTHER && labels[f[i].label].target)
            continue;
        if (v.n)
            put_named(c, SM_SPAN_STR(name), is_number(v) ? EVENT_NUMBER : EVENT_TEXT, v);
    }
}

/* Names of logs to channels are the same but for the first letters in old agents. */
static void head(struct format_ctx *c, struct sm_span channel, struct sm_span id, struct sm_span provider,
    struct sm_span computer)
{
    source_words(c, EVENT_W_windows, 0, span_is(channel, "Security") ? EVENT_W_security : span_is(channel,
        "System") ? EVENT_W_system_log
        : span_is(channel, "Application") ? EVENT_W_application : span_has(channel, "Sysmon") ? EVENT_W_sysmon : 0);
    put(c, EVENT_F_Channel, channel);
    put_number(c, EVENT_F_EventID, id);
    put(c, EVENT_F_Provider_Name, provider);
    put(c, EVENT_F_Computer, computer);
    if (computer.n)
        c->e->host = computer;
}

/* MSWinEventLog <tab> criticality <tab> channel <tab> counter <tab> time <tab> id <tab> source <tab> user <tab> SID
 * type <tab>
 * type <tab> computer <tab> category <tab> data <tab> text */
static int read_snare(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(text);
    struct sm_span w[16];
    struct when when;
    size_t n = 0;

    struct sm_span first = scan_past(&s, '\t');
    if (!span_ends(first, "MSWinEventLog"))
        return -SM_EFORMAT;
    while (n < 16 && s.p < s.end)
        w[n++] = scan_past(&s, '\t');
    if (n < 10)
        return -SM_EFORMAT;
    struct scan time = scan_of(w[3]);
    if (when_ctime(&time, &when) || when_any(&time, &when))
        when_set(c, &when);
    head(c, w[1], w[4], w[5], w[9]);
    put(c, EVENT_F_Task, n > 10 ? w[10] : SM_SPAN("", 0));
    put(c, EVENT_F_User, w[6]);
    struct sm_span longest = SM_SPAN("", 0);
    for (size_t i = 10; i < n; i++)
        longest = w[i].n > longest.n ? w[i] : longest;
    windows_message(c, longest);
    put(c, EVENT_F_Message, longest);
    return 0;
}

/* "... WinEvtLog: Security: AUDIT_SUCCESS(4624): provider: user: domain: computer: text" */
static int read_ossec(struct format_ctx *c, struct sm_span text)
{
    struct scan s = scan_of(span_after(text, "WinEvtLog: "));
    struct sm_span w[6];

    for (size_t i = 0; i < 6; i++) {
        const uint8_t *colon = span_find(scan_rest(&s), ": ");
        if (!colon)
            return -SM_EFORMAT;
        w[i] = SM_SPAN(s.p, (size_t)(colon - s.p));
        s.p = colon + 2;
    }
    struct sm_span id = span_word_after(w[1], "(", ")"), rest = scan_rest(&s);
    struct scan t = scan_of(text);
    struct when when;
    if (when_bsd(&t, &when))
        when_set(c, &when);
    head(c, w[0], id, w[2], w[5]);
    put(c, EVENT_F_User, w[3]);
    windows_message(c, rest);
    static const char *const plain[] = { "UtcTime", "ProcessGuid", "ProcessId", "Image", "CommandLine", "User",
        "LogonGuid", "LogonId",
        "TerminalSessionId", "IntegrityLevel", "HashType", "Hash", "Hashes", "ParentProcessGuid", "ParentProcessId",
            "ParentImage",
        "ParentCommandLine" };
    for (size_t i = 0; span_has(w[0], "Sysmon") && i < sizeof plain / sizeof *plain; i++) {
        char label[32];
        size_t k = strlen(plain[i]);
        memcpy(label + 1, plain[i], k);
        label[0] = ' ';
        memcpy(label + 1 + k, ": ", 3);
        struct sm_span v = span_after(rest, label);
        const uint8_t *gap = span_find(v, "  ");
        if (gap)
            v.n = (size_t)(gap - v.p);
        put_named(c, SM_SPAN_STR(plain[i]), EVENT_TEXT, span_trim(v));
    }
    put(c, EVENT_F_Message, rest);
    return 0;
}

static int read(struct format_ctx *c, struct sm_span text)
{
    return span_has(SM_SPAN(text.p, text.n < 300 ? text.n : 300), "MSWinEventLog\t") ? read_snare(c,
        text) : read_ossec(c, text);
}

static int detect(struct sm_span t)
{
    struct sm_span front = SM_SPAN(t.p, t.n < 160 ? t.n : 160);

    if (t.n < 40)
        return 0;
    if (t.p[0] != '<' && span_has(front, "MSWinEventLog\t"))
        return 92;
    return span_has(front, "WinEvtLog: ") ? 92 : 0;
}

const struct format format_wintext = {
    .row = { "wintext", "文字にした Windows のイベント（Snare など）", "Windows events as text: Snare, OSSEC" },
    .detect = detect, .read = read,
};
