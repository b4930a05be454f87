/* The table of commands.  Adding one is a row here and a function in its group's file. */
#include "sakimori/commands.h"

#define END { 0 }
#define OPT_SOURCE { .name = "source", .value = "SOURCE", .ja = "対象(名前か番号)", .en = "source (name or id)" }
#define OPT_ANSWERS { .name = "answers", .value = "FILE", .ja = "答えの JSON(持ち主だけが読めるもの)", \
    .en = "answers as JSON (readable by its owner alone)" }
#define OPT_STDIN { .name = "password-stdin", .ja = "秘密を標準入力から一行ずつ", .en = "secrets from standard input, a line each" }
#define OPT_FD { .name = "password-fd", .value = "N", .ja = "秘密をその番号の記述子から", .en = "secrets from this descriptor" }
#define OPT_WAIT { .name = "wait", .ja = "終わるまで待つ", .en = "wait until it ends" }
#define OPT_WHY { .name = "why", .value = "TEXT", .ja = "理由(記録に残る)", .en = "reason (goes on record)" }
#define OPT_VAULT { .name = "vault", .value = "DIR", .ja = "保管庫のフォルダー(vault)か、写しのある場所", \
    .en = "the vault's folder, or where a copy lies" }

static const struct cli_opt o_setup[] = { OPT_ANSWERS,
    { .name = "sheet", .value = "FILE", .ja = "--answers のとき: 金庫の紙、戻すカード、コードの保存先(新しいファイル)",
        .en = "with --answers: where recovery sheet, card and codes go (a new file)" },
    { .name = "sign-in", .ja = "続けてサインインする(一回限りのコードを一つ使う)", .en = "sign in afterwards (uses one one-time code)" },
    OPT_STDIN, OPT_FD, END };
#define RULES_OPTIONS { .name = "sources", .value = "FILE", .ja = "ログの種類の表(なければ、ルールのそばか、入っている表)", \
    .en = "table of log sources (else the one beside the rules, or the installed one)" }, \
    { .name = "lists", .value = "FILE", .ja = "ルールの %名前% に入る値(名前 = 値 の行)", .en = "values of %name% in rules (lines of name = value)" }
static const struct cli_opt o_rules[] = { RULES_OPTIONS, END };
static const struct cli_opt o_rules_bundle[] = { { .name = "key", .value = "FILE", .ja = "署名する鍵のファイル(make)、信頼する鍵 SKRB0-…(check)",
                                                     .en = "file of the secret key (make); a public key SKRB0-… (check)" },
    { .name = "serial", .value = "N", .ja = "通し番号(なければ日付と01)", .en = "serial number (else the date and 01)" },
    { .name = "name", .value = "NAME", .ja = "作った人・組織", .en = "who makes it" },
    { .name = "licence", .value = "TEXT", .ja = "ライセンスの説明", .en = "under which licence its rules may be used" },
    { .name = "note", .value = "TEXT", .ja = "変わったこと", .en = "what changed" },
    { .name = "out", .value = "FILE", .ja = "書き出すファイル", .en = "file to write" },
    { .name = "plain", .ja = "zstd で縮めない", .en = "a plain tar, without zstd" }, END };
static const struct cli_opt o_rule_list[] = { { .name = "state", .value = "WORD", .ja = "on off feeds waits broken replaced のどれか", .en = "one of on off feeds waits broken replaced" },
    { .name = "level", .value = "WORD", .ja = "重さ", .en = "informational low medium high critical" },
    { .name = "product", .value = "WORD", .ja = "製品", .en = "product of the log source" },
    { .name = "tag", .value = "WORD", .ja = "札(attack.t1003 など)", .en = "a tag (attack.t1003)" },
    { .name = "source", .value = "WORD", .ja = "shipped bundle folder own のどれか", .en = "one of shipped bundle folder own" }, END };
static const struct cli_opt o_rule_why[] = { { .name = "why", .value = "TEXT", .ja = "理由", .en = "the reason" }, END };
static const struct cli_opt o_rule_test[] = { { .name = "format", .value = "NAME", .ja = "記録の形", .en = "form of the record" },
    { .name = "text", .value = "FILE", .ja = "箱にないルールのファイル(RULE は -)", .en = "file of a rule the box does not have (RULE is -)" }, END };
static const struct cli_opt o_rule_filter[] = { { .name = "where", .value = "FIELD=VALUE", .many = true, .ja = "条件(FIELD|contains=VALUE も)。何度でも",
                                                    .en = "a condition (also FIELD|contains=VALUE); again for more, all have to hold" },
    { .name = "why", .value = "TEXT", .ja = "理由", .en = "the reason" }, END };
static const struct cli_opt o_rule_update[] = { { .name = "older", .ja = "古い番号でも入れる(院長・事務長)", .en = "also one of an older number (managers and directors)" }, END };
static const struct cli_opt o_rules_test[] = { RULES_OPTIONS,
    { .name = "all", .ja = "外れた記録も全部", .en = "explain every record, also what misses" },
    { .name = "format", .value = "FORMAT", .ja = "ログの形(なければ中身から)", .en = "format of the logs (else from what is in them)" }, END };
static const struct cli_opt o_media[] = { { .name = "device", .value = "MACHINE", .ja = "この機器だけで", .en = "on this machine alone" }, END };
static const struct cli_opt o_secret[] = { OPT_ANSWERS, OPT_STDIN, OPT_FD, END };
#define SOURCE_FIELDS \
    { .name = "path", .value = "DIR", .many = true, .ja = "守るフォルダー(くり返せる)", \
        .en = "folder to protect (may be repeated)" }, \
    { .name = "include", .value = "PATTERN", .many = true, .ja = "これだけ", .en = "only these" }, \
    { .name = "exclude", .value = "PATTERN", .many = true, .ja = "これを除く", .en = "leave these out" }, \
    { .name = "group", .value = "NAME", .ja = "emr|receipt|image|share|front|room|other", \
        .en = "emr|receipt|image|share|front|room|other" }, \
    { .name = "every", .value = "hour|day|week|off", .ja = "予定", .en = "schedule" }, \
    { .name = "at", .value = "HH:MM", .ja = "時刻", .en = "time of day" }, \
    { .name = "weekday", .value = "0-6", .ja = "曜日(0 は日曜)", .en = "day of the week (0 = Sunday)" }, \
    { .name = "responsible", .value = "PERSON", .ja = "責任者", .en = "person responsible (else whoever adds it)" }, \
    { .name = "canaries", .value = "yes|no", .ja = "見張りのファイルを置く", .en = "lay canary files" }, \
    { .name = "one-file-system", .value = "yes|no", .ja = "ほかのファイルシステムへ入らない", .en = "stay on one file system" }, \
    { .name = "enabled", .value = "yes|no", .ja = "予定を動かす", .en = "follow the schedule" }, \
    { .name = "bandwidth", .value = "KIB", .ja = "送る速さの上限(KiB/秒、0 はなし)", .en = "most KiB/s to send, 0 = no limit" }, \
    { .name = "hours", .value = "ROW", .many = true, \
        .ja = "時間ごとの速さ(くり返せる): \"1-6 08:30-18:30 500\" は月から土の診療時間に 500 KiB/秒まで(- でやめる)", \
        .en = "speed by hours (may be repeated): \"1-6 08:30-18:30 500\" = Monday to Saturday at most 500 KiB/s (- for none)" }, \
    { .name = "reread", .value = "month|off", .ja = "変わっていないはずのファイルも 30 日に一度読み直す(off でやめる)", \
        .en = "read files again within 30 days though nothing seems changed, or off" }, \
    { .name = "reread-limit", .value = "MIB", .ja = "一回に読み直す量の上限(MiB、0 はなし)", .en = "most MiB to read again in one run, 0 = no limit" }, \
    { .name = "access", .value = "NAME", .ja = "入り方(その機器の sakimori-agent access。local は同じ機器のデータベース)", \
        .en = "access, of sakimori-agent access on that machine (local = its own server)" }, \
    { .name = "database", .value = "NAME", .many = true, .ja = "このデータベースだけ(くり返せる)", \
        .en = "only this database (may be repeated)" }, \
    { .name = "exclude-database", .value = "NAME", .many = true, .ja = "このデータベースを除く", .en = "leave this database out" }, \
    { .name = "limit", .value = "SECONDS", .ja = "書き出しにかける時間の上限", .en = "most time for making the dumps" }, \
    { .name = "share", .value = "NAME", .ja = "共有フォルダーの名前(--kind smb)", .en = "name of the share (--kind smb)" }, \
    { .name = "folder", .value = "PATH", .ja = "共有の中のフォルダー(なければ全部)", .en = "folder in the share (else all of it)" }, \
    { .name = "hook-before", .value = "NAME", .ja = "前に動かすもの(その機器の hooks フォルダーの名前、- でやめる)", \
        .en = "run before (a name in the hooks folder of that machine, - for none)" }, \
    { .name = "hook-after", .value = "NAME", .ja = "後に動かすもの(- でやめる)", .en = "run after (- for none)" }, \
    { .name = "hook-limit", .value = "SECONDS", .ja = "前後に動かすものの時間の上限", .en = "most time for a hook" }, \
    { .name = "hook-failure", .value = "fail|partial", .ja = "前のものが失敗したら(やめる|続ける)", \
        .en = "when the one before fails: give up, or go on" }
