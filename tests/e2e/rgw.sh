#!/bin/bash
# A one-node Ceph with a RADOS gateway on 127.0.0.1, for testing S3 Object Lock for real (used by rgw.mjs).
#   rgw.sh up DIR PORT MON1 MON2   start; makes the user TESTACCESS / TESTSECRET
#   rgw.sh down DIR          stop what 'up' started, by pid
# No manager daemon: it is not needed for reading and writing. Everything lives under DIR.
set -eu
cmd=$1 dir=$(realpath -m "$2") port=${3:-7480} mon1=${4:-13300} mon2=${5:-16789}
conf=$dir/ceph.conf
case $cmd in
up)
    mkdir -p "$dir"/{mon,osd,run,log}
    fsid=$(cat /proc/sys/kernel/random/uuid)
    cat >"$conf" <<C
[global]
fsid = $fsid
mon initial members = a
mon host = [v2:127.0.0.1:$mon1,v1:127.0.0.1:$mon2]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $dir/keyring
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
osd crush chooseleaf type = 0
run dir = $dir/run
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
mon data = $dir/mon
osd data = $dir/osd
osd objectstore = bluestore
bluestore block size = 2147483648
bluestore fsck on mount = false
osd memory target = 939524096
osd fast shutdown = true
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw enable usage log = true
C
    # radosgw insists on cephx, so there are keys: all in one file, for a test on loopback only
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
    for n in client.admin client.rgw.a osd.0; do
        ceph-authtool "$dir/keyring" --gen-key -n $n --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
    done
    monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon1,v1:127.0.0.1:$mon2]" "$dir/monmap" >/dev/null
    ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring"
    ceph-mon -c "$conf" -i a
    ceph -c "$conf" osd new "$(cat /proc/sys/kernel/random/uuid)" 0 >/dev/null 2>&1 || true
    uuid=$(ceph -c "$conf" osd dump -f json | python3 -c 'import json,sys; print(json.load(sys.stdin)["osds"][0]["uuid"])')
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$uuid"
    ceph -c "$conf" osd crush add osd.0 1.0 root=default host="$(hostname -s)" >/dev/null 2>&1
    ceph-osd -c "$conf" -i 0
    for _ in $(seq 60); do ceph -c "$conf" osd stat 2>/dev/null | grep -q '1 up' && break; sleep 0.5; done
    radosgw -c "$conf" -n client.rgw.a
    for _ in $(seq 120); do (exec 3<>/dev/tcp/127.0.0.1/"$port") 2>/dev/null && break; sleep 0.5; done
    radosgw-admin -c "$conf" user create --uid clinic --display-name clinic --access-key TESTACCESS --secret TESTSECRET \
        >"$dir/user.json" 2>/dev/null
    ;;
down)
    for n in client.rgw.a osd.0 mon.a; do
        p=$dir/run/$n.pid
        [ -f "$p" ] && kill "$(cat "$p")" 2>/dev/null || true
    done
    ;;
esac
