#!/usr/bin/env python3
"""Harmless attackers of other constructions: disguised.py SHAPE FOLDER.  What they write is made to look like something else, changed in
few places, or done in an order that shows little.  Only below folders that range.py made; no network; nothing stays."""
import base64, bz2, ctypes, gzip, hashlib, io, lzma, mmap, os, random, shutil, struct, subprocess, sys, tarfile, time, zipfile, zlib
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from range import is_range  # noqa: E402
from scripted import files, keystream, read, write  # noqa: E402

KEY = os.urandom(32)


def cipher(data, p=b''):
    return keystream(data, KEY + os.fsencode(p))


def each(folder, one):
    for p in files(folder):
        if os.path.getsize(p):
            one(p)


def in_place(make):
    """The same file, opened once, written over from the beginning; cut or longer as it comes."""
    def one(p):
        with open(p, 'r+b') as f:
            data = make(f.read(), p)
            f.seek(0)
            f.write(data)
            f.truncate()
    return lambda folder: each(folder, one)


def beside(make, ending):
    def one(p):
        write(p + ending, make(read(p), p))
        os.unlink(p)
    return lambda folder: each(folder, one)


def letters_turned(data, _):
    a, b = b'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ', b'nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM'
    return data.translate(bytes.maketrans(a, b))


def code_book(data, _):
    """Blocks of eight bytes, each always turned into the same other one, as DES in ECB."""
    data += bytes(-len(data) % 8)
    return b''.join(hashlib.blake2b(data[i:i + 8], key=KEY, digest_size=8).digest() for i in range(0, len(data), 8))


def some_bytes(step, at=0):
    def make(data, p):
        out, key = bytearray(data), cipher(bytes(len(data) // step + 1), p)
        part = out[at::step]
        out[at::step] = bytes(a ^ b for a, b in zip(part, key))
        return bytes(out)
    return make


def part(begin, end):
    """Of the file's length, or at most that many bytes."""
    def make(data, p):
        a = int(begin * len(data)) if abs(begin) <= 1 else max(0, len(data) + begin) if begin < 0 else begin
        b = int(end * len(data)) if 0 < end <= 1 else end if end else len(data)
        return data[:a] + cipher(data[a:b], p) + data[b:]
    return make


def zip_of_cipher(data, p):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w', zipfile.ZIP_STORED) as z:
        z.writestr('data.bin', cipher(data, p))
    return b.getvalue()


def tar_of_cipher(data, p):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode='w') as t:
        i = tarfile.TarInfo('data.bin')
        i.size = len(data)
        t.addfile(i, io.BytesIO(cipher(data, p)))
    return b.getvalue()


def wave(data, p):
    c = cipher(data, p)
    return b'RIFF' + struct.pack('<I', 36 + len(c)) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 8000, 8000, 1, 8) + b'data' + struct.pack('<I', len(c)) + c


def bitmap(data, p):
    c = cipher(data, p)
    side = max(1, int((len(c) / 3) ** 0.5)) // 4 * 4 or 4
    return b'BM' + struct.pack('<IHHI', 54 + len(c), 0, 0, 54) + struct.pack('<IiiHHIIiiII', 40, side, side, 1, 24, 0, len(c), 0, 0, 0, 0) + c


def png(data, p):
    c = zlib.compress(cipher(data, p), 0)
    chunk = lambda t, d: struct.pack('>I', len(d)) + t + d + struct.pack('>I', zlib.crc32(t + d))  # noqa: E731
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 64, 64, 8, 2, 0, 0, 0)) + chunk(b'IDAT', c) + chunk(b'IEND', b'')


