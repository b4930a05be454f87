# Sourced by ./run and ./test: install what is missing.  need GROUP... reads packaging/packages.txt.
need() {
    local groups="$*" want=() p g
    while read -r g p _; do
        case "$g" in ''|'#'*) continue ;; esac
        case " $groups " in *" $g "*) ;; *) continue ;; esac
        # A newer node that is already there serves as well as Debian's own.
        case "$p" in nodejs|npm) command -v "${p%js}" >/dev/null 2>&1 && continue ;; esac
        dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || want+=("$p")
    done <"$top/packaging/packages.txt"
    [ ${#want[@]} -eq 0 ] && return 0
    local root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "These packages are missing and there is no sudo; ask the administrator: ${want[*]}" >&2; return 1; }
        root=(sudo)
    fi
    echo "Installing: ${want[*]}" >&2
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >&2
}
# build_tree DIR MESON-OPTIONS...: configure once, then build what is stale.
build_tree() {
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] || meson setup "$dir" "$top" "$@" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; return 1; }
    ninja -C "$dir" >"$dir.log" 2>&1 || { grep -E 'error|FAILED|warning: unused' -A5 "$dir.log" | head -60 >&2; echo "The build failed; all of it is in $dir.log" >&2; return 1; }
}
# build_web: bundle the console when a source file is newer than the bundle.
build_web() {
    local stamp="$top/web/dist/.built"
    if [ ! -f "$stamp" ] || [ -n "$(find "$top/web" -path "$top/web/node_modules" -prune -o -path "$top/web/dist" -prune -o -type f -newer "$stamp" -print -quit)" ]; then
        if [ ! -d "$top/web/node_modules" ] || [ "$top/web/package-lock.json" -nt "$top/web/node_modules/.package-lock.json" ]; then
            (cd "$top/web" && npm ci --no-audit --no-fund --loglevel=error >&2) || return 1
        fi
        (cd "$top/web" && npm run --silent build >&2) && touch "$stamp"
    fi
}
