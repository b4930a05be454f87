#!/usr/bin/env python3
"""A tree with all that Linux can say of files: make one, change it by a day, and tell everything of it as JSON.
   tree.py make DIR DATA [small] | day DIR N | show DIR"""
import fcntl, hashlib, json, os, random, shutil, stat, struct, subprocess, sys, tarfile

GETFLAGS = 0x80086601
KEPT_FLAGS = 0x40 | 0x80 | 0x20 | 0x10  # nodump, noatime, append, immutable


def write(path, data, mode=0o644, when=1700000000123456789):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(when, when))


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


def extras(d):
    root = os.geteuid() == 0
    none = 0xFFFFFFFF
    os.makedirs(d)
    write(d + b"/acl.txt", b"who may read\n")
    a = acl((1, 6, none), (2, 4, 1234), (4, 4, none), (16, 6, none), (32, 0, none))
    os.setxattr(d + b"/acl.txt", "system.posix_acl_access", a)
    os.mkdir(d + b"/acl-dir", 0o2775)
    os.setxattr(d + b"/acl-dir", "system.posix_acl_default", acl((1, 7, none), (2, 5, 1234), (4, 5, none), (16, 7, none), (32, 0, none)))
    write(d + b"/xattr.bin", bytes(range(256)))
    os.setxattr(d + b"/xattr.bin", "user.karte.number", b"0000001\x00\xff")
    os.setxattr(d + b"/xattr.bin", b"user.\xe6\x97\xa5\xe6\x9c\xac", b"x" * 900)
    write(d + b"/hard-a", b"one file, three names\n" * 50)
    os.link(d + b"/hard-a", d + b"/hard-b")
    os.mkdir(d + b"/deep")
    os.link(d + b"/hard-a", d + b"/deep/hard-c")
    with open(d + b"/sparse.img", "wb") as f:
        f.write(b"begin")
        f.seek(5 << 20)
        f.write(b"middle")
        f.truncate(12 << 20)
    with open(d + b"/all-hole", "wb") as f:
        f.truncate(3 << 20)
    os.symlink(b"../nowhere/\xff\xfe", d + b"/broken-link")
    os.symlink(b"/etc/passwd", d + b"/absolute-link")
    os.symlink(b"acl-dir", d + b"/dir-link")
    write(d + b"/" + "紹介状_山田太郎.txt".encode("cp932"), "シフトJIS".encode("cp932"))
    write(d + b"/" + b"\x01 tab\tnew\nline \\ \"quote\" *", b"odd name\n")
    write(d + b"/" + b"n" * 255, b"long name\n")
    write(d + b"/" + ("長" * 85).encode(), b"long name of three-byte letters\n")
    long = d
    for i in range(12):
        long += b"/" + (b"folder-%02d-" % i) + b"x" * 60
        os.mkdir(long)
    write(long + b"/deep.txt", b"deep\n")
    for mode in (0o000, 0o400, 0o111, 0o777, 0o4755, 0o2711):
        write(d + b"/mode-%04o" % mode, b"mode %o\n" % mode, mode)
    os.mkdir(d + b"/sticky", 0o1777)
    os.chmod(d + b"/sticky", 0o1777)
    os.mkdir(d + b"/closed", 0o700)
    write(d + b"/closed/inside", b"inside\n", 0o600, -86400 * 10**9 * 365 * 5 + 7)
    os.chmod(d + b"/closed", 0o500)
    write(d + b"/empty", b"")
    write(d + b"/future", b"2099\n", 0o644, 4102444800 * 10**9 + 1)
    os.mkfifo(d + b"/fifo", 0o640)
    if root:
        write(d + b"/owned", b"of somebody\n")
        os.chown(d + b"/owned", 1234, 5678)
        os.lchown(d + b"/broken-link", 4321, 8765)
        os.mknod(d + b"/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.setxattr(d + b"/hard-a", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    rnd = random.Random(5)
    write(d + b"/large.bin", bytes(rnd.getrandbits(8) for _ in range(1 << 20)) + b"\0" * (1 << 20) + b"text " * 400000)


def make(d, data, small):
    os.makedirs(d, exist_ok=True)
    shutil.copytree(os.path.realpath(os.path.join(data, b"standard_root")), os.path.join(d, b"standard_root"))
    archive = tarfile.open(os.path.join(data, b"synthetic-300-patients.tar.gz").decode())
    for i, m in enumerate(archive):
        if small and i > 400:
            break
        archive.extract(m, d.decode())
    extras(os.path.join(d, "その他".encode()))


def regular(d):
    out = []
    for at, dirs, files in os.walk(d):
        dirs.sort()
        for n in sorted(files):
            p = os.path.join(at, n)
            s = os.lstat(p)
            if stat.S_ISREG(s.st_mode) and s.st_nlink == 1 and s.st_size and not n.startswith(b".") and "その他".encode() not in p:
                out.append(p)
    return out


def day(d, n):
    """What a day at a clinic changes: a few files altered, a few new, one gone."""
    all_files = regular(d)
    rnd = random.Random(n)
    picked = rnd.sample(all_files, min(len(all_files), 24))
    for p in picked[:8]:
        with open(p, "ab") as f:
            f.write(b"OBX|1|ST|day %d\r" % n)
    for p in picked[8:20]:
        with open(p, "rb") as f:
            write(p + b"_%d" % n, f.read() + b"NTE|1||%d\r" % n)
    os.unlink(picked[20])
    print(json.dumps({"changed": 8, "new": 12, "deleted": 1}))


def one(p, inodes, name):
    s = os.lstat(p)
    row = {"mode": s.st_mode, "uid": s.st_uid, "gid": s.st_gid, "mtime": s.st_mtime_ns}
    try:
        row["xattr"] = {n if isinstance(n, str) else n.decode("latin1"): os.getxattr(p, n, follow_symlinks=False).hex() for n in sorted(os.listxattr(p, follow_symlinks=False))}
    except OSError as e:
        row["xattr"] = str(e)
    if stat.S_ISLNK(s.st_mode):
        row["target"] = os.readlink(p).hex()
    if stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode):
        row["rdev"] = s.st_rdev
    if stat.S_ISREG(s.st_mode):
        row["size"] = s.st_size
        row["sparse"] = s.st_blocks * 512 < s.st_size // 2
        if s.st_nlink > 1:
            row["same_as"] = inodes.setdefault((s.st_dev, s.st_ino), name)
        try:
            with open(p, "rb") as f:
                row["sha256"] = hashlib.sha256(f.read()).hexdigest()
                buf = bytearray(8)
                fcntl.ioctl(f, GETFLAGS, buf)
                row["flags"] = struct.unpack("<q", buf)[0] & KEPT_FLAGS
        except OSError as e:
            row["unreadable"] = e.errno
    return row


def show(d):
    rows, inodes = {}, {}
    todo = [d]
    while todo:
        p = todo.pop()
        name = os.path.relpath(p, d).hex() if p != d else ""
        rows[name] = one(p, inodes, name)
        if stat.S_ISDIR(os.lstat(p).st_mode):
            try:
                todo += sorted((os.path.join(p, n) for n in os.listdir(p)), reverse=True)
            except OSError as e:
                rows[name]["unreadable"] = e.errno
    json.dump(rows, sys.stdout, sort_keys=True)


def main(argv):
    d = os.fsencode(argv[2])
    if argv[1] == "make":
        make(d, os.fsencode(argv[3]), len(argv) > 4)
    elif argv[1] == "day":
        day(d, int(argv[3]))
    else:
        show(d)


main(sys.argv)