def head_kept_xor(data, p):
    """The first 512 bytes stay, the rest under a key of four bytes."""
    rest = data[512:]
    key = (KEY[:4] * (len(rest) // 4 + 1))[:len(rest)]
    return data[:512] + (int.from_bytes(rest, 'little') ^ int.from_bytes(key, 'little')).to_bytes(len(rest), 'little')


def xor(key):
    def make(data, p):
        k = (key * (len(data) // len(key) + 1))[:len(data)]
        return (int.from_bytes(data, 'little') ^ int.from_bytes(k, 'little')).to_bytes(len(data), 'little')
    return make


def hexadecimal(data, p):
    return cipher(data, p).hex().encode()


def base32(data, p):
    return base64.b32encode(cipher(data, p))


def base85(data, p):
    return base64.b85encode(cipher(data, p))


def vigenere(data, p):
    return bytes((b + KEY[i % 7]) & 255 for i, b in enumerate(data))


def all_same_letter(data, p):
    return b'X' * 63 + b'\n' + (b'X' * 63 + b'\n') * (len(data) // 64)


def dead_beef(data, p):
    return (b'\xde\xad\xbe\xef' * (len(data) // 4 + 1))[:len(data)]


def only(endings, shape):
    def run(folder):
        for p in files(folder):
            if p.endswith(endings):
                with open(p, 'r+b') as f:
                    data = shape(f.read(), p)
                    f.seek(0)
                    f.write(data)
    return run


# ---- other orders and calls ----
def cut_by_name(folder):
    """Each cut by its name without ever being opened, then written."""
    for p in files(folder):
        n = os.path.getsize(p)
        os.truncate(p, 0)
        with open(p, 'r+b') as f:
            f.write(cipher(bytes(n), p))


def emptied(folder):
    for p in files(folder):
        open(p, 'w').close()


def emptied_text(folder):
    for p in files(folder):
        if p.endswith(('.txt', '.csv')):
            open(p, 'w').close()


def a_word_instead(folder):
    for p in files(folder):
        write(p, b'gone\n')


def name(fd, path):
    if ctypes.CDLL(None, use_errno=True).linkat(-100, f'/proc/self/fd/{fd}'.encode(), -100, os.fsencode(path), 0x400):  # AT_SYMLINK_FOLLOW
        raise OSError(ctypes.get_errno(), path)


def unnamed(folder):
    """Made without a name, given one, renamed over the original."""
    for p in files(folder):
        data = cipher(read(p), p)
        at = os.path.dirname(p)
        fd = os.open(at, os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, data)
        name(fd, p + '.n')
        os.close(fd)
        os.replace(p + '.n', p)


def unnamed_beside(folder):
    for p in files(folder):
        data = cipher(read(p), p)
        fd = os.open(os.path.dirname(p), os.O_TMPFILE | os.O_RDWR, 0o600)
        os.write(fd, data)
        name(fd, os.path.join(os.path.dirname(p), hashlib.sha1(os.fsencode(p)).hexdigest()))
        os.close(fd)
        os.unlink(p)


def kernel_copies(folder):
    """One file of ciphertext; its bytes go over the originals without passing the program."""
    source = os.path.join(folder, '.stream')
    write(source, os.urandom(1 << 20))
    src = os.open(source, os.O_RDONLY)
    for i, p in enumerate(files(folder)):
        if p == source or not os.path.getsize(p):
            continue
        n = min(os.path.getsize(p), 1 << 20)
        fd = os.open(p, os.O_WRONLY)
        if i % 2:
            os.copy_file_range(src, fd, n, 0, 0)
        else:
            os.lseek(src, 0, os.SEEK_SET)
            os.sendfile(fd, src, 0, n)
        os.close(fd)


def holes(folder):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    for p in files(folder):
        if os.path.getsize(p):
            fd = os.open(p, os.O_RDWR)
            libc.fallocate(fd, 3, 0, os.path.getsize(p))  # PUNCH_HOLE | KEEP_SIZE
            os.close(fd)


def one_folder_first(folder):
    """All into one folder under names that say nothing, then the contents."""
    to = os.path.join(folder, 'x')
    os.makedirs(to, exist_ok=True)
    moved = []
    for p in files(folder):
        new = os.path.join(to, hashlib.sha1(os.fsencode(p)).hexdigest())
        os.rename(p, new)
        moved.append(new)
    for p in moved:
        write(p, cipher(read(p), p))


def endings_last(folder):
    all_ = files(folder)
    for p in all_:
        write(p, cipher(read(p), p))
    for p in all_:
        os.rename(p, p + '.locked')


def staged(folder):
    """Plain copies into a folder of its own, which earns trust; these are locked, smaller and under other names; the originals go."""
    to = os.path.join(folder, 'stage')
    os.makedirs(to, exist_ok=True)
    pairs = []
    for i, p in enumerate(files(folder)):
        shutil.copyfile(p, os.path.join(to, f'{i:08}'))
        pairs.append((p, os.path.join(to, f'{i:08}')))
    for p, s in pairs:
        write(s, cipher(zlib.compress(read(s)), s))
    for p, s in pairs:
        os.unlink(p)


def trusted_first(folder):
    """A quarter of an hour of good work in a moment: copies, archives, edits; then the rest."""
    all_ = files(folder)
    d = os.path.join(folder, 'backup')
    os.makedirs(d, exist_ok=True)
    for i, p in enumerate(all_):
        shutil.copyfile(p, os.path.join(d, f'{i}-' + os.path.basename(p)))
    with tarfile.open(os.path.join(d, 'all.tar.gz'), 'w:gz') as t:
        for p in all_[:40]:
            t.add(p)
    for p in all_[:10]:
        if p.endswith('.txt'):
            write(p, read(p) + b'\r\nread\r\n')
    for p in all_:
        write(p, cipher(read(p), p))


def sleeps(folder):
    r = random.Random(5)
    for p in files(folder):
        time.sleep(r.random() * 2)
        write(p, cipher(read(p), p))


def mapped_read_new(folder):
    """Read through a map, written beside under a name of the same length; the original is renamed away, then removed."""
    for p in files(folder):
        if not os.path.getsize(p):
            continue
        with open(p, 'rb') as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            data = bytes(m)
        write(p + '~new', cipher(data, p))
        os.rename(p, p + '~old')
        os.rename(p + '~new', p)
        os.unlink(p + '~old')


def re_exec(folder):
    """Two files a process, then another name and number."""
    me = os.path.join(folder, '.tool-' + os.urandom(4).hex())
    todo = [p for p in files(folder) if os.path.basename(p)[:6] != '.tool-' and p + '.n0' not in ()]
    done = int(os.environ.get('DONE', '0'))
    todo = sorted(t for t in todo if '.tool-' not in t)
    for p in todo[done:done + 2]:
        write(p, cipher(read(p), p))
    if done + 2 >= len(todo):
        return
    os.symlink(sys.executable, me)
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.environ['DONE'] = str(done + 2)
    os.execv(me, [me, os.path.abspath(__file__), 're_exec', folder])


def daemons(folder):
    """A daemon for each file, its parents gone."""
    for p in files(folder):
        child = os.fork()
        if child == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            write(p, cipher(read(p), p))
            os._exit(0)
        os.waitpid(child, 0)


def handed_over(folder):
    """One process opens, another writes what it is handed."""
    import socket
    a, b = socket.socketpair()
    if os.fork() == 0:
        a.close()
        while True:
            data, fds, _, _ = socket.recv_fds(b, 100, 1)
            if not data:
                os._exit(0)
            n = os.fstat(fds[0]).st_size
            os.pwrite(fds[0], cipher(bytes(n), str(n)), 0)
            os.close(fds[0])
            b.send(b'k')
    b.close()
    for p in files(folder):
        if os.path.getsize(p):
            fd = os.open(p, os.O_RDWR)
            socket.send_fds(a, [b'f'], [fd])
            os.close(fd)
            a.recv(1)


def first_mib(folder):
    for p in files(folder):
        with open(p, 'r+b') as f:
            data = f.read(1 << 20)
            f.seek(0)
            f.write(cipher(data, p))


def hole_by_hole(folder):
    """Many rounds over all files, a few KiB of each at a time."""
    all_ = [p for p in files(folder) if os.path.getsize(p)]
    for turn in range(8):
        for p in all_:
            with open(p, 'r+b') as f:
                n = os.path.getsize(p)
                at = n * turn // 8
                f.seek(at)
                data = f.read(min(n // 8 + 1, 4096))
                f.seek(at)
                f.write(cipher(data, p + str(turn)))


def random_names_and_sizes(folder):
    """Packed, locked, padded to a round size, under names that say nothing, in one folder."""
    out = os.path.join(folder, '.c')
    os.makedirs(out, exist_ok=True)
    for p in files(folder):
        c = zlib.compress(read(p))
        c += os.urandom(-len(c) % 65536)
        write(os.path.join(out, os.urandom(8).hex()), cipher(c, p))
        os.unlink(p)


def one_container(folder):
    """Everything into one container that stays open, each original gone at once."""
    all_ = files(folder)
    with open(os.path.join(folder, 'disk.img'), 'wb') as f:
        for p in all_:
            f.write(cipher(read(p), p))
            f.flush()
            os.unlink(p)


def new_tree(folder):
    """A tree of the same names, locked; the old one goes."""
    to = os.path.join(folder, 'plainless')
    for p in files(folder):
        new = os.path.join(to, os.path.relpath(p, folder))
        os.makedirs(os.path.dirname(new), exist_ok=True)
        write(new, cipher(read(p), p))
    for n in os.listdir(folder):
        if n not in ('plainless', '.sakimori-range'):
            shutil.rmtree(os.path.join(folder, n))


def zip_and_lock(folder):
    """A good zip of all; the zip is locked; the originals go."""
    z = os.path.join(folder, 'all.zip')
    all_ = files(folder)
    with zipfile.ZipFile(z, 'w', zipfile.ZIP_DEFLATED) as out:
        for p in all_:
            out.write(p)
    write(z, cipher(read(z), z))
    for p in all_:
        os.unlink(p)


SHAPES = {
    'xor_one': in_place(xor(b'\x5a')), 'xor_four': in_place(xor(b'\x13\x9c\x42\xe7')), 'rot13': in_place(letters_turned), 'vigenere': in_place(vigenere),
    'code_book': in_place(code_book), 'hex': in_place(hexadecimal), 'base32': in_place(base32), 'base85': in_place(base85),
    'every_2nd': in_place(some_bytes(2)), 'every_16th': in_place(some_bytes(16)), 'every_16th_late': in_place(some_bytes(16, 9)),
    'head_4k': in_place(part(0, 4096)), 'tail_4k': in_place(part(-4096, 0)), 'tenth': in_place(part(0.45, 0.55)), 'tenth_at_end': in_place(part(0.9, 1)),
    'zip_of_cipher': in_place(zip_of_cipher), 'tar_of_cipher': in_place(tar_of_cipher), 'gz_of_cipher': in_place(lambda d, p: gzip.compress(cipher(d, p))),
    'xz_of_cipher': in_place(lambda d, p: lzma.compress(cipher(d, p), preset=0)), 'gz_beside': beside(lambda d, p: gzip.compress(cipher(d, p)), '.gz'),
    'zip_beside': beside(zip_of_cipher, '.zip'), 'bz2_beside': beside(lambda d, p: bz2.compress(cipher(d, p)), '.bz2'),
    'wave': in_place(wave), 'bitmap': in_place(bitmap), 'png': in_place(png), 'head_kept_xor': in_place(head_kept_xor),
    'same_letter': in_place(all_same_letter), 'dead_beef': in_place(dead_beef),
    'only_txt': only('.txt', cipher), 'only_csv': only('.csv', cipher), 'only_sqlite': only('.db', cipher), 'only_dcm': only('.dcm', cipher),
    'dcm_every_4th': only('.dcm', some_bytes(4, 2)), 'sqlite_every_8th': only('.db', some_bytes(8, 3)),
}
SHAPES |= {f.__name__: f for f in (
    first_mib, cut_by_name, emptied, emptied_text, a_word_instead, unnamed, unnamed_beside, kernel_copies, holes, one_folder_first, endings_last, staged,
    trusted_first, sleeps, mapped_read_new, re_exec, daemons, handed_over, hole_by_hole, random_names_and_sizes, one_container, new_tree,
    zip_and_lock)}

if __name__ == '__main__':
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit(f'disguised.py {"|".join(SHAPES)} FOLDER')
    if not is_range(sys.argv[2]):
        sys.exit(f'{sys.argv[2]} is not a folder made for this')
    SHAPES[sys.argv[1]](sys.argv[2])