static const struct cli_opt o_source_add[] = { { .name = "device", .value = "MACHINE", .ja = "機器",
    .en = "machine" },
    { .name = "kind", .value = "files|postgresql|mariadb|sqlite|smb", .ja = "種類(なければ files)", .en = "kind (standard: files)" },
    { .name = "preset", .value = "orca", .ja = "決まった形: 日レセ(ORCA)のデータベース", .en = "ready form: the database of ORCA" },
    SOURCE_FIELDS, END };
static const struct cli_opt o_source_set[] = { { .name = "name", .value = "TEXT", .ja = "新しい名前",
    .en = "new name" }, SOURCE_FIELDS, END };
static const struct cli_opt o_log_add[] = { { .name = "path", .value = "FILE", .many = true,
    .ja = "ファイル。最後の部分に * が使える(くり返せる)", .en = "file, with * in its last part (may be repeated)" },
    { .name = "input", .value = "file|audit|journald", .ja = "読み方(なければ file)", .en = "input (standard: file)" },
    { .name = "format", .value = "NAME", .ja = "形(access、postgresql など。なければ自動)", .en = "format (access, postgresql …; else it is found out)" },
    { .name = "encoding", .value = "NAME", .ja = "文字コード(なければ自動)", .en = "encoding (else it is found out)" },
    { .name = "from-start", .ja = "いまある内容も送る", .en = "send what is there already, too" }, END };
static const struct cli_opt o_endpoint_policy[] = { { .name = "set", .value = "NAME=VALUE", .many = true,
    .ja = "決まりを一つ決める。ransom.mode=kill など(くり返せる)", .en = "set one, ransom.mode=kill (may be repeated)" },
    { .name = "add", .value = "NAME=VALUE", .many = true, .ja = "一覧に足す。block.to=192.0.2.7 など", .en = "add to a list, block.to=192.0.2.7" },
    { .name = "drop", .value = "NAME=VALUE", .many = true, .ja = "一覧から外す", .en = "take off a list" },
    { .name = "unset", .value = "NAME", .many = true, .ja = "ここで決めたことをやめる", .en = "no longer set it here" },
    { .name = "reset", .ja = "ここで決めたことを全部やめる", .en = "nothing is set here any more" }, END };
static const struct cli_opt o_endpoint_act[] = { { .name = "for", .value = "SPAN", .ja = "続ける長さ。3600、90m、24h、7d", .en = "how long it holds: 3600, 90m, 24h, 7d" },
    { .name = "shorter", .ja = "isolate で、いまの長い切りはなしを短くする", .en = "of isolate: a longer isolation becomes this short" },
    { .name = "process", .value = "PID:START", .many = true, .ja = "kill で終わらせるプロセス(くり返せる)", .en = "of kill: a process (may be repeated)" },
    { .name = "wait", .value = "SECONDS", .ja = "終わるまで待つ長さ", .en = "wait so long for its end" }, END };
static const struct cli_opt o_endpoint_decide[] = { { .name = "wait", .value = "SECONDS", .ja = "終わるまで待つ長さ", .en = "wait so long for its end" }, END };
static const struct cli_opt o_endpoint_findings[] = { { .name = "device", .value = "MACHINE", .ja = "その機器だけ", .en = "of this machine alone" },
    { .name = "open", .ja = "終わっていない物だけ", .en = "only those that have not ended" }, END };
static const struct cli_opt o_quarantine[] = { { .name = "device", .value = "MACHINE", .ja = "その機器だけ", .en = "of this machine alone" }, END };
static const struct cli_opt o_scan[] = { { .name = "cancel", .ja = "いまの検査をやめる", .en = "end the scan under way" }, END };
static const struct cli_opt o_wait[] = { OPT_WAIT, END };
static const struct cli_opt o_source[] = { OPT_SOURCE, END };
static const struct cli_opt o_period[] = { OPT_SOURCE, { .name = "from", .value = "TIME", .ja = "この時刻から",
    .en = "from this time (2026-11-22T09:00:00+09:00)" },
    { .name = "to", .value = "TIME", .ja = "この時刻まで", .en = "to this time" }, END };
static const struct cli_opt o_get[] = { OPT_SOURCE,
    { .name = "to", .value = "FILE", .ja = "保存先(- は標準出力)", .en = "where to put it (- = standard output)" }, END };
static const struct cli_opt o_restore[] = { OPT_SOURCE, OPT_WAIT, OPT_WHY,
    { .name = "generation", .value = "ID", .ja = "世代の番号、latest、last-clean",
        .en = "id of a generation, latest or last-clean" },
    { .name = "device", .value = "MACHINE", .ja = "戻す機器(なければ元の機器)",
        .en = "machine to restore to (else the one it came from)" },
    { .name = "path", .value = "PATH", .many = true, .ja = "これだけ戻す(くり返せる)", .en = "only this (may be repeated)" },
    { .name = "to", .value = "original|DIR", .ja = "元の場所か、別の場所", .en = "the original place, or another" },
    { .name = "existing", .value = "aside|skip|overwrite", .ja = "同じ名前があるとき: よける、とばす、上書き",
        .en = "what is there already: set aside, skip or overwrite" },
    { .name = "suspicious-ok", .ja = "疑わしい世代でも戻す", .en = "restore though the generation is suspicious" }, END };
static const struct cli_opt o_file[] = {
    { .name = "file", .value = "FILE", .many = true, .ja = "書き出した記録を、箱なしで調べる(くり返せる)",
        .en = "check exported files without the box (may be repeated)" }, END };
static const struct cli_opt o_access[] = { { .name = "from", .value = "TIME", .ja = "この時刻から", .en = "from this time (2026-11-22T09:00:00+09:00)" },
    { .name = "to", .value = "TIME", .ja = "この時刻まで", .en = "to this time" },
    { .name = "person", .value = "ACCOUNT", .ja = "この人だけ", .en = "this person only" }, END };
static const struct cli_opt o_days[] = { { .name = "days", .value = "N", .ja = "証明書の日数",
    .en = "days of the certificate" }, END };
static const struct cli_opt o_why[] = { OPT_WHY, END };
static const struct cli_opt o_thaw[] = { OPT_WHY, { .name = "false-alarm",
    .ja = "心当たりのある変化でした(疑いのある世代を、きれいな世代として扱う)",
    .en = "it was our own change: the suspicious generations count as clean from now on" }, END };
static const struct cli_opt o_person[] = { { .name = "name", .value = "TEXT", .ja = "名前", .en = "name" },
    { .name = "role", .value = "ROLE", .ja = "director|manager|staff|vendor", .en = "director|manager|staff|vendor" },
    { .name = "until", .value = "TIME", .ja = "いつまで(業者は必須)", .en = "until when (a must for vendors)" },
    { .name = "no-totp", .ja = "二要素なし(職員だけ)", .en = "without second factor (staff only)" }, END };
static const struct cli_opt o_recover[] = { OPT_VAULT, OPT_SOURCE,
    { .name = "sheet", .value = "FILE|-", .ja = "金庫の紙(ことば、または QR の文字)。- は標準入力、なければ機器で聞く",
        .en = "recovery sheet (words, or text of the QR code); - = standard input, else asked on the terminal" },
    { .name = "list", .ja = "世代の一覧だけ", .en = "only list the generations" },
    { .name = "generation", .value = "ID", .ja = "世代の番号、latest、last-clean(標準)",
        .en = "id of a generation, latest or last-clean (standard)" },
    { .name = "path", .value = "PATH", .many = true, .ja = "これだけ戻す(くり返せる)", .en = "only this (may be repeated)" },
    { .name = "to", .value = "DIR", .ja = "戻す場所", .en = "where to restore to" },
    { .name = "existing", .value = "aside|skip|overwrite", .ja = "同じ名前があるとき", .en = "what is there already" }, END };
#define OPT_ORDERS { .name = "orders", .value = "FILE|-", \
    .ja = "金庫の紙の命令の鍵(ことば、または QR の文字)。- は標準入力、なければ機器で聞く", \
    .en = "the sheet's half for orders (words, or text of the QR code); - = standard input, else asked on the terminal" }
static const struct cli_opt o_card[] = { { .name = "sheet", .value = "FILE|-",
    .ja = "金庫の紙の開く鍵(ことば、または QR の文字)。QR の文字なら両方の鍵を一つのファイルに入れてよい",
    .en = "the sheet's opening half (words, or text of the QR code); as QR texts both halves may be in one file" },
    OPT_ORDERS, OPT_ANSWERS, OPT_STDIN, OPT_FD, END };
