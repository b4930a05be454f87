#!/usr/bin/env bash
# Build the three Debian packages: packaging/build-deb.sh OUTDIR
# No network: compilers and libraries must be there (packaging/packages.txt, groups build and test), the console must be built (web/dist).
# Works in a copy of the tree, so that the tree stays as it is.  SOURCE_DATE_EPOCH is the changelog's (debhelper).
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
[ $# = 1 ] || { echo "usage: packaging/build-deb.sh OUTDIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ -f "$top/web/dist/index.html" ] || { echo "web/dist is not there: build the console first (cd web && npm ci && npm run build)" >&2; exit 1; }
for tool in dpkg-buildpackage dh meson ninja; do
    command -v "$tool" >/dev/null || { echo "$tool is missing (packaging/packages.txt)" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/sakimori
mkdir "$tree"
# Nothing that lies around: no history, no build folders, no node_modules.
(cd "$top" && tar -cf - --exclude=./.git --exclude='./build*' --exclude=./out --exclude=node_modules .) | tar -xf - -C "$tree"
rm -f "$tree/web/dist/.built"
cp -r "$top/packaging/debian" "$tree/debian"
cp "$top/packaging/systemd/sakimorid.service" "$tree/debian/sakimori-box.sakimorid.service"
export DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=2} nocheck noautodbgsym" LC_ALL=C.UTF-8
if ! (cd "$tree" && dpkg-buildpackage -b -us -uc -d --no-sign) >"$out/build.log" 2>&1; then
    tail -n 25 "$out/build.log" | cut -c1-240 >&2
    echo "the packages could not be built; all of it is in $out/build.log" >&2
    exit 1
fi
mv "$work"/*.deb "$out"/
ls "$out"/*.deb
