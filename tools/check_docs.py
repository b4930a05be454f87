#!/usr/bin/env python3
"""Hold the documents to the code.

    check_docs.py openapi     docs/openapi.yaml says exactly the routes of src/api/routes.c
    check_docs.py agent       docs/PROTOCOL-agent.md and docs/PROTOCOL-peer.md name every route of the agent port
    check_docs.py messages    docs/PROCESSES.md names every message of src/sakimorid/messages.c, and no other
    check_docs.py links       links and paths in the README files and docs/ lead somewhere
    check_docs.py tests       every test that docs/THREATS.md names is there
    check_docs.py manual      man pages name every command and every setting, and no other
    check_docs.py words       what agents and the box say of a failed run has words in both languages
    check_docs.py notices     the licence and the notices of others' works stand where they must

One line a finding; exit 1 when there is one, 77 when the check cannot be made here (the line says why).
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def routes():
    """{(METHOD, path)} of the table; parameters are "{}"."""
    text = read("src/api/routes.c")
    prefix = dict(re.findall(r'#define (V1|A1) "([^"]+)"', text))
    found = set()
    for method, macro, path in re.findall(r'\{\s*"([A-Z]+)",\s*(V1|A1)?\s*"([^"]+)"', text):
        found.add((method, re.sub(r"\{[^}]*\}", "{}", prefix.get(macro, "") + path)))
    return found


def openapi():
    if not os.path.exists(os.path.join(ROOT, "docs/openapi.yaml")):
        return ["docs/openapi.yaml is not there"]
    try:
        import yaml
    except ImportError:
        return None, "python3-yaml is not installed"
    doc = yaml.safe_load(read("docs/openapi.yaml"))
    bad = []
    if not str(doc.get("openapi", "")).startswith("3."):
        bad.append("no OpenAPI version 3")
    servers = doc.get("servers") or [{"url": ""}]
    base = re.sub(r"^https?://[^/]*", "", servers[0]["url"]).rstrip("/")
    said = set()
    for path, item in (doc.get("paths") or {}).items():
        own = item.get("servers")
        at = re.sub(r"^https?://[^/]*", "", own[0]["url"]).rstrip("/") if own else base
        full = path if path.startswith(("/api/", "/agent/")) or path == "/healthz" else at + path
        for method in item:
            if method in ("get", "post", "put", "patch", "delete", "head"):
                said.add((method.upper(), re.sub(r"\{[^}]*\}", "{}", full)))
                if not item[method].get("responses"):
                    bad.append("%s %s says no responses" % (method.upper(), path))
    real = routes()
    # The agent port has its own document; when openapi.yaml speaks of it, it must be whole too.
    if not any(p.startswith("/agent/") for _, p in said):
        real = {r for r in real if not r[1].startswith("/agent/")}
    bad += ["not in openapi.yaml: %s %s" % r for r in sorted(real - said)]
    bad += ["not a route: %s %s" % r for r in sorted(said - real)]
    return bad if real else ["no routes found in src/api/routes.c"]


def agent():
    text = re.sub(r"\{[^}`]*\}", "{}", read("docs/PROTOCOL-agent.md") + read("docs/PROTOCOL-peer.md"))
    real = sorted(r for r in routes() if r[1].startswith("/agent/v1"))
    bad = ["neither PROTOCOL-agent.md nor PROTOCOL-peer.md says %s %s" % r for r in real
           if not re.search(r"`%s (?:/agent/v1)?%s`" % (r[0], re.escape(r[1][len("/agent/v1"):])), text)]
    return bad if real else ["no agent routes found"]


def messages():
    names = set(re.findall(r"ROW(?:_FD)?\(([A-Z]_[A-Z_]+),", read("src/sakimorid/messages.c")))
    said = set(re.findall(r"\b([PCBFKNSVOXYLWJH]_[A-Z][A-Z_]*[A-Z])\b", read("docs/PROCESSES.md")))
    # K_SETUP_* is how the document speaks of several at once.
    bad = ["PROCESSES.md does not say %s" % n for n in sorted(names - said)]
    bad += ["no such message: %s" % n for n in sorted(said - names) if n != "K_SETUP"]
    return bad if names else ["no messages found in messages.c"]


def links():
    bad, seen = [], 0
    for path in ["README.md", "README.en.md"] + sorted(os.path.relpath(p, ROOT) for p in glob.glob(ROOT + "/docs/*.md")):
        if not os.path.exists(os.path.join(ROOT, path)):
            bad.append("%s is not there" % path)
            continue
        text = read(path)
        here = os.path.dirname(path)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            seen += 1
            if re.match(r"[a-z]+:", target) or target.startswith("#"):
                continue
            if not os.path.exists(os.path.join(ROOT, here, target.split("#")[0])):
                bad.append("%s: the link %s leads nowhere" % (path, target))
        # A path in code quotes is a promise too, in the documents that describe the tree.
        if path in ("README.md", "README.en.md", "docs/ARCHITECTURE.md", "docs/THREATS.md"):
            for target in re.findall(r"`((?:src|docs|tests|fuzz|tools|packaging|web|man|share|bench)/[^`\s]*)`", text):
                seen += 1
                if "NAME" not in target and not glob.glob(os.path.join(ROOT, target)):
                    bad.append("%s: %s is not there" % (path, target))
    return bad if seen else ["no links found"]


def tests():
    every = ""
    for folder, names, files in os.walk(os.path.join(ROOT, "tests")):
        if "/data" in folder:
            continue
        for name in files:
            if name.endswith((".c", ".h", ".mjs", ".sh", ".py")):
                every += open(os.path.join(folder, name), encoding="utf-8", errors="replace").read()
    text = read("docs/THREATS.md")
    named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`", text)) | set(re.findall(r"`test: ([^`]+)`", text))
    bad = ["docs/THREATS.md names a test that is not there: %s" % n for n in sorted(named)
           if not (re.search(r"\b%s\b" % re.escape(n), every) if "_" in n and " " not in n else n in every)]
    return bad if named else ["docs/THREATS.md names no test"]


def manual():
    items = [line.replace("\\", "") for line in re.findall(r"^\.It Cm (.*)$", read("man/sakimori.1"), re.M)]
    said = {re.split(r" (?:Ar|Op|Fl)\b", item)[0].replace(" Cm ", " ") for item in items}
    real = set(re.findall(r'^    \{ "([a-z][a-z -]*)", "', read("src/sakimori/table.c"), re.M))
    bad = ["man/sakimori.1 does not name: %s" % c for c in sorted(real - said)] + ["no such command: %s" % c for c in sorted(said - real)]
    said = set(re.findall(r"^\.It Va (\w+)", read("man/sakimori.conf.5"), re.M))
    own = set(re.findall(r'\.name = "(\w+)", \.kind', read("src/sakimorid/options.c")))
    bad += ["man/sakimori.conf.5 does not name: %s" % c for c in sorted(own - said)] + ["no such setting: %s" % c for c in sorted(said - own)]
    return bad if real and own else ["no commands or settings found"]


def notices():
    need = [
        ("LICENSE", "Apache License"), ("NOTICE", "design-tokens"), ("NOTICE", "デジタル庁"), ("NOTICE", "BIP39"), ("NOTICE", "Jason Miller"),
        ("NOTICE", "SSMIX2DataTestingTool"), ("NOTICE", "The above copyright notice and this permission notice shall be included"),
        ("src/crypto/wordlist/NOTICE", "Permission is hereby granted"), ("share/demo/clinic/LICENSE.Apache-2.0.txt", "Apache License"),
        ("share/demo/clinic/README.md", "Apache-2.0"), ("web/NOTICE.txt", "MIT"), ("packaging/debian/copyright", "Apache-2.0"),
    ]
    bad = []
    for path, text in need:
        if not os.path.exists(os.path.join(ROOT, path)):
            bad.append("%s is not there" % path)
        elif text not in read(path):
            bad.append("%s does not say \"%s\"" % (path, text))
    package = read("web/package.json")
    for name in re.findall(r'"([^"]+)": "[^"]+"', package.split('"dependencies"')[1].split("}")[0]):
        if name.split("/")[-1].lower() not in read("NOTICE").lower():
            bad.append("NOTICE does not name %s, which the console contains" % name)
    return bad


def words():
    """Every fixed text that agents and the box send as a reason has a row in src/core/words.def."""
    known = set(k.replace('\\"', '"') for k in re.findall(r'^WORD\(PART, "((?:[^"\\]|\\.)*)"', read("src/core/words.def"), re.M))
    calls = re.compile(r"\b(?:prep_problem|backupd_problem|run_problem|restore_problem|on_problem|run_end|run_finish|run_died|restore_died|"
                       r"restore_fail|refuse|alarm_of|problem)\(([^;]*?)\);", re.S)
    usual = {"open", "stat", "read", "path", "failed", "complete", "partial", "cancelled", "", "id", "what", "error", "index",
             "initdb", "mariadb-install-db"}
    bad = []
    for path in sorted(glob.glob(os.path.join(ROOT, "src/**/*.c"), recursive=True)):
        name = os.path.relpath(path, ROOT)
        if not name.startswith(("src/sakimori-agent", "src/api/", "src/vault/backup", "src/vault/restore", "src/vault/scan")):
            continue
        for m in calls.finditer(re.sub(r'"\s*\n\s*"', "", read(name))):
            for s in re.findall(r'"((?:[^"\\]|\\.)*)"', m.group(1)):
                if s not in known and "the box's record %s:*" % s not in known and s not in usual and re.match(r"[A-Za-z][A-Za-z ,;:.'-]*$", s):
                    bad.append('%s: "%s" has no words in src/core/words.def' % (name, s))
    return sorted(set(bad))


CHECKS = {f.__name__: f for f in (openapi, agent, messages, links, tests, manual, notices, words)}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        print(__doc__)
        return 2
    bad = CHECKS[sys.argv[1]]()
    if isinstance(bad, tuple):
        print(bad[1])
        return 77
    for line in bad:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