static const struct cli_opt o_takeover[] = { OPT_VAULT, { .name = "sheet", .value = "FILE|-",
    .ja = "金庫の紙の開く鍵(ことば、または QR の文字)。QR の文字なら両方の鍵を一つのファイルに入れてよい",
    .en = "the sheet's opening half (words, or text of the QR code); as QR texts both halves may be in one file" },
    OPT_ORDERS, { .name = "check", .ja = "できるかどうかを見るだけ", .en = "only see whether it can be done" }, END };
static const struct cli_opt o_head[] = { { .name = "file", .value = "FILE", .ja = "しるしのあるメールなどのファイル", .en = "a file with the head in it, a saved mail" },
    { .name = "vault", .value = "DIR", .ja = "箱ではなく、この写しと比べる(写しのフォルダーかディスク)",
        .en = "compare with this copy (its folder or disk), not with the box" }, END };
static const struct cli_opt o_recipients[] = { { .name = "card", .ja = "新しい戻す鍵と戻すカード", .en = "a new restore key and restore card" },
    { .name = "new-sheet", .ja = "新しい金庫の紙(二つの鍵とも)", .en = "a new recovery sheet (both halves)" },
    { .name = "sheet", .value = "FILE|-", .ja = "いまの金庫の紙の開く鍵(ことば、または QR の文字)。QR の文字なら両方の鍵を一つのファイルに入れてよい",
        .en = "the present sheet's opening half (words, or text of the QR code); as QR texts both halves may be in one file" },
    OPT_ORDERS, OPT_WHY, OPT_ANSWERS, OPT_STDIN, OPT_FD, END };
static const struct cli_opt o_anew[] = { OPT_ORDERS, OPT_ANSWERS, OPT_STDIN, OPT_FD, END };
static const struct cli_opt o_drill[] = { OPT_WAIT, { .name = "all", .ja = "見本ではなく全部", .en = "everything, not a sample" },
    { .name = "generation", .value = "ID", .ja = "世代の番号(なければ最後のきれいな世代)", .en = "id of a generation (else the last clean one)" },
    END };
static const struct cli_opt o_mount[] = { OPT_VAULT,
    { .name = "sheet", .value = "FILE|-", .ja = "金庫の紙(ことば、または QR の文字)。- は標準入力、なければ機器で聞く",
        .en = "recovery sheet (words, or text of the QR code); - = standard input, else asked on the terminal" }, END };
static const struct cli_opt o_vault[] = { OPT_VAULT, END };
static const struct cli_opt o_scrub[] = { OPT_VAULT, { .name = "heal", .ja = "直せるものを直す(箱を止めてから)",
    .en = "heal what can be healed (stop the box before)" }, END };
static const struct cli_opt o_events[] = {
    { .name = "format", .value = "NAME", .ja = "形式(なければ自分で見分ける。知らない名前を書くと一覧が出る)",
        .en = "format (standard: found out; an unknown name lists them)" },
    { .name = "encoding", .value = "NAME", .ja = "文字コード(utf-8|cp932|euc-jp|iso-2022-jp|utf-16le など。なければ自分で見分ける)",
        .en = "encoding: utf-8, cp932, euc-jp, iso-2022-jp, utf-16le ... (standard: found out)" },
    { .name = "zone", .value = "+09:00", .ja = "時差の書かれていない時刻の時差(なければ日本)", .en = "zone of times that have none (standard: Japan)" },
    { .name = "mapping", .value = "FILE", .ja = "CSV の列の対応表(JSON)", .en = "mapping of CSV columns (JSON)" },
    { .name = "xml", .ja = "EVTX を XML で(一行に一件)", .en = "EVTX as XML, an event a line" },
    { .name = "slack", .ja = "EVTX の、消えたはずの古い記録も出す", .en = "also old records behind the ends that an EVTX states" }, END };
static const struct cli_opt o_import[] = {
    { .name = "format", .value = "NAME", .ja = "形式(なければ自分で見分ける)", .en = "format (standard: found out)" },
    { .name = "encoding", .value = "NAME", .ja = "文字コード(なければ自分で見分ける)", .en = "encoding (standard: found out)" },
    { .name = "zone", .value = "+09:00", .ja = "時差の書かれていない時刻の時差(なければ日本)", .en = "zone of times that have none (standard: Japan)" },
    { .name = "mapping", .value = "FILE", .ja = "CSV の列の対応表(JSON)", .en = "mapping of CSV columns (JSON)" }, END };
static const struct cli_opt o_evidence_verify[] = {
    { .name = "key", .value = "FILE", .ja = "記録の鍵(設置のときに紙に出したもの。ファイルか16進64文字)",
        .en = "key of the record, printed at set-up (a file, or 64 hexadecimal digits)" },
    { .name = "head", .value = "HEAD", .many = true, .ja = "別の場所に控えたしるし(くり返せる)", .en = "a head kept elsewhere (may be repeated)" },
    { .name = "part", .ja = "証拠の束など、記録の一部だけ", .en = "only a part of the record, as an evidence pack is" }, END };
static const struct cli_opt o_logs_restore[] = { OPT_VAULT, OPT_SOURCE,
    { .name = "sheet", .value = "FILE|-", .ja = "金庫の紙(ことば、または QR の文字)。- は標準入力、なければ機器で聞く",
        .en = "recovery sheet (words, or text of the QR code); - = standard input, else asked on the terminal" },
    { .name = "generation", .value = "ID", .ja = "世代の番号、latest(標準)", .en = "id of a generation, or latest (standard)" },
    { .name = "key", .value = "FILE", .ja = "記録の鍵(設置のときに紙に出したもの。ファイルか16進64文字)",
        .en = "key of the record, printed at set-up (a file, or 64 hexadecimal digits)" },
    { .name = "head", .value = "HEAD", .many = true, .ja = "別の場所に控えたしるし(くり返せる)", .en = "a head kept elsewhere (may be repeated)" }, END };
#define OPT_FROM_TO \
    { .name = "from", .value = "TIME", .ja = "この日時から(日本時間、例 2026-11-24T08:30)", .en = "from this time on (Japan's, 2026-11-24T08:30)" }, \
    { .name = "to", .value = "TIME", .ja = "この日時まで(その日、その分を含む)", .en = "up to this time (that day or minute included)" }
static const struct cli_opt o_evidence_search[] = { OPT_FROM_TO,
    { .name = "limit", .value = "N", .ja = "件数の上限(なければ 100)", .en = "most results (standard: 100)" },
    { .name = "oldest", .ja = "古い順", .en = "oldest first" },
    { .name = "csv", .ja = "CSV で出す", .en = "as CSV" },
    { .name = "encoding", .value = "utf-8-bom|utf-8|cp932", .ja = "CSV の文字コード(なければ utf-8-bom)", .en = "encoding of the CSV (standard: utf-8-bom)" },
    { .name = "field", .value = "NAME", .many = true, .ja = "CSV に加える項目(くり返せる)", .en = "field as a column of the CSV (may be repeated)" },
    { .name = "count", .ja = "件数だけ", .en = "only how many" },
    { .name = "top", .value = "FIELD", .ja = "その項目に多い値", .en = "the commonest values of a field" },
    { .name = "histogram", .value = "SECONDS", .ja = "この秒数ごとの件数", .en = "how many in every so many seconds" }, END };
static const struct cli_opt o_evidence_pack[] = { OPT_FROM_TO,
    { .name = "title", .value = "TEXT", .ja = "表紙に書くこと", .en = "what stands on its first page" }, END };
static const struct cli_opt o_journal[] = { OPT_VAULT, { .name = "from", .value = "SEQ", .ja = "この番号から",
    .en = "from this number on" }, END };
static const struct cli_opt o_demo[] = { { .name = "bin", .value = "DIR", .ja = "組み立てたプログラムの場所",
    .en = "folder of the built programs" },
    { .name = "headless", .ja = "JSON を一行だけ出す", .en = "print one JSON line" },
    { .name = "port", .value = "N", .ja = "画面のポート(0 は空いている番号)", .en = "port of the console (0 = a free one)" },
    { .name = "listen", .value = "ADDR", .ja = "待つアドレス", .en = "address to listen on" },
    { .name = "keep", .ja = "終わってもフォルダーを残す", .en = "keep the folder at the end" }, END };

static const struct cli_opt o_demo_handa[] = { { .name = "bin", .value = "DIR", .ja = "組み立てたプログラムの場所",
    .en = "folder of the built programs" },
    { .name = "keep", .ja = "終わってもフォルダーを残す", .en = "keep the folder at the end" }, END };

#define OPT_ORDERS_SHEET { .name = "sheet", .value = "FILE|-", .ja = "金庫の紙の「命令」の側(ことば、または QR の文字)。- は標準入力、なければ機器で聞く", \
    .en = "the recovery sheet's half for orders (words, or text of the QR code); - = standard input, else asked on the terminal" }
