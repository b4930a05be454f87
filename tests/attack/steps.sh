#!/bin/sh
# Harmless attackers out of trusted programs, each step another process of one tree: steps.sh openssl|gpg|7z|zip FOLDER.
# Only below folders that range.py made; no network; nothing stays.
set -u
shape=${1:-} folder=${2:-}
mark='files below may be destroyed by tests'
[ -f "$folder/.sakimori-range" ] && [ "$(cat "$folder/.sakimori-range")" = "$mark" ] || { echo "steps.sh: not a folder made for this" >&2; exit 2; }
key=$(head -c 24 /dev/urandom | base64)
each() { find "$folder" -type f ! -name .sakimori-range | sort | head -n 20000; }
case $shape in
openssl)
    each | while IFS= read -r f; do
        openssl enc -aes-256-cbc -pass "pass:$key" -pbkdf2 -iter 1 -in "$f" -out "$f.enc" && rm -f "$f"
    done ;;
gpg)
    home=$(mktemp -d) || exit 1
    each | while IFS= read -r f; do
        gpg --homedir "$home" --batch --yes -q --pinentry-mode loopback --passphrase "$key" -c "$f" && rm -f "$f"
    done
    rm -rf "$home" ;;
7z) cd "$folder" && 7z a -bd -y "-p$key" -mhe=on -sdel all.7z . -x!.sakimori-range >/dev/null ;;
zip) cd "$folder" && zip -q -r -m -P "$key" all.zip . -x .sakimori-range ;;
zip_rm) cd "$folder" && zip -q -r -P "$key" all.zip . -x .sakimori-range all.zip && each | grep -v 'all.zip$' | while IFS= read -r f; do rm -f "$f"; done ;;
*) echo "steps.sh openssl|gpg|7z|zip|zip_rm FOLDER" >&2; exit 2 ;;
esac
