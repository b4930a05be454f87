#!/usr/bin/env bash
# The three packages in a Debian of their own: installed, booted with systemd-nspawn, set up, a backup made, upgraded, a downgrade refused,
# removed and purged.  TAP on standard output; run from anywhere.  SAKIMORI_DEBS: a folder with the packages (else they are built).
# The root is made with mmdebstrap from the apt mirror of this machine and kept in build/packages/root-*.tar for 30 days; without mirror,
# mmdebstrap or root the test is skipped, with its reason.  Where a container does not boot, the units are verified within it by hand.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
cache=$top/build/packages
mkdir -p "$cache"
work=$(mktemp -d)
machine=$work/root
nspawn=
leader=
n=0
end() {
    [ -n "$nspawn" ] && { [ -n "$leader" ] && nsenter -t "$leader" -a poweroff -f >/dev/null 2>&1; kill "$nspawn" 2>/dev/null; wait "$nspawn" 2>/dev/null; }
    mountpoint -q "$machine" && umount -R "$machine"
    rm -rf --one-file-system "$work"
}
trap end EXIT
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
# check NAME COMMAND...: its output says what is wrong.
check() {
    local name=$1
    shift
    n=$((n + 1))
    if "$@" >"$work/said" 2>&1; then echo "ok $n - $name"; return 0; fi
    echo "not ok $n - $name"
    tail -n 40 "$work/said" | cut -c1-300 | sed 's/^/# /'
    return 1
}
all="packages_install_and_boot_in_a_debian_of_their_own"
[ "$(id -u)" = 0 ] || { skip $all "only root can make a container"; echo "1..$n"; exit 0; }
for tool in mmdebstrap systemd-nspawn dpkg-deb nsenter; do command -v $tool >/dev/null || { skip $all "$tool is not installed (packaging/packages.txt)"; echo "1..$n"; exit 0; }; done

# --- packages, and the same ones as a version before and one after
debs=${SAKIMORI_DEBS:-$work/debs}
if [ "$(find "$debs" -name '*.deb' 2>/dev/null | wc -l)" != 3 ]; then
    nice packaging/build-deb.sh "$debs" >"$work/built" 2>&1 || { n=1; echo "not ok 1 - packages_build"; sed 's/^/# /' "$work/built"; echo "1..1"; exit 1; }