static const struct cli_opt o_clean[] = { { .name = "dry-run", .ja = "何が消えるかを示すだけ", .en = "only show what would go" },
    { .name = "cancel", .ja = "進んでいる整理を止める", .en = "stop the one that is running" }, END };
static const struct cli_opt o_order[] = { OPT_ORDERS_SHEET, OPT_WHY, OPT_SOURCE, END };
static const struct cli_opt o_order_policy[] = { OPT_ORDERS_SHEET, OPT_WHY,
    { .name = "hourly", .value = "N", .ja = "時間ごとに残す数", .en = "hourly ones to keep" },
    { .name = "daily", .value = "N", .ja = "日ごとに残す数", .en = "daily ones to keep" },
    { .name = "weekly", .value = "N", .ja = "週ごとに残す数", .en = "weekly ones to keep" },
    { .name = "monthly", .value = "N", .ja = "月ごとに残す数", .en = "monthly ones to keep" },
    { .name = "min-days", .value = "N", .ja = "必ず守る日数", .en = "days locked" }, END };
static const struct cli_opt o_order_date[] = { OPT_ORDERS_SHEET, OPT_WHY,
    { .name = "days", .value = "N", .ja = "数えに入れる日数", .en = "days to count in" }, END };
static const struct cli_opt o_hold[] = { OPT_WHY, OPT_SOURCE, END };
static const struct cli_opt o_copy_prepare[] = { { .name = "name", .value = "TEXT", .ja = "写しの名前", .en = "name of the copy" },
    { .name = "disk", .ja = "PATH は、取り外すディスクがつながっている場所", .en = "PATH is where a removable disk is mounted" },
    { .name = "elsewhere", .value = "yes|no", .ja = "別の建物に置く", .en = "is kept in another building" }, END };
#define OPT_QUOTA { .name = "quota", .value = "GIB", .ja = "預かる量の上限(GiB)", .en = "most GiB kept for it" }
static const struct cli_opt o_copy_box[] = { { .name = "name", .value = "TEXT", .ja = "写しの名前", .en = "name of the copy" },
    { .name = "elsewhere", .value = "yes|no", .ja = "別の建物にある(なければ yes)", .en = "is in another building (standard: yes)" },
    { .name = "bandwidth", .value = "KIB", .ja = "送る速さの上限(KiB/秒、0 はなし)", .en = "most KiB/s to send, 0 = no limit" },
    OPT_ANSWERS, OPT_STDIN, OPT_FD, END };
static const struct cli_opt o_peer_invite[] = { OPT_QUOTA, END };
static const struct cli_opt o_peer_set[] = { { .name = "name", .value = "TEXT", .ja = "新しい名前", .en = "new name" }, OPT_QUOTA,
    { .name = "accept", .value = "yes|no", .ja = "受けつける(やめても、あるものは消えない)",
        .en = "go on accepting (nothing that is there is deleted)" }, END };
static const struct cli_opt o_peer_export[] = { { .name = "to", .value = "DIR", .ja = "取り出す場所",
    .en = "where to put it" }, END };
#define BUCKET_FIELDS \
    { .name = "region", .value = "NAME", .ja = "リージョン(なければ us-east-1)", .en = "region (standard: us-east-1)" }, \
    { .name = "style", .value = "path|host", .ja = "バケット名を書く所(なければ path)", \
        .en = "where the bucket's name stands (standard: path)" }, \
    { .name = "server-ca", .value = "FILE", .ja = "サーバーの証明書を確かめる CA", .en = "certificate authorities of the server" }, \
    { .name = "plain-http", .ja = "http(この機械の中の試験だけ)", .en = "http, for tests on this machine only" }, \
    OPT_ANSWERS, OPT_STDIN, OPT_FD
static const struct cli_opt o_copy_add[] = { { .name = "kind", .value = "s3", .ja = "種類(なければ s3)",
    .en = "kind (standard: s3)" }, { .name = "name", .value = "TEXT", .ja = "写しの名前", .en = "name of the copy" },
    { .name = "elsewhere", .value = "yes|no", .ja = "別の建物に置く(なければ yes)", .en = "is kept in another building (standard: yes)" },
    { .name = "lock-days", .value = "N", .ja = "消せない日数(90 から)", .en = "days of the lock (90 and up)" },
    { .name = "bandwidth", .value = "KIB", .ja = "送る速さの上限(KiB/秒、0 はなし)", .en = "most KiB/s to send, 0 = no limit" },
    BUCKET_FIELDS, OPT_WAIT, END };
static const struct cli_opt o_copy_fetch[] = { { .name = "to", .value = "DIR", .ja = "保管庫を作るフォルダー",
    .en = "folder that becomes the vault" },
    { .name = "box", .ja = "ほかの箱にある写しから(その箱のコードを聞く)", .en = "from the copy at another box (asks for its code)" },
    { .name = "before", .value = "TIME", .ja = "この時より前の写し(2026-11-24 など)", .en = "as it was before this day or time" },
    BUCKET_FIELDS, END };
static const struct cli_opt o_copy_set[] = { { .name = "name", .value = "TEXT", .ja = "新しい名前", .en = "new name" },
    { .name = "elsewhere", .value = "yes|no", .ja = "別の建物に置く", .en = "is kept in another building" },
    { .name = "enabled", .value = "yes|no", .ja = "自動で写す", .en = "copy by itself" },
    { .name = "hour", .value = "0-23|off", .ja = "毎日この時刻に(off はバックアップのたび)",
        .en = "every day at this hour (off = after each backup)" },
    { .name = "max-days", .value = "N", .ja = "何日で古いとするか", .en = "days until it counts as old" }, END };

#define OPT_OPEN { .name = "open", .ja = "まだ終わっていないものだけ", .en = "only what is not over" }
static const struct cli_opt o_open[] = { OPT_OPEN, END };
static const struct cli_opt o_incident_close[] = {
    { .name = "verdict", .value = "attack|harmless|false-alarm", .ja = "何だったか(攻撃|害のないこと|まちがい)", .en = "what it was" }, OPT_WHY, END };
static const struct cli_opt o_signals[] = {
    { .name = "what", .value = "waits|opened|joined|folded|filtered|booked", .ja = "この扱いになったものだけ", .en = "only those that became this" },
    { .name = "rule", .value = "RULE", .ja = "このルールのものだけ", .en = "only of this rule" }, END };
static const struct cli_opt o_signal_false[] = { OPT_WHY,
    { .name = "everywhere", .ja = "この機器や人に限らず、ルール全体を静かにする", .en = "keep the whole rule quiet, not only here" }, END };
static const struct cli_opt o_review_sign[] = { { .name = "note", .value = "TEXT", .ja = "書きそえること", .en = "what to add" }, OPT_ANSWERS, OPT_STDIN, OPT_FD,
    END };
static const struct cli_opt o_book[] = { { .name = "vendor", .value = "NAME", .ja = "だれが", .en = "who comes" },
    { .name = "purpose", .value = "TEXT", .ja = "何をしに", .en = "what for" },
    { .name = "from", .value = "TIME", .ja = "いつから(2026-12-01T13:00、日本時間)", .en = "from when (2026-12-01T13:00, Japan's time)" },
    { .name = "until", .value = "TIME", .ja = "いつまで", .en = "until when" },
    { .name = "account", .value = "NAME", .ja = "使う利用者の名前", .en = "account that is used" },
    { .name = "address", .value = "ADDRESS", .ja = "どこから(192.0.2.7 か 192.0.2.0/24)", .en = "from where (192.0.2.7 or 192.0.2.0/24)" }, END };

#define OPT_SPAN { .name = "from", .value = "TIME", .ja = "この日時から(2026-12-01T13:00、日本時間)", .en = "from this time on (2026-12-01T13:00, Japan's time)" }, \
    { .name = "until", .value = "TIME", .ja = "この日時まで(日だけなら、その日の終わり)", .en = "until this time (a day alone: its end)" }
static const struct cli_opt o_logs_search[] = { OPT_SPAN, { .name = "limit", .value = "N", .ja = "一度に出す数(ふつう 50)", .en = "how many (50)" },
    { .name = "all", .ja = "続きも全部", .en = "everything, not only the first" }, { .name = "oldest", .ja = "古いものから", .en = "oldest first" }, END };
static const struct cli_opt o_logs_saved[] = { { .name = "limit", .value = "N", .ja = "一度に出す数(ふつう 50)", .en = "how many (50)" },
    { .name = "all", .ja = "続きも全部", .en = "everything, not only the first" }, { .name = "oldest", .ja = "古いものから", .en = "oldest first" }, END };
static const struct cli_opt o_logs_export[] = { OPT_SPAN, { .name = "csv", .ja = "表計算ソフト用の CSV(ふつうは JSON)", .en = "CSV for spreadsheets instead of JSON lines" },
    { .name = "encoding", .value = "utf-8|cp932", .ja = "CSV の文字コード(ふつうは utf-8。cp932 にない文字は ? になる)",
        .en = "encoding of the CSV (standard: utf-8; what cp932 lacks becomes ?)" }, END };
