#!/bin/sh
# The attackers of ours refuse folders that were not made for them, and destroy what was: ranges.sh QUICK SCRIPTS
set -eu
quick=$1 here=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=/usr/bin/python3
[ -x $python ] || python=python3
"$python" "$here/range.py" make "$work/good" 24
mkdir "$work/bad"
echo precious > "$work/bad/a.txt"
echo 'files below' > "$work/bad/.sakimori-range"
for attack in "$quick in_place" "$here/scripted.py python" "$here/disguised.py every_16th" "$here/steps.sh openssl"; do
    case $attack in *.py*) attack="$python $attack" ;; esac
    if $attack "$work/bad" 2>/dev/null; then echo "it did not refuse: $attack"; exit 1; fi
done
[ "$(cat "$work/bad/a.txt")" = precious ]
"$python" "$here/range.py" list "$work/good" > "$work/list"
for attack in "$quick in_place" "$quick copy_delete" "$here/scripted.py letters" "$here/steps.sh openssl" "$here/steps.sh shred" \
    "$here/disguised.py every_16th" "$here/disguised.py gz_beside" "$here/disguised.py unnamed" "$here/disguised.py staged" "$here/disguised.py one_folder_first"; do
    cp -a "$work/good" "$work/try"
    case $attack in *.py*) attack="$python $attack" ;; esac
    $attack "$work/try"
    "$python" "$here/range.py" compare "$work/try" "$work/list" | grep -q '"touched": 24, "same": 0' || { echo "it left some: $attack"; exit 1; }
    rm -rf "$work/try"
done
"$python" "$here/range.py" compare "$work/good" "$work/list" | grep -q '"touched": 0, "same": 24'
