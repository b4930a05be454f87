#!/usr/bin/env bash
# What is not a program of its own: floors, documents, man pages, packages, units.  TAP on standard output; run from anywhere.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
failed=0
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
# check NAME COMMAND...: its output says what is wrong; exit code 77 is a skip, the output's last line the reason.
check() {
    local name=$1 code
    shift
    "$@" >"$work/said" 2>&1
    code=$?
    case $code in
    0) n=$((n + 1)); echo "ok $n - $name" ;;
    77) skip "$name" "$(tail -n 1 "$work/said")" ;;
    *) n=$((n + 1)); failed=1; echo "not ok $n - $name"; head -n 60 "$work/said" | sed 's/^/# /' ;;
    esac
}
# Debian's own python3 has Debian's python3-yaml; another one earlier in the path may not.
python=python3
/usr/bin/python3 -c 'import yaml' 2>/dev/null && python=/usr/bin/python3

# --- floors
layers_hold() { "$python" tools/check_layers.py; }
# The check must see what it is for: one file a rule, each of which has to be named.
layers_are_seen() {
    local t=$work/tree f missed=0
    mkdir -p "$t"/src/{core,plat,crypto,state,vault,api,sakimorid,sakimori}
    echo '#include "vault/a.h"' >"$t/src/core/floor.c"
    echo '#include "vault/a.h"' >"$t/src/api/room.c"
    echo '#include "sakimorid/a.h"' >"$t/src/sakimori/program.c"
    echo 'int f(void) { return system("x"); }' >"$t/src/vault/banned.c"
    echo 'const char *q = "SELECT a FROM b";' >"$t/src/api/sql.c"
    echo '#include <gcrypt.h>' >"$t/src/vault/crypto.c"
    echo 'int g(void) { return gnutls_hash_fast(1); }' >"$t/src/sakimorid/tls.c"
    echo '#ifdef _WIN32' >"$t/src/vault/windows.c"
    echo 'void l(void) { sm_info("x"); }' >"$t/src/vault/log.c"
    echo 'int k(void) { return fork(); }' >"$t/src/vault/process.c"
    echo '/* TODO */' >"$t/src/vault/open.c"
    echo '/* fork(), "strcpy(" and system() in words are no calls */ const char *s = "system(";' >"$t/src/vault/words.c"
    if "$python" tools/check_layers.py "$t" >"$work/seen"; then echo "nothing was found"; return 1; fi
    for f in core/floor api/room sakimori/program vault/banned api/sql vault/crypto sakimorid/tls vault/windows vault/log vault/process vault/open; do
        grep -q "^src/$f.c:1: " "$work/seen" || { echo "not seen: src/$f.c"; missed=1; }
    done
    if grep -q words.c "$work/seen"; then echo "words taken for a call"; missed=1; fi
    return $missed
}
check "floors_rooms_and_programs_include_only_what_they_may" layers_hold
check "the_check_of_floors_sees_every_kind_of_breach" layers_are_seen