static const struct cli_opt o_logs_save[] = { { .name = "span", .value = "1h|24h|7d|30d|all", .ja = "さがす期間(ふつうは全部)", .en = "how far back (standard: all)" },
    OPT_SPAN, END };
static const struct cli_opt o_logs_class[] = { { .name = "name", .value = "TEXT", .ja = "組の名前", .en = "what the class is called" },
    { .name = "days", .value = "N", .ja = "残す日数(0 はずっと)", .en = "days it is kept (0: for ever)" },
    { .name = "gib", .value = "N", .ja = "量の上限(GiB、0 はなし)", .en = "most GiB kept (0: no limit)" }, END };
static const struct cli_opt o_logs_store[] = { { .name = "servers", .value = "URLS", .ja = "ClickHouse のサーバー(https://host:8443、いくつかはコンマで)", .en = "servers of ClickHouse (https://host:8443, several with commas)" },
    { .name = "database", .value = "NAME", .ja = "データベースの名前(ふつう sakimori)", .en = "name of the database (sakimori)" },
    { .name = "table", .value = "NAME", .ja = "表の名前(ふつう events)", .en = "name of the table (events)" },
    { .name = "user", .value = "NAME", .ja = "ClickHouse の利用者(パスワードをたずねます)", .en = "user there (its password is asked for)" },
    { .name = "server-ca", .value = "FILE", .ja = "サーバーを確かめる証明書(ふつうはシステムのもの)", .en = "certificates that verify the servers (else the system's)" },
    { .name = "cluster", .value = "NAME", .ja = "サーバーが二台より多いときの、まとまりの名前", .en = "name of the cluster, for two servers and more" }, OPT_STDIN, END };
static const struct cli_opt o_logs_source[] = { { .name = "name", .value = "TEXT", .ja = "呼び名", .en = "what people call it" },
    { .name = "class", .value = "N", .ja = "残す日数の組(0 から 15)", .en = "class of how long it is kept (0 to 15)" },
    { .name = "format", .value = "NAME", .ja = "読み方(空は自動)", .en = "how it is read (empty: found out)" },
    { .name = "encoding", .value = "NAME", .ja = "文字コード(空は自動)", .en = "encoding (empty: found out)" },
    { .name = "zone", .value = "HOURS", .ja = "時差のない時刻は世界時から何時間か(日本は 9)", .en = "times without zone are so many hours east (Japan: 9)" },
    { .name = "silent", .value = "MINUTES", .ja = "これより長く来なければ知らせる(0 は知らせない)", .en = "tell when nothing came for so long (0: never)" },
    { .name = "product", .value = "WORD", .ja = "ルールでの product", .en = "product, as rules say" },
    { .name = "category", .value = "WORD", .ja = "ルールでの category", .en = "category, as rules say" },
    { .name = "service", .value = "WORD", .ja = "ルールでの service", .en = "service, as rules say" }, END };

