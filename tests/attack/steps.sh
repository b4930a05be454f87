#!/bin/sh
# Harmless attackers out of trusted programs, each step another process of one tree: steps.sh SHAPE FOLDER.
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
shred) each | while IFS= read -r f; do shred -u -n 1 "$f"; done ;;
dd) each | while IFS= read -r f; do dd if=/dev/urandom of="$f" bs=$(stat -c %s "$f") count=1 conv=notrunc 2>/dev/null; done ;;
find_exec)
    find "$folder" -type f ! -name .sakimori-range -exec openssl enc -aes-128-ctr -nosalt -pass "pass:$key" -pbkdf2 -iter 1 -in {} -out {}.e \;
    find "$folder" -type f ! -name .sakimori-range ! -name '*.e' -delete ;;
xargs_gpg)
    home=$(mktemp -d) || exit 1
    each | tr '\n' '\0' | xargs -0 -P4 -I{} sh -c 'gpg --homedir "$1" --batch --yes -q --pinentry-mode loopback --passphrase "$2" -c "$3" && rm -f "$3"' sh "$home" "$key" {}
    rm -rf "$home" ;;
openssl_mv)
    each | while IFS= read -r f; do
        openssl enc -aes-256-cbc -nosalt -pass "pass:$key" -pbkdf2 -iter 1 -in "$f" -out "$f.t" && mv "$f.t" "$f"
    done ;;
openssl_letters)
    each | while IFS= read -r f; do
        openssl enc -aes-256-cbc -a -pass "pass:$key" -pbkdf2 -iter 1 -in "$f" -out "$f.t" && mv -f "$f.t" "$f"
    done ;;
tar_openssl)
    cd "$folder" && tar cf - --exclude=.sakimori-range --exclude=x . | openssl enc -aes-256-cbc -pass "pass:$key" -pbkdf2 -iter 1 > x
    for d in *; do [ "$d" = x ] || rm -rf "$d"; done ;;
7z_parts)
    each | while IFS= read -r f; do 7z a -bd -y "-p$key" -sdel "$f.7z" "$f" >/dev/null; done ;;
zip_parts) find "$folder" -type d | while IFS= read -r d; do (cd "$d" && find . -maxdepth 1 -type f ! -name .sakimori-range ! -name '*.zip' | zip -q -m -P "$key" p.zip -@ 2>/dev/null); done ;;
rsync_pipe)
    mkdir "$folder/../plain.$$" && rsync -a --remove-source-files --exclude .sakimori-range "$folder/" "$folder/../plain.$$/"
    tar cf - -C "$folder/../plain.$$" . | openssl enc -aes-256-cbc -pass "pass:$key" -pbkdf2 -iter 1 > "$folder/backup"; rm -rf "$folder/../plain.$$" ;;
perl) each | tr '\n' '\0' | xargs -0 perl -0777 -pi -e 's/(.)/chr(ord($1) ^ int(rand(256)))/ges' ;;
sed) each | tr '\n' '\0' | xargs -0 sed -i 's/./#/g' ;;
*) echo "steps.sh openssl|gpg|7z|zip|zip_rm|shred|dd|find_exec|xargs_gpg|openssl_mv|openssl_letters|tar_openssl|7z_parts|zip_parts|rsync_pipe|perl|sed FOLDER" >&2; exit 2 ;;
esac
