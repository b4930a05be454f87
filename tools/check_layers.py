#!/usr/bin/env python3
"""Hold the tree to its floors: core -> plat, crypto -> event, state -> rooms -> mains (docs/ARCHITECTURE.md).

    check_layers.py [ROOT]      one line a breach, exit 1 when there is one

Each rule is a row of RULES or FLOORS; an exception is a row of ALLOWED with its reason.
"""
import os
import re
import sys

# What each floor may include besides itself.  A room (any folder of src/ not named here) may include all floors and no room.
FLOORS = {
    "core": set(),
    "plat": {"core"},
    "crypto": {"core", "plat"},
    "event": {"core", "plat", "crypto"},
    "state": {"core", "plat", "crypto", "event"},
}
MAINS = ("sakimorid", "sakimori-agent", "sakimori")

# (file or folder, included file): reason
ALLOWED = {
    ("src/core", "plat/clock.h"): "the loop waits; the clock is a seam of tests, compiled into core",
    ("src/core", "plat/poll.h"): "the loop waits; one header, no other floor behind it",
    ("src/core", "plat/fault.h"): "the countdown of failing allocations is compiled into core",
    ("src/sakimori/settings.c", "sakimorid/options.h"): "the settings file is printed from the one table of options",
}

BANNED = r"\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|system|popen|alloca|atoi|atol)\s*\("
# The statements that ClickHouse is asked.
HOUSE = ("src/journal/house.c", "src/journal/house_row.c", "src/journal/house_search.c", "src/journal/house_sql.c")
# (what, pattern, where it may stand, is the pattern about code without strings and comments)
RULES = [
    ("a banned call", BANNED, (), True),
    # The databases of others: the agent copies them by SQLite's own backup, and asks servers for the names of theirs.
    ("SQLite outside src/state", r"\bsqlite3\w*", ("src/state", "src/sakimori-agent/kinds/sqlite.c", "src/sakimori-agent/kinds/sqlite_try.c"), True),
    ("SQL outside src/state", r'"\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\b', ("src/state", "src/sakimori-agent/kinds") + HOUSE, False),
    ("a crypto library outside src/crypto", r"#\s*include\s*<(gcrypt|gnutls|openssl|sodium|nettle|mbedtls)", ("src/crypto",), False),
    # Which socket a TLS session of libmicrohttpd uses, and that it asks for a certificate, is front's business: transport, no cryptography.
    ("a call of a crypto library outside src/crypto", r"\b(gcry_|EVP_|gnutls_(?!transport_set_|certificate_server_set_request))\w+\s*\(",
     ("src/crypto",), True),
    ("home-made randomness", r"\b(rand|srand|random|srandom|drand48|lrand48)\s*\(", (), True),
    ("_WIN32 outside src/plat", r"\b_WIN32\b", ("src/plat",), False),
    ("HTTP serving outside front", r"#\s*include\s*<microhttpd", ("src/sakimorid/front",), False),
    ("outbound HTTP outside the mains, the targets of copies and the store of logs", r"#\s*include\s*<curl/",
     tuple("src/" + m for m in MAINS) + ("src/vault/copy/box_http.c", "src/vault/copy/s3_internal.h", "src/journal/house.c", "src/journal/house_http.c"), False),
    ("epoll, inotify, seccomp, Landlock or capabilities outside plat and the mains", r"#\s*include\s*<(sys/epoll|sys/inotify|seccomp|linux/landlock|sys/capability|threads)\.h>",
     ("src/plat",) + tuple("src/" + m for m in MAINS), False),
    ("a new process outside plat", r"\b(fork|vfork|execve|execv|execvp|posix_spawn)\s*\(", ("src/plat",), True),
    ("a log line from a room or floor", r"\bsm_(log|info|warn|error|debug)\s*\(", ("src/core/log.h", "src/core/log.c") + tuple("src/" + m for m in MAINS), True),
    ("work left open", r"\b(TODO|FIXME|XXX)\b", (), False),
]


def without_text(code):
    """The code with comments and the insides of strings blanked; line numbers stay."""
    def blank(m):
        s = m.group(0)
        return "".join(c if c == "\n" else " " for c in s) if s[0] == "/" else '"' + " " * (len(s) - 2) + '"'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, code, flags=re.S)


def inside(path, places):
    return any(path == p or path.startswith(p + "/") for p in places)


def allowed(path, target):
    return any(target == t and inside(path, (place,)) for place, t in ALLOWED)


def include_breach(path, target):
    """Why path may not include target ("room/file.h"), or None."""
    own, other = path.split("/")[1], target.split("/")[0]
    if "/" not in target:
        return "include %s by its room" % target
    if own == other or allowed(path, target):
        return None
    if own in FLOORS:
        return None if other in FLOORS[own] else "the floor %s includes %s" % (own, target)
    if own in MAINS:
        return "the program %s includes the program %s" % (own, target) if other in MAINS else None
    return None if other in FLOORS else "the room %s includes %s" % (own, target)


def check_file(root, path, say):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        text = f.read()
    code = without_text(text)
    if path.startswith("src/"):
        # A generated fragment next to its user is data, not a layer.
        for m in re.finditer(r'^\s*#\s*include\s*"([^"]+)"', text, re.M):
            why = None if m.group(1).endswith((".def", ".inc")) else include_breach(path, m.group(1))
            if why:
                say(path, text.count("\n", 0, m.start(1)) + 1, why)
    for what, pattern, places, code_only in RULES:
        if not path.startswith("src/") and what not in ("a banned call", "work left open"):
            continue
        if inside(path, places):
            continue
        for m in re.finditer(pattern, code if code_only else text):
            say(path, text.count("\n", 0, m.start()) + 1, "%s: %s" % (what, m.group(0).strip()[:60]))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = []
    files = 0
    for top in ("src", "fuzz", "tests"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if not name.endswith((".c", ".h")) or name == "banned.h":
                    continue
                files += 1
                check_file(root, os.path.relpath(os.path.join(folder, name), root),
                           lambda p, n, why: found.append("%s:%d: %s" % (p, n, why)))
    for line in found:
        print(line)
    if not files:
        print("no source file under %s" % root)
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