const struct cli_cmd cli_commands[] = {
    { "setup", "", 0, 0, cmd_setup, "初期設定", "first set-up", o_setup },
    { "sign-in", "[ACCOUNT]", 0, 1, cmd_sign_in, "サインイン", "sign in", o_secret },
    { "sign-out", "", 0, 0, cmd_sign_out, "サインアウト", "sign out", NULL },
    { "password", "", 0, 0, cmd_password, "自分のパスワードを変える(院長は戻すカードも)",
        "change your own password (the director also needs the restore card)", o_secret },
    { "status", "", 0, 0, cmd_status, "箱の様子", "state of the box", NULL },
    { "today", "", 0, 0, cmd_today, "今日の様子と、すること", "Today: state and one thing to do", NULL },
    { "healthz", "", 0, 0, cmd_healthz, "動いているか", "does it work", NULL },
    { "box", "", 0, 0, cmd_box, "箱の中身", "inside of the box", NULL },
    { "source list", "", 0, 0, cmd_source_list, "守っている対象", "sources", NULL },
    { "source show", "SOURCE", 1, 1, cmd_source_show, "一つの対象と、その設定(時間ごとの速さなど)", "one source and its settings (speed by hours)", NULL },
    { "source add", "NAME", 1, 1, cmd_source_add, "守る対象を足す", "add a source", o_source_add },
    { "source set", "SOURCE", 1, 1, cmd_source_set, "対象を変える", "change a source", o_source_set },
    { "source remove", "SOURCE", 1, 1, cmd_source_remove, "対象を止める(世代は残る)", "stop a source (generations stay)", NULL },
    { "backup run", "SOURCE", 1, 1, cmd_backup_run, "今すぐバックアップ", "back up now", o_wait },
    { "backup list", "", 0, 0, cmd_backup_list, "バックアップの記録", "runs", o_source },
    { "backup show", "RUN", 1, 1, cmd_backup_show, "一回の記録", "one run", NULL },
    { "backup watch", "RUN", 1, 1, cmd_backup_watch, "進み具合を見る", "watch a run", NULL },
    { "backup cancel", "RUN", 1, 1, cmd_backup_cancel, "中止", "cancel a run", NULL },
    { "generations list", "", 0, 0, cmd_generations_list, "世代の一覧", "generations", o_period },
    { "generations show", "GENERATION", 1, 1, cmd_generations_show, "一つの世代", "one generation", o_source },
    { "generations ls", "GENERATION [PATH]", 1, 2, cmd_generations_ls, "世代の中を見る(解除が必要)",
        "look inside (unlock needed)", o_source },
    { "generations find", "GENERATION TEXT", 2, 2, cmd_generations_find, "世代の中を探す(解除が必要)",
        "search inside (unlock needed)", o_source },
    { "generations diff", "OLDER NEWER [PATH]", 2, 3, cmd_generations_diff, "二つの世代の違い(解除が必要)",
        "what differs between two generations (unlock needed)", o_source },
    { "search", "TEXT", 1, 1, cmd_search, "すべての世代から名前を探す(解除が必要)",
        "find a file name in all generations (unlock needed)", o_source },
    { "generations get", "GENERATION FILE", 2, 2, cmd_generations_get, "ファイルを一つ取り出す(解除が必要)",
        "fetch one file (unlock needed)", o_get },
    { "unlock", "", 0, 0, cmd_unlock, "戻すための鍵を15分だけ解除する(院長)", "unlock the restore key for 15 minutes (director)",
        o_secret },
    { "lock", "", 0, 0, cmd_lock, "戻すための鍵を閉じる", "lock it again", NULL },
    { "restore-card show", "", 0, 0, cmd_restore_card_show, "戻すカードが使えるか", "does the restore card fit", NULL },
    { "restore-card new", "", 0, 0, cmd_restore_card_new, "金庫の紙で、新しい戻すカードを作る(古いカードは使えなくなる。院長)",
        "make a new restore card with the recovery sheet; the old one opens nothing any more (director)", o_card },
    { "head show", "", 0, 0, cmd_head_show, "保存の記録のいまのしるし", "the present head of the vault's record", NULL },
    { "head check", "[TEXT]", 0, 1, cmd_head_check, "メールや紙にあるしるしを、いまの記録と比べる(巻きもどしが分かる)",
        "compare a head from a mail or paper with the record of today (shows a roll-back)", o_head },
    { "recipients show", "", 0, 0, cmd_recipients_show, "保存を開ける鍵(金庫の紙とカード)と、それで包んでいる機器",
        "the keys that open backups (sheet and card), and which machines wrap for them", NULL },
    { "recipients change", "", 0, 0, cmd_recipients_change, "カードや金庫の紙が盗まれたとき: これからの保存を、新しい鍵で開くようにする(院長)",
        "a stolen card or sheet: backups from now on open with new keys (director)", o_recipients },
    { "account recover", "[ACCOUNT]", 0, 1, cmd_account_recover,
        "金庫の紙で、院長のパスワード、認証アプリの鍵、一回限りのコードを新しくする",
        "a director's password, authenticator and codes anew, with the recovery sheet", o_anew },
    { "restore start", "", 0, 0, cmd_restore_start, "戻し始める", "start a restore", o_restore },
    { "restore list", "", 0, 0, cmd_restore_list, "戻した記録", "restores", NULL },
    { "restore watch", "RESTORE", 1, 1, cmd_restore_watch, "進み具合を見る", "watch a restore", NULL },
    { "restore cancel", "RESTORE", 1, 1, cmd_restore_cancel, "中止", "cancel a restore", NULL },
    { "restores list", "", 0, 0, cmd_restore_list, "戻した記録", "restores", NULL },
    { "drill run", "SOURCE", 1, 1, cmd_drill_run, "戻す練習をする(解除が必要)", "do a restore drill (unlock needed)", o_drill },
    { "drill list", "", 0, 0, cmd_drill_list, "戻す練習の記録", "restore drills", NULL },
    { "drill show", "DRILL", 1, 1, cmd_drill_show, "一回の練習の報告", "the report of one drill", NULL },
    { "verify", "[structure|data]", 0, 1, cmd_verify, "保管庫を検査する(引数なし: 前回の結果)",
        "verify the vault (without argument: the last result)", NULL },
    { "copies", "", 0, 0, cmd_copies, "写しと、5つのランプ", "copies and the five lamps", NULL },
    { "copy prepare", "PATH", 1, 1, cmd_copy_prepare, "写しの場所(フォルダー、ディスク)を用意する(箱の機械で)",
        "prepare a place for a copy: a folder or a disk (on the box itself)", o_copy_prepare },
    { "copy box", "URL", 1, 1, cmd_copy_box, "ほかの施設の箱への写しを作る(その箱のコードを聞く)",
        "make a copy at another institution's box (asks for its code)", o_copy_box },
    { "copy code", "COPY", 1, 1, cmd_copy_code, "ほかの箱の新しいコードを入れる", "enter a new code of the other box", o_secret },
    { "copy add", "URL", 1, 1, cmd_copy_add, "バケット(S3)への写しを作る: https://サーバー/バケット/場所",
        "make a copy in a bucket (S3): https://SERVER/BUCKET/PREFIX", o_copy_add },
    { "copy keys", "COPY", 1, 1, cmd_copy_keys, "バケットの鍵を入れかえる", "new keys for a copy in a bucket", o_secret },
    { "copy fetch", "URL", 1, 1, cmd_copy_fetch, "バケットか、ほかの箱だけから保管庫を取りもどす(箱なしで)",
        "bring the vault back from a bucket, or another box, alone (without the box)", o_copy_fetch },
    { "copy show", "COPY", 1, 1, cmd_copy_show, "一つの写しと、その記録", "one copy and its history", NULL },
    { "copy run", "COPY", 1, 1, cmd_copy_run, "今すぐ写す", "copy now", o_wait },
    { "copy verify", "COPY", 1, 1, cmd_copy_verify, "写しを全部読み返す", "read all of a copy back", o_wait },
    { "copy cancel", "COPY", 1, 1, cmd_copy_cancel, "中止(次のとき続きから)", "cancel (the next run goes on from there)", NULL },
    { "copy set", "COPY", 1, 1, cmd_copy_set, "写しの設定を変える", "change a copy's settings", o_copy_set },
    { "copy forget", "COPY", 1, 1, cmd_copy_forget, "写しをやめる(あるものは消さない)", "stop making it (nothing is deleted there)", NULL },
    { "scrub", "[now]", 0, 1, cmd_scrub, "全部を読み直し、いたみを直す(引数なし: 今の様子)",
        "read everything again and heal damage (without argument: how it stands)", NULL },
    { "self status", "", 0, 0, cmd_self_status, "箱そのものの控え(設定・人・証明書)", "the box's own backup (settings, people, certificates)",
        NULL },
    { "self run", "", 0, 0, cmd_self_run, "箱そのものを今すぐ控える", "make the box's own backup now", NULL },
    { "audit list", "", 0, 0, cmd_audit_list, "操作の記録", "audit log", NULL },
    { "audit export", "FILE|-", 1, 1, cmd_audit_export, "操作の記録を書き出す", "export the audit log", NULL },
    { "audit verify", "", 0, 0, cmd_audit_verify, "操作の記録が元のままか調べる", "check that the audit log is as written", o_file },
    { "access", "", 0, 0, cmd_access, "バックアップを開いた記録", "who opened backups", o_access },
    { "devices list", "", 0, 0, cmd_devices_list, "機器の一覧", "machines", NULL },
    { "devices code", "NAME", 1, 1, cmd_devices_code, "機器を加える番号を作る", "make a join code for a machine", o_days },
    { "guide", "[MACHINE]", 0, 1, cmd_guide, "機器を建て直す手順(印刷して、金庫の紙といっしょに)",
        "how to build a machine anew (print it, keep it with the sheet)", NULL },
    { "devices logs", "MACHINE", 1, 1, cmd_devices_logs, "機器が送るログ", "the logs a machine sends", NULL },
    { "devices log-add", "MACHINE NAME", 2, 2, cmd_devices_log_add, "機器が送るログを足す", "let a machine send one more log", o_log_add },
    { "devices log-remove", "MACHINE NAME", 2, 2, cmd_devices_log_remove, "そのログを送らせない", "let it not send that log", NULL },
    { "devices log-usual", "MACHINE", 1, 1, cmd_devices_log_usual, "いつものログに戻す", "the usual logs again", NULL },
    { "endpoint status", "[MACHINE]", 0, 1, cmd_endpoint_status, "機器がどう見張られているか", "how machines are watched", NULL },
    { "endpoint policy", "[MACHINE]", 0, 1, cmd_endpoint_policy, "何を見張り、止め、ふさぐか(機器を書けばその機器だけ)",
        "what machines watch, stop and block (MACHINE: what differs there)", o_endpoint_policy },
    { "endpoint posture", "[MACHINE]", 0, 1, cmd_endpoint_posture, "機器のそなえの点数と、次にすること", "how well machines are prepared, and what to do next", NULL },
    { "endpoint act", "MACHINE ACTION [WHAT]", 2, 3, cmd_endpoint_act, "機器に、切りはなす・止める・集めるなどを命じる", "tell a machine to isolate itself, block, kill, collect", o_endpoint_act },
    { "endpoint actions", "MACHINE", 1, 1, cmd_endpoint_actions, "機器に命じたことと、どうなったか", "what a machine was told to do, and what came of it", NULL },
    { "endpoint decide", "FINDING ACTION", 2, 2, cmd_endpoint_decide, "見つかった一件をどうするか(kill、resume、give_back など)", "decide about a finding: kill, resume, give_back …", o_endpoint_decide },
    { "endpoint packs", "", 0, 0, cmd_endpoint_packs, "機器から集めた証拠の一覧", "evidence packs of the machines", NULL },
    { "endpoint pack", "ID FILE", 2, 2, cmd_endpoint_pack, "証拠を一つ受け取る", "take an evidence pack", NULL },
    { "endpoint findings", "", 0, 0, cmd_endpoint_findings, "機器が見つけて止めたこと", "what machines found and stopped", o_endpoint_findings },
    { "endpoint finding", "ID", 1, 1, cmd_endpoint_finding, "その一件を詳しく", "one of them in full", NULL },
    { "endpoint quarantine", "[list | give-back MACHINE ID | remove MACHINE ID]", 0, 3, cmd_endpoint_quarantine,
        "機器が取り分けたファイル(一覧、元の場所へ返す、消す)", "files that machines set aside: list them, give one back, remove one for good", o_quarantine },
    { "endpoint scan", "MACHINE [PATH...]", 1, 64, cmd_endpoint_scan, "ウイルスなどを探させる(場所がなければ全部)",
        "look for malware on a machine (without PATH: everywhere)", o_scan },
    { "devices rename", "MACHINE NAME", 2, 2, cmd_devices_rename, "機器の名前を変える", "rename a machine", NULL },
    { "devices revoke", "MACHINE", 1, 1, cmd_devices_revoke, "機器を取り消す", "revoke a machine", o_why },
    { "people list", "", 0, 0, cmd_people_list, "人の一覧", "people", NULL },
    { "people add", "ACCOUNT NAME", 2, 2, cmd_people_add, "人を足す", "add a person", o_person },
    { "people set", "PERSON", 1, 1, cmd_people_set, "人を変える", "change a person", o_person },
    { "people reset", "PERSON", 1, 1, cmd_people_reset, "新しいパスワードとコードを出す", "new password and codes", NULL },
    { "people remove", "PERSON", 1, 1, cmd_people_remove, "人をはずす", "remove a person", NULL },
    { "logs status", "", 0, 0, cmd_logs_status, "ログの記録の状態", "state of the log record", NULL },
    { "logs search", "[QUERY]", 0, 1, cmd_logs_search, "ログをさがす(例: host:fw1 AND 失敗)", "search the logs, newest first", o_logs_search },
    { "logs tail", "[QUERY]", 0, 1, cmd_logs_tail, "来るログをそのまま見る(Ctrl-C で終わる)", "logs as they come, until Ctrl-C", NULL },
    { "logs export", "QUERY [FILE]", 1, 2, cmd_logs_export, "ログを取り出す(古いものから、全部)", "all that match, oldest first", o_logs_export },
    { "logs save", "NAME QUERY", 2, 2, cmd_logs_save, "検索に名前を付けて残す(みんなで使う)", "keep a search under a name, for everybody", o_logs_save },
    { "logs saved", "[run|remove SEARCH]", 0, 2, cmd_logs_saved, "残した検索の一覧。run で使い、remove で除く", "kept searches; run uses one, remove takes it out",
        o_logs_saved },
    { "logs backup", "", 0, 0, cmd_logs_backup, "ログの記録を、いま保管庫に控える", "save the record of logs to the vault now", NULL },
    { "logs restore", "DIR", 1, 1, cmd_logs_restore, "保管庫か写しと回復シートから、ログの記録をフォルダーに取り出して確かめる",
        "the record of logs out of a vault or a copy, with the recovery sheet alone, and verify it", o_logs_restore },
    { "logs verify", "", 0, 0, cmd_logs_verify, "ログの記録が書きかえられていないかを、全部確かめる", "check the whole record against its hashes and seals", NULL },
    { "logs store", "[show|clickhouse|local|init|schema]", 0, 1, cmd_logs_store, "ログを置いてさがす所: この箱だけか、ClickHouse にも",
        "where logs are stored and searched: this box alone, or ClickHouse too", o_logs_store },
    { "logs sources", "", 0, 0, cmd_logs_sources, "ログを送ってくる機器", "who sends logs", NULL },
    { "logs source", "ID", 1, 1, cmd_logs_source_set, "その送り手を確かめたことにし、分かっていることを決める", "a source is right, and what is known of it", o_logs_source },
    { "logs classes", "", 0, 0, cmd_logs_classes, "残す日数の組と、今の量", "classes: how long logs are kept, and how much there is", NULL },
    { "logs class", "CLASS", 1, 1, cmd_logs_class, "組の日数と量の上限を決める", "how long and how much a class is kept", o_logs_class },
    { "logs hold", "CLASS", 1, 1, cmd_logs_hold, "その組の記録を、消さないと決める(保全)", "put a class on hold: nothing of it is removed", o_why },
    { "logs release", "CLASS", 1, 1, cmd_logs_hold, "保全を解く(院長)", "release a hold (director)", o_why },
    { "logs doors", "[LISTENER on|off]", 0, 2, cmd_logs_door, "ログを受ける口の一覧。udp、tcp、tls を閉じる・開ける", "doors for logs; shut or open udp, tcp or tls", NULL },
    { "rule list", "[TEXT]", 0, 1, cmd_rule_list, "検知ルールの一覧", "detection rules", o_rule_list },
    { "rule show", "RULE", 1, 1, cmd_rule_show, "ルールの中身、当たった数、除く条件", "a rule: what it says, what it found, its filters", NULL },
    { "rule faults", "", 0, 0, cmd_rule_faults, "読めなかったルールと、その理由", "rules that could not be loaded, and why", NULL },
    { "rule on", "RULE", 1, 1, cmd_rule_on, "ルールを使う", "switch a rule on", NULL },
    { "rule off", "RULE", 1, 1, cmd_rule_off, "ルールを止める", "switch a rule off", o_rule_why },
    { "rule test", "RULE [FILE]", 1, 2, cmd_rule_test, "箱のルールが1件の記録に当たるか、項目ごとに理由を出す",
        "does a rule of the box match one record (FILE, or standard input), and why", o_rule_test },
    { "rule filter", "RULE", 1, 1, cmd_rule_filter, "ルールに除く条件を足す", "add a filter to a rule: where it holds, the rule says nothing", o_rule_filter },
    { "rule filters", "[RULE]", 0, 1, cmd_rule_filters, "除く条件の一覧", "filters that people added", NULL },
    { "rule unfilter", "NUMBER", 1, 1, cmd_rule_unfilter, "除く条件を外す", "take a filter back", NULL },
    { "rule put", "FILE", 1, 1, cmd_rule_put, "この箱のルールを入れる(同じ番号なら入れ替え)", "put in a rule of the box's own (the same id again replaces it)", NULL },
    { "rule own", "", 0, 0, cmd_rule_own, "この箱のルールの一覧", "rules of the box's own", NULL },
    { "rule remove", "RULE", 1, 1, cmd_rule_remove, "この箱のルールを除く", "remove a rule of the box's own", NULL },
    { "rule bundle", "", 0, 0, cmd_rule_bundle, "いまのルールの束と、信頼する鍵", "the bundle of rules in use, and the keys that are trusted", NULL },
    { "rule update", "FILE", 1, 1, cmd_rule_update, "署名されたルールの束を入れる", "put in a signed bundle of rules", o_rule_update },
    { "rule back", "", 0, 0, cmd_rule_back, "前のルールの束に戻す", "put the bundle of rules before back", NULL },
    { "rule trust", "NAME KEY", 2, 2, cmd_rule_trust, "ルールの束の鍵を信頼する", "trust a key (SKRB0-…) for bundles of rules", NULL },
    { "rule distrust", "NUMBER", 1, 1, cmd_rule_distrust, "ルールの束の鍵を外す", "trust a key no longer", NULL },
    { "rule reload", "", 0, 0, cmd_rule_reload, "ルールのファイルを読み直す", "read the rule files again", NULL },
    { "incident list", "", 0, 0, cmd_incident_list, "起きたことの一覧(知らせを一つの話にまとめたもの)", "incidents: signals that belong together", o_open },
    { "incident show", "INCIDENT", 1, 1, cmd_incident_show, "一つの話と、次にすること", "one incident in order, and what to do next", NULL },
    { "incident close", "INCIDENT", 1, 1, cmd_incident_close, "終わりにする", "an incident is over", o_incident_close },
    { "signal list", "", 0, 0, cmd_signal_list, "ルールが見つけたこと", "what rules found", o_signals },
    { "signal false-alarm", "SIGNAL", 1, 1, cmd_signal_false, "まちがいの知らせだと覚えさせる", "have a false alarm learnt", o_signal_false },
    { "quiet list", "", 0, 0, cmd_quiet_list, "静かにする決まり(覚えたまちがい)", "false alarms that were learnt", NULL },
    { "quiet end", "ID", 1, 1, cmd_quiet_end, "静かにするのをやめる", "take one back", NULL },
    { "endpoint uninstall", "MACHINE", 1, 1, cmd_endpoint_uninstall, "機器から Sakimori を消すことを許す(1時間)", "let the agent be removed from a machine, for an hour", NULL },
    { "endpoint media list", "", 0, 0, cmd_media_list, "USB などの媒体の一覧", "removable media of the machines", NULL },
    { "endpoint media allow", "SERIAL", 1, 1, cmd_media_allow, "この媒体を許す", "allow a removable medium by its serial number", o_media },
    { "endpoint media deny", "SERIAL", 1, 1, cmd_media_deny, "この媒体を許さない", "allow it no longer", o_media },
    { "maintenance list", "", 0, 0, cmd_maintenance_list, "遠隔保守の予定と、入った記録", "booked remote maintenance and who came", o_open },
    { "maintenance book", "", 0, 0, cmd_maintenance_book, "遠隔保守の予定を入れる", "book remote maintenance", o_book },
    { "maintenance end", "ID", 1, 1, cmd_maintenance_end, "予定を今終わりにする", "end a booking now", NULL },
    { "review list", "", 0, 0, cmd_review_list, "月のまとめと、署名", "months and whether they are signed", NULL },
    { "review show", "MONTH", 1, 1, cmd_review_show, "月のまとめ(2026-11)", "what happened in a month (2026-11)", NULL },
    { "review sign", "MONTH", 1, 1, cmd_review_sign, "終わった月のまとめに署名する(院長)", "sign a month that is over (director)", o_review_sign },
    { "playbook list", "", 0, 0, cmd_playbook_list, "決めごと: こういう件なら、こうする", "playbooks: what is done about which incident", NULL },
    { "playbook actions", "", 0, 0, cmd_playbook_actions, "手順にできること", "what a step can be", NULL },
    { "playbook add", "FILE", 1, 1, cmd_playbook_add, "決めごとを加える(JSON)", "add a playbook (JSON)", NULL },
    { "playbook on", "PLAYBOOK", 1, 1, cmd_playbook_on, "動かす", "switch on", NULL },
    { "playbook off", "PLAYBOOK", 1, 1, cmd_playbook_on, "止める", "switch off", NULL },
    { "playbook remove", "PLAYBOOK", 1, 1, cmd_playbook_remove, "除く", "remove", NULL },
    { "playbook try", "PLAYBOOK INCIDENT", 2, 2, cmd_playbook_try, "試す: 何をするかを言うだけ", "dry run: says what it would do", NULL },
    { "response run", "STEP", 1, 1, cmd_response, "手順を行う(番号は incident show)", "carry a step out (numbers: incident show)", NULL },
    { "response undo", "STEP", 1, 1, cmd_response, "元に戻す", "take it back", NULL },
    { "response done", "STEP", 1, 1, cmd_response, "人がした、と記す", "say that a person did it", NULL },
    { "response skip", "STEP", 1, 1, cmd_response, "しない、と記す", "say that it is not done", NULL },
    { "alarms list", "", 0, 0, cmd_alarms_list, "警報の一覧", "alarms", NULL },
    { "alarms show", "ALARM", 1, 1, cmd_alarms_show, "一つの警報と、次にすること", "one alarm and what to do next", NULL },
    { "alarms seen", "ALARM", 1, 1, cmd_alarms_act, "見たと記す", "mark as seen", o_why },
    { "alarms thaw", "ALARM", 1, 1, cmd_alarms_thaw,
        "止めた整理を再開する(--why が必要。疑いのある世代は疑いのまま)",
        "let rotation go on (--why needed; suspicious generations stay suspicious)", o_thaw },
    { "alarms close", "ALARM", 1, 1, cmd_alarms_act, "警報を閉じる", "close an alarm", o_why },
    { "settings get", "[NAME]", 0, 1, cmd_settings_get, "画面の設定", "settings of the console", NULL },
    { "settings set", "NAME [VALUE]", 1, 2, cmd_settings_set, "設定を変える(mail.password と firewall.token は聞く)",
        "change one (mail.password and firewall.token are asked for)", o_secret },
    { "settings print", "[FILE]", 0, 1, cmd_settings_print, "設定ファイルを説明つきで出す(FILE を調べる)",
        "print the commented settings file (checks FILE)", NULL },
    { "contacts list", "", 0, 0, cmd_contacts, "緊急連絡先", "emergency contacts", NULL },
    { "contacts set", "FILE|-", 1, 1, cmd_contacts_set, "緊急連絡先を JSON で入れかえる", "replace them by a JSON list", NULL },
    { "card", "", 0, 0, cmd_card, "緊急カード", "emergency card", NULL },
    { "takeover", "", 0, 0, cmd_takeover, "写しと金庫の紙から、新しい箱を作る(--data に置く)",
        "make a new box from a copy of the vault and the recovery sheet (in --data)", o_takeover },
    { "recover", "", 0, 0, cmd_recover, "保管庫のファイルと金庫の紙だけで戻す",
        "restore with the vault's files and the recovery sheet alone", o_recover },
    { "mount", "MOUNTPOINT", 1, 1, cmd_mount, "すべての世代を、読むだけのフォルダーとして出す(保管庫のファイルと金庫の紙で)",
        "all generations as read-only folders, with the vault's files and the recovery sheet", o_mount },
    { "vault clean", "", 0, 0, cmd_vault_clean, "期限の来たものを消す(--dry-run: 何が消えるかだけ)",
        "remove what is no longer kept (--dry-run: only show it)", o_clean },
    { "retention show", "", 0, 0, cmd_retention_show, "どれだけ残すか、なぜ残っているか", "how long what is kept, and why", o_source },
    { "order list", "", 0, 0, cmd_order_list, "金庫の紙の命令", "orders of the recovery sheet", NULL },
    { "order delete", "GENERATION...", 1, 50, cmd_order_delete, "世代を早く消す命令(金庫の紙で署名、7日待つ)",
        "order to delete generations early (signed with the recovery sheet, waits seven days)", o_order },
    { "order policy", "", 0, 0, cmd_order_policy, "保存期間を短くする命令(金庫の紙で署名、7日待つ)",
        "order for a shorter policy (signed with the recovery sheet, waits seven days)", o_order_policy },
    { "order date", "", 0, 0, cmd_order_date, "止まっていた日数を数えに入れる命令(金庫の紙で署名、7日待つ)",
        "order to count time switched off (signed with the recovery sheet, waits seven days)", o_order_date },
    { "order cancel", "ORDER", 1, 1, cmd_order_cancel, "待っている命令を止める", "stop an order that waits", o_why },
    { "hold list", "", 0, 0, cmd_hold_list, "消さないと決めたもの(保全)", "legal holds", NULL },
    { "hold add", "device|source|generation ID", 2, 2, cmd_hold_add, "消さないと決める", "put on hold", o_hold },
    { "hold release", "HOLD", 1, 1, cmd_hold_release, "保全を解く(院長)", "release a hold (director)", o_why },
    { "date confirm", "", 0, 0, cmd_date_confirm, "日付をカレンダーで確かめたと記す", "say that the date was compared with a calendar", NULL },
    { "devices quota", "MACHINE GIB", 2, 2, cmd_devices_quota, "機器ごとの大きさの上限(0 はなし)",
        "most bytes a machine may store (0 = no limit)", NULL },
    { "rules check", "DIR...", 1, 100, cmd_rules_check, "見つける決まり(Sigma ルール)のファイルを調べる", "check files of rules (Sigma)", o_rules },
    { "rules bundle", "make DIR | check FILE | key", 1, 2, cmd_rules_bundle, "署名されたルールの束を作る、調べる。鍵を作る",
        "make or check a signed bundle of rules, make a key for it", o_rules_bundle },
    { "rules list", "DIR...", 1, 100, cmd_rules_list, "ルールの一覧", "rules of these files", o_rules },
    { "rules test", "RULE LOG...", 2, 100, cmd_rules_test, "ルールがログに当たるか、項目ごとに理由を出す",
        "does a rule match these logs, and why, field by field", o_rules_test },
    { "vault verify", "[structure|data]", 0, 1, cmd_vault_verify, "保管庫のファイルを直接検査する",
        "verify a vault's files directly", o_vault },
    { "vault scrub", "", 0, 0, cmd_vault_scrub, "保管庫のファイルを全部読み直す(--heal で直す)",
        "read all of a vault's files again; --heal repairs", o_scrub },
    { "events", "FILE...", 1, CLI_VALUES_MAX, cmd_events, "ログのファイルを、一件一行の JSON にする(- は標準入力)",
        "events of log files as JSON, one a line (- = standard input)", o_events },
    { "journal import", "DIR FILE...", 2, CLI_VALUES_MAX, cmd_evidence_import, "ログのファイルを、フォルダーの記録に加える(箱の記録ではないもの)",
        "add log files to a record in a folder (not that of a running box)", o_import },
    { "journal verify", "DIR", 1, 1, cmd_evidence_verify, "ログの記録が書き換えられていないか、フォルダーを直接検査する",
        "verify that the record of logs in a folder was not altered", o_evidence_verify },
    { "journal search", "DIR [QUERY]", 1, 2, cmd_evidence_search, "ログの記録をフォルダーから直接探す", "search the record of logs in a folder",
        o_evidence_search },
    { "journal pack", "DIR FILE", 2, 2, cmd_evidence_pack, "ログの記録を証拠の束(tar)にする", "put the record of logs into an evidence pack (tar)",
        o_evidence_pack },
    { "journal show", "", 0, 0, cmd_journal_show, "保管庫の記録を読む", "read a vault's journal", o_journal },
    { "peer list", "", 0, 0, cmd_peer_list, "ほかの箱から預かっている写し", "copies of other boxes that are kept here", NULL },
    { "peer show", "PEER", 1, 1, cmd_peer_show, "その一つと、置き場所", "one of them, and where it lies", NULL },
    { "peer invite", "NAME", 1, 1, cmd_peer_invite, "ほかの箱を入れるコードを作る(一時間、一度だけ)",
        "make a code that lets another box in (once, within an hour)", o_peer_invite },
    { "peer again", "PEER", 1, 1, cmd_peer_again, "作りなおした箱のためのコード(前の証明書は使えなくなる)",
        "a code for one whose box was made anew (its certificate of before ends)", NULL },
    { "peer set", "PEER", 1, 1, cmd_peer_set, "名前、上限、受けつけるかどうかを変える", "change name, quota, or stop accepting", o_peer_set },
    { "peer check", "PEER", 1, 1, cmd_peer_check, "預かっている写しを今すぐ全部読み返す", "read all of it again now", NULL },
    { "peer export", "PEER", 1, 1, cmd_peer_export, "預かっている写しを取り出す(箱の機械で、root で)",
        "give it back: its files to a folder or disk (on the box itself, as root)", o_peer_export },
    { "monitors list", "", 0, 0, cmd_monitors_list, "数字を読める監視サービス", "monitoring systems that may read the figures", NULL },
    { "monitors add", "NAME", 1, 1, cmd_monitors_add, "監視サービスを加える(トークンが一度だけ出る)",
        "add a monitoring system (its token is shown once)", NULL },
    { "monitors remove", "MONITOR", 1, 1, cmd_monitors_remove, "監視サービスを外す", "remove one", NULL },
    { "metrics", "", 0, 0, cmd_metrics, "箱の数字(Prometheus の形)", "figures of the box (for Prometheus)", NULL },
    { "completion", "bash", 1, 1, cmd_completion, "bash の補完を書き出す", "print the completion for bash", NULL },
    { "demo clinic", "", 0, 0, cmd_demo_clinic, "見本のクリニックで、攻撃から戻すまでを試す", "a sample clinic, from attack to restore",
        o_demo },
    { "demo handa", "", 0, 0, cmd_demo_handa, "病院への攻撃14段を、見本のネットワークで見る(root)", "the attack on a hospital in 14 steps, in a network of its own (root)",
        o_demo_handa },
};
const size_t cli_commands_n = sizeof cli_commands / sizeof *cli_commands;