fi
version=$(dpkg-deb -f "$(find "$debs" -name 'sakimori-box_*.deb')" Version)
as_version() { # VERSION FOLDER: only its number is another; what counts here is what dpkg and the scripts do.
    local deb dir
    mkdir -p "$2"
    for deb in "$debs"/*.deb; do
        dir=$work/again
        rm -rf "$dir"
        dpkg-deb -R "$deb" "$dir"
        sed -i "s/^Version: .*/Version: $1/" "$dir/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone -b "$dir" "$2" >/dev/null
    done
}
# --- the root
needed=$(for d in "$debs"/*.deb; do dpkg-deb -f "$d" Depends; done | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/[[:space:]]//g' | grep -v -e '^sakimori' -e '^$' | sort -u | paste -sd,)
root_tar=$cache/root-$(echo "$needed" | sha256sum | cut -c1-12).tar
find "$cache" -name 'root-*.tar' -mtime +30 -delete
if [ ! -s "$root_tar" ]; then
    sources=$(ls /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
    if ! timeout 180 mmdebstrap --quiet --variant=minbase --include="systemd,systemd-sysv,dbus,procps,$needed" bookworm "$work/root.tar" "$sources" >"$work/made" 2>&1; then
        skip $all "no root could be made from the apt mirror: $(tail -n 1 "$work/made" | cut -c1-120)"
        echo "1..$n"
        exit 0
    fi
    mv "$work/root.tar" "$root_tar"
fi
mkdir -p "$machine/debs"
tar -xf "$root_tar" -C "$machine"
: >"$machine/etc/machine-id"
as_version 0.0.1 "$machine/debs/older"
as_version "$version" "$machine/debs/this"
as_version "$version+1" "$machine/debs/newer"

# --- what lintian would say first
basics() {
    local deb bad=0 f name
    for deb in "$debs"/*.deb; do
        dir=$work/look
        rm -rf "$dir"
        dpkg-deb -R "$deb" "$dir"
        name=$(dpkg-deb -f "$deb" Package)
        [ -f "$dir/usr/share/doc/$name/copyright" ] || { echo "$name: no copyright"; bad=1; }
        [ -f "$dir/usr/share/doc/$name/changelog.gz" ] || [ -f "$dir/usr/share/doc/$name/changelog.Debian.gz" ] || { echo "$name: no changelog"; bad=1; }
        [ "$(dpkg-deb -f "$deb" Description | wc -l)" -ge 3 ] || { echo "$name: no long description"; bad=1; }
        find "$dir/usr" "$dir/lib" "$dir/etc" \( -perm /6000 -o -perm /022 -type f -o -path '*/usr/local/*' \) 2>/dev/null | grep . && bad=1
        for f in $(find "$dir" -path "$dir/DEBIAN" -prune -o -type f -perm /111 -print); do
            head -c 4 "$f" | grep -q 'ELF' || continue
            file_strip=$(objdump -h "$f" 2>/dev/null | grep -c '\.debug_info')
            [ "$file_strip" = 0 ] || { echo "$f is not stripped"; bad=1; }
            readelf -d "$f" | grep -qi 'runpath\|rpath' && { echo "$f has a run path"; bad=1; }
        done
        for f in "$dir"/DEBIAN/{preinst,postinst,prerm,postrm}; do
            [ -f "$f" ] || continue
            grep -q '^set -e' "$f" || { echo "$f: not set -e"; bad=1; }
            sh -n "$f" || bad=1
        done
    done
    return $bad
}
check "packages_have_what_lintian_asks_for_first" basics

# --- boot
boot() {
    systemd-nspawn -q --boot --register=no --keep-unit -D "$machine" --private-network --console=pipe </dev/null >"$work/console" 2>&1 &
    nspawn=$!
    local i p
    for i in $(seq 150); do
        kill -0 "$nspawn" 2>/dev/null || break
        leader=
        for p in $(pgrep -P "$nspawn"; for q in $(pgrep -P "$nspawn"); do pgrep -P "$q"; done); do [ "$(cat /proc/"$p"/comm 2>/dev/null)" = systemd ] && leader=$p; done
        [ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' && return 0
        sleep 0.2
    done
    kill "$nspawn" 2>/dev/null
    wait "$nspawn" 2>/dev/null
    nspawn=
    return 1
}
in_it() { nsenter -t "$leader" -a env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
sak() { in_it sakimori --lang en "$@"; }
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "waited in vain: $*"; "$@" 2>&1 | tail -n 5; return 1; }
        sleep 0.3
    done
}
by_hand() { # no container: the same root, its scripts and its units, without a manager
    chroot "$machine" sh -c 'dpkg -i /debs/this/*.deb' || return 1
    chroot "$machine" sh -c 'systemd-analyze verify --man=no sakimorid.service sakimori-agent.service sakimori-agent.path' || return 1
    chroot "$machine" getent passwd _sakimori-vault _sakimori-keyd _sakimori-backup _sakimori-proof || return 1
    chroot "$machine" sakimori --version && chroot "$machine" sakimorid --version && chroot "$machine" sakimori-agent --version || return 1
    chroot "$machine" sh -c 'dpkg -i /debs/newer/*.deb && dpkg --purge sakimori-box sakimori-agent sakimori'
}
if ! boot; then
    check "without_a_container_the_packages_install_and_the_units_verify_in_a_chroot" by_hand
    skip $all "no container boots here: $(tail -n 1 "$work/console" | tr -d '\r' | cut -c1-100)"
    echo "1..$n"
    exit 0
fi

installs() {
    in_it sh -c 'apt-get install -y /debs/this/*.deb' || return 1
    until_true 60 in_it systemctl -q is-active sakimorid.service || { in_it journalctl -u sakimorid --no-pager | tail -n 20; return 1; }
    in_it systemctl -q is-active sakimori-agent.path || return 1
    in_it systemctl --failed --no-legend | grep . && return 1
    return 0
}
fenced() {
    local part uid bad=0 pid
    for part in front keyd brain vault; do
        uid=$(in_it id -u "_sakimori-$part") || return 1
        in_it sh -c "for p in /proc/[0-9]*; do [ \"\$(awk '/^Uid:/{print \$2}' \$p/status 2>/dev/null)\" = $uid ] && grep -q 'Seccomp:.*2' \$p/status && grep -q 'NoNewPrivs:.*1' \$p/status && exit 0; done; exit 1" || { echo "$part does not run as its user, or without its filter"; bad=1; }
        in_it getent passwd "_sakimori-$part" | grep -q ':/nonexistent:/usr/sbin/nologin$' || { echo "$part can sign in"; bad=1; }
    done
    [ "$(in_it stat -c '%a %U' /var/lib/sakimori)" = "711 root" ] || { in_it stat -c '%a %U' /var/lib/sakimori; bad=1; }
    for part in keys:keyd state:brain vault:vault; do
        [ "$(in_it stat -c '%a %U' "/var/lib/sakimori/${part%%:*}")" = "700 _sakimori-${part##*:}" ] || { echo "$part: $(in_it stat -c '%a %U' "/var/lib/sakimori/${part%%:*}")"; bad=1; }
    done
    in_it systemd-analyze verify --man=no sakimorid.service sakimori-agent.service sakimori-agent.path || bad=1
    for part in "sakimorid 40" "sakimori-agent 75"; do
        set -- $part
        score=$(in_it systemd-analyze security "$1.service" 2>/dev/null | sed -n 's/.*exposure level for [^:]*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
        [ -n "$score" ] && [ "$((10#$score))" -le "$2" ] || { echo "$1: exposure ${score:-?} of 100, at most $2"; bad=1; }
    done
    return $bad
}
sets_up() {
    local code
    code=$(in_it journalctl -u sakimorid --no-pager -o cat | grep -A4 'code for the first set-up' | grep -oE '^ +[A-Za-z0-9-]+$' | tr -d ' ' | head -n 1)
    [ -n "$code" ] || { in_it journalctl -u sakimorid --no-pager | tail -n 20; return 1; }
    mkdir -m 0700 -p "$machine/root"
    (umask 077; cat >"$machine/root/answers" <<JSON
{"code":"$code","institution":{"name":"試験医院","kind":"clinic","phone":"03-0000-0000","responsible":{"name":"見本 花子","title":"事務長","phone":"090-0000-0000"}},"director":{"account":"incho","name":"見本 花子","password":"Aoi-sora 3 mai no kippu"}}
JSON
    )
    sak setup --answers /root/answers --sheet /root/sheet --sign-in || return 1
    [ "$(in_it stat -c %a /root/sheet)" = 600 ] || { echo "the sheet can be read by others"; return 1; }
    # The agent beside the box joins by itself.
    until_true 60 in_it systemctl -q is-active sakimori-agent.service && until_true 60 sh -c "nsenter -t $leader -a sakimori --json devices list | grep -q joined"
}
backs_up() {
    mkdir -p "$machine/srv/karte"
    for i in 1 2 3 4 5; do head -c 200000 /dev/urandom >"$machine/srv/karte/p$i"; done
    sak source add 電子カルテ --path /srv/karte --every day --at 02:00 || return 1
    sak backup run 電子カルテ --wait || return 1
    sak status | tee "$work/status"
    sak --json generations list >"$work/generations"
    grep -q '"id"' "$work/generations"
}
upgrades() {
    in_it md5sum /var/lib/sakimori/sakimori.conf >"$work/conf"
    in_it sh -c 'echo "# of the administrator" >>/var/lib/sakimori/sakimori.conf' || return 1
    in_it sh -c 'apt-get install -y /debs/newer/*.deb' || return 1
    until_true 60 in_it systemctl -q is-active sakimorid.service || return 1
    in_it grep -q 'of the administrator' /var/lib/sakimori/sakimori.conf || { echo "the settings were replaced"; return 1; }
    until_true 60 sh -c "nsenter -t $leader -a sakimori --json generations list | grep -q '\"id\"'" || return 1
    sak --json generations list >"$work/after"
    diff <(grep -o '"id": *"[0-9a-f]*"' "$work/generations") <(grep -o '"id": *"[0-9a-f]*"' "$work/after") || { echo "other generations than before"; return 1; }
    echo x >>"$machine/srv/karte/p1"
    until_true 60 sh -c "nsenter -t $leader -a sakimori backup run 電子カルテ --wait"
}
no_way_back() {
    if in_it sh -c 'apt-get install -y /debs/older/*.deb' >"$work/older" 2>&1; then echo "a downgrade was let through"; return 1; fi
    cat "$work/older"
    grep -qi 'downgrade' "$work/older" || { echo "it was refused for another reason"; return 1; }
    in_it dpkg-query -W -f '${Version}\n' sakimori-box sakimori-agent sakimori | sort -u | grep -qx "$version+1" || return 1
    in_it systemctl -q is-active sakimorid.service
}
newer_vault_refused() {
    in_it sh -c 'cp -r /var/lib/sakimori/vault /root/vault && sed -i "1s/[0-9]*$/9/" /root/vault/format && cat /root/vault/format'
    if sak vault verify --vault /root/vault; then echo "a vault of a later format was read"; return 1; fi
    in_it cp /var/lib/sakimori/vault/format /root/vault/format
    sak vault verify --vault /root/vault
}
purges() {
    # A joined agent is not removed without an order of its box, or the mark that root leaves when the box is dead.
    if in_it sh -c 'dpkg --remove sakimori-agent' >/dev/null 2>&1; then echo "the agent was removed without an order"; return 1; fi
    in_it sh -c 'systemctl is-active sakimori-agent.service' | grep -qx active || { echo "the refused removal stopped the agent"; return 1; }
    in_it touch /run/sakimori-agent.remove
    in_it sh -c 'dpkg --purge sakimori-agent sakimori-box' || return 1
    in_it sh -c 'systemctl is-active sakimorid.service sakimori-agent.service' | grep -qx active && { echo "something still runs"; return 1; }
    in_it test -s /var/lib/sakimori/vault/format && [ -n "$(find "$machine/var/lib/sakimori/vault/packs" -name '*.skp' -print -quit)" ] || { echo "the vault is gone"; return 1; }
    # The command line alone still reads it, and so does the same package again.
    sak vault verify --vault /var/lib/sakimori/vault || return 1
    in_it sh -c 'dpkg -i /debs/newer/*.deb' && until_true 60 in_it systemctl -q is-active sakimorid.service || return 1
    until_true 60 sh -c "nsenter -t $leader -a sakimori --json generations list | grep -q '\"id\"'"
}
check $all installs || { echo "1..$n"; exit 1; }
check "installed_parts_run_as_their_users_with_their_filters_and_folders" fenced
check "an_installed_box_is_set_up_and_the_agent_beside_it_joins" sets_up
check "an_installed_box_makes_a_backup" backs_up
check "an_upgrade_keeps_settings_generations_and_goes_on" upgrades
check "a_downgrade_is_refused_and_changes_nothing" no_way_back
check "a_vault_of_a_later_format_is_refused_not_misread" newer_vault_refused
check "a_purge_keeps_the_vault_and_a_new_installation_finds_it" purges
echo "1..$n"