# --- fuzz targets
corpora_are_there() {
    local f name count=0 bad=0
    for f in fuzz/*.c; do
        name=$(basename "$f" .c)
        [ "$name" = replay ] && continue
        count=$((count + 1))
        [ -n "$(find "fuzz/corpus/$name" -type f -print -quit 2>/dev/null)" ] || { echo "no corpus: fuzz/corpus/$name"; bad=1; }
        grep -q "'$name':" fuzz/meson.build || { echo "not built: fuzz/$name.c has no row in fuzz/meson.build"; bad=1; }
        grep -q 'LLVMFuzzerTestOneInput' "$f" || { echo "no target in $f"; bad=1; }
    done
    [ $count -gt 0 ] && return $bad
}
check "every_fuzz_target_has_a_corpus_and_a_row" corpora_are_there

# --- man pages
man_pages_are_sound() {
    command -v mandoc >/dev/null || { echo "mandoc is not installed"; return 77; }
    local pages=(man/*.[1-8]) bad=0 p
    for p in man/sakimori.1 man/sakimorid.8 man/sakimori-agent.8; do [ -f "$p" ] || { echo "$p is not there"; bad=1; }; done
    [ -f "${pages[0]}" ] || return 1
    mandoc -T lint -W warning "${pages[@]}" || bad=1
    return $bad
}
check "man_pages_are_there_and_sound" man_pages_are_sound

check "man_pages_name_every_command_and_every_setting" "$python" tools/check_docs.py manual

# --- documents
check "openapi_yaml_says_exactly_the_routes_of_the_table" "$python" tools/check_docs.py openapi
check "the_agent_protocol_names_every_route_of_the_agent_port" "$python" tools/check_docs.py agent
check "PROCESSES_md_names_every_message_and_no_other" "$python" tools/check_docs.py messages
check "links_and_paths_in_the_documents_lead_somewhere" "$python" tools/check_docs.py links
check "tests_named_in_THREATS_md_are_there" "$python" tools/check_docs.py tests
check "every_reason_of_a_failed_run_has_words_in_both_languages" "$python" tools/check_docs.py words
check "licence_and_notices_are_present" "$python" tools/check_docs.py notices

# --- units
units_verify() {
    command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed (package systemd)"; return 77; }
    local u bad=0
    mkdir -p "$work/units"
    # The programs are not installed here: anything executable stands in for them.
    for u in packaging/systemd/*; do sed 's|^ExecStart=/usr/sbin/[a-z-]*|ExecStart=/bin/true|' "$u" >"$work/units/$(basename "$u")"; done
    for u in "$work"/units/*; do
        systemd-analyze verify --man=no "$u" >"$work/unit" 2>&1 || bad=1
        if [ -s "$work/unit" ]; then cat "$work/unit"; bad=1; fi
    done
    return $bad
}
units_are_fenced() {
    command -v systemd-analyze >/dev/null || { echo "systemd-analyze is not installed (package systemd)"; return 77; }
    local u score bad=0
    # Tenths of systemd's "exposure", 0 (none) to 100; what the agent must be able to do costs it most of its points.
    for u in "sakimorid 40" "sakimori-agent 75"; do
        set -- $u
        score=$(systemd-analyze security --offline=yes "packaging/systemd/$1.service" 2>/dev/null | sed -n 's/.*exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
        [ -n "$score" ] || { echo "no figure for $1"; bad=1; continue; }
        [ "$((10#$score))" -le "$2" ] || { echo "$1: exposure $score of 100, at most $2"; bad=1; }
    done
    return $bad
}
check "systemd_units_verify" units_verify
check "systemd_units_stay_as_fenced_as_they_are" units_are_fenced

# --- packages
debs=${SAKIMORI_DEBS:-$work/debs}
packages_build() {
    for tool in dpkg-buildpackage dh meson; do command -v $tool >/dev/null || { echo "$tool is not installed"; return 77; }; done
    nice -n 10 packaging/build-deb.sh "$debs" || return 1
    [ "$(find "$debs" -name '*.deb' | wc -l)" = 3 ] || { ls "$debs"; return 1; }
}
package_files() { # PACKAGE FILE...
    local deb bad=0 file
    deb=$(find "$debs" -name "$1_*.deb" 2>/dev/null)
    [ -n "$deb" ] || { echo "$1 was not built"; return 1; }
    shift
    dpkg-deb -c "$deb" | awk '{print $6}' >"$work/list"
    # debhelper compresses a document once it is long enough to be worth it.
    for file in "$@"; do grep -qxF -e ".$file" -e ".$file.gz" "$work/list" || { echo "missing: $file"; bad=1; }; done
    if dpkg-deb -c "$deb" | awk '{print $1, $2}' | grep -vq ' root/root$'; then echo "a file that is not root's"; bad=1; fi
    if dpkg-deb -c "$deb" | awk '{print $1}' | grep -q '^-.*s'; then echo "a set-user-id file"; bad=1; fi
    return $bad
}
box_creates_users() {
    local deb part bad=0
    deb=$(find "$debs" -name 'sakimori-box_*.deb')
    dpkg-deb -e "$deb" "$work/box" || return 1
    grep -q 'groupadd --system sakimori' "$work/box/postinst" || { echo "no group sakimori"; bad=1; }
    # Users of the package are the users of the table of children.
    for part in $(sed -n 's/.*\.user = "_sakimori-\([a-z]*\)".*/\1/p' src/sakimorid/main.c); do
        grep -qE "for part in .*\b$part\b" "$work/box/postinst" || { echo "no user _sakimori-$part"; bad=1; }
    done
    grep -q 'systemctl\|deb-systemd' "$work/box/postinst" || { echo "the unit is not started"; bad=1; }
    if grep -rqE 'rm -rf?.*/var/lib/sakimori' "$work/box"; then echo "removing the package would remove the vault"; bad=1; fi
    return $bad
}
packaged_programs_run() {
    local p bad=0
    for p in "$debs"/*.deb; do dpkg-deb -x "$p" "$work/root" || return 1; done
    for p in usr/sbin/sakimorid usr/sbin/sakimori-agent usr/bin/sakimori; do
        "$work/root/$p" --version >"$work/version" 2>&1 || bad=1
        grep -q "$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)" "$work/version" || { echo "$p: $(cat "$work/version")"; bad=1; }
    done
    return $bad
}
# Start, answer, lose a part and go on, stop: with no more capabilities than the unit leaves, and no new privileges.
box_serves_behind_its_fence() {
    local box=$work/root/usr/sbin/sakimorid data=$work/data fence=() pid url bad=0 kid ca
    command -v curl >/dev/null || { echo "curl is not installed"; return 77; }
    if [ "$(id -u)" = 0 ]; then
        fence=(setpriv --no-new-privs --bounding-set "-all,$(sed -n 's/^CapabilityBoundingSet=//p' packaging/systemd/sakimorid.service |
            sed 's/CAP_/+/g;s/ /,/g' | tr '[:upper:]' '[:lower:]')")
    fi
    chmod 711 "$work"
    "${fence[@]}" "$box" --data "$data" --port 0 --headless --web "$work/root/usr/share/sakimori/web" >"$work/line" 2>"$work/log" &
    pid=$!
    wait_for 300 test -s "$work/line" || { cat "$work/log"; kill -9 $pid; return 1; }
    url=$(sed -n 's/.*"console_url":"\([^"]*\)".*/\1/p' "$work/line")
    ca=$(find "$data/public" -name '*.pem' -print -quit)
    curl -sS --max-time 10 ${ca:+--cacert "$ca"} ${ca:---insecure} "$url/healthz" >"$work/health" && grep -q '"ok": *true' "$work/health" ||
        { echo "healthz: $(cat "$work/health")"; bad=1; }
    curl -sS --insecure --max-time 10 "$url/" | grep -qi '<html' || { echo "no console at $url/"; bad=1; }
    kid=$(vault_of $pid)
    kill -9 "$kid" || { echo "no vault process"; bad=1; }
    wait_for 100 healthy_again "$url" "$kid" $pid || { echo "the vault process did not come back"; tail -n 20 "$work/log"; bad=1; }
    kill -TERM $pid
    wait_for 300 gone $pid || { echo "it does not end"; kill -9 $pid; bad=1; }
    wait $pid || { echo "exit $?"; tail -n 20 "$work/log"; bad=1; }
    return $bad
}
# wait_for TENTHS COMMAND...
wait_for() {
    local left=$1
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.1
    done
}
vault_of() { grep -lza -- "^--parent=$1$" /proc/[0-9]*/cmdline 2>/dev/null | while read -r f; do grep -qza -- '^--child=vault$' "$f" && basename "$(dirname "$f")"; done; }
gone() { ! kill -0 "$1" 2>/dev/null; }
healthy_again() { # URL OLD-PID PARENT
    local now
    now=$(vault_of "$3") && [ -n "$now" ] && [ "$now" != "$2" ] && curl -s --insecure --max-time 5 "$1/healthz" | grep -q '"ok": *true'
}
check "three_packages_build_without_network" packages_build
if [ -n "$(find "$debs" -name '*.deb' -print -quit 2>/dev/null)" ]; then
    check "the_box_package_has_program_console_unit_and_page" package_files sakimori-box /usr/sbin/sakimorid /usr/share/sakimori/web/index.html \
        /usr/share/sakimori/web/app.js /lib/systemd/system/sakimorid.service /usr/share/man/man8/sakimorid.8 /usr/share/man/man5/sakimori.conf.5 /usr/share/doc/sakimori-box/copyright \
        /usr/share/doc/sakimori-box/README.Debian /usr/share/doc/sakimori-box/NOTICE
    check "the_agent_package_has_program_units_and_page" package_files sakimori-agent /usr/sbin/sakimori-agent \
        /lib/systemd/system/sakimori-agent.service /lib/systemd/system/sakimori-agent.path /lib/systemd/system-sleep/sakimori-agent /usr/share/man/man8/sakimori-agent.8 \
        /usr/share/doc/sakimori-agent/copyright
    check "the_command_line_package_has_program_and_page" package_files sakimori /usr/bin/sakimori /usr/share/man/man1/sakimori.1 \
        /usr/share/doc/sakimori/copyright
    check "the_box_package_makes_a_user_for_every_part_and_never_removes_the_vault" box_creates_users
    check "the_packaged_programs_start" packaged_programs_run
    check "the_packaged_box_serves_with_no_more_rights_than_its_unit_leaves" box_serves_behind_its_fence
fi
echo "1..$n"
exit $failed
