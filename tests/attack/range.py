#!/usr/bin/env python3
"""Folders of victims for tests of behaviour: real kinds of files, made here; what became of them, byte by byte.

  range.py make FOLDER [FILES]      makes FOLDER (it must not exist) with files and the mark that attackers of ours demand
  range.py list FOLDER              paths and hashes as JSON: keep it outside
  range.py compare FOLDER LIST      {"touched": files changed, removed or renamed, "same": …}; "new": what was not there
"""
import hashlib, io, json, os, random, sqlite3, struct, sys, zipfile, zlib

MARK = 'files below may be destroyed by tests\n'
WORDS = ['the', 'patient', 'came', 'with', 'fever', '診察', '処方', '血圧', '120/80', 'and', 'was', 'given', 'tablets', '再来', '検査', '次回', '予約', '内科', 'of', 'on']


def text(r, n):
    out = []
    size = 0
    while size < n:
        line = ' '.join(r.choice(WORDS) for _ in range(12)) + '\r\n'
        out.append(line)
        size += len(line)
    return ''.join(out)


def hl7(r, n):
    rows = [f'MSH|^~\\&|ORCA|CLINIC|SSMIX2|BOX|20260401||ADT^A08|{r.randrange(10**6)}|P|2.5']
    while len(rows) * 50 < n:
        rows.append(f'OBX|{len(rows)}|NM|2A990{r.randrange(10**6):06}^WBC||{r.randrange(99)}.{r.randrange(9)}|10*3/uL|3.5-9.0|N|||F')
    return '\r'.join(rows).encode()


def picture(r, n, kind):
    try:
        from PIL import Image
    except ImportError:
        return None
    side = max(32, int((n * (2 if kind == 'JPEG' else 1)) ** 0.5))
    noise = Image.frombytes('RGB', (side // 4 + 1, side // 4 + 1), r.randbytes((side // 4 + 1) ** 2 * 3)).resize((side, side))
    b = io.BytesIO()
    noise.save(b, kind, **({'quality': 85} if kind == 'JPEG' else {}))
    return b.getvalue()


def pdf(r, n):
    z = zlib.compress(text(r, n * 3).encode())
    body = b'%PDF-1.5\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n3 0 obj\n<</Length ' + str(len(z)).encode() + \
        b'/Filter/FlateDecode>>\nstream\n' + z + b'\nendstream\nendobj\n'
    return body + b'xref\n0 4\n0000000000 65535 f \ntrailer\n<</Size 4/Root 1 0 R>>\nstartxref\n' + str(len(body)).encode() + b'\n%%EOF\n'


def docx(r, n):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('[Content_Types].xml', '<?xml version="1.0"?><Types/>')
        z.writestr('word/document.xml', '<w:document>' + text(r, n * 3) + '</w:document>')
    return b.getvalue()


def dicom(r, n):
    head = bytes(128) + b'DICM\2\0\0\0UL\4\0\xc0\0\0\0' + b'\2\0\2\0UI\x1a\x001.2.840.10008.5.1.4.1.1.2\0' + bytes(200)
    return head + b''.join(struct.pack('<H', 1000 + i // 256 % 600 + r.randrange(24)) for i in range(n // 2))


def sqlite(r, n):
    path = f'/tmp/.sakimori-range-{os.getpid()}.db'
    db = sqlite3.connect(path)
    db.execute('create table visit(id integer primary key, name text, note text)')
    db.executemany('insert into visit(name, note) values(?, ?)', [(f'patient {r.randrange(10**6)}', text(r, 60)) for _ in range(n // 160 + 1)])
    db.commit()
    db.close()
    with open(path, 'rb') as f:
        data = f.read()
    os.unlink(path)
    return data


def csv(r, n):
    return ''.join(f'{r.randrange(10**5)},{r.randrange(4)},2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02},{r.randrange(3000)},"{r.choice(WORDS)}"\n' for _ in range(n // 28)).encode()


KINDS = [
    ('txt', lambda r, n: text(r, n).encode()), ('jpg', lambda r, n: picture(r, n, 'JPEG')), ('docx', docx), ('hl7', hl7), ('pdf', pdf),
    ('txt', lambda r, n: text(r, n).encode('cp932')), ('png', lambda r, n: picture(r, n, 'PNG')), ('csv', csv), ('dcm', dicom), ('db', sqlite),
    ('ini', lambda r, n: text(r, 60 + r.randrange(300)).encode()), ('xls', lambda r, n: b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(504) + text(r, n).encode('utf-16-le')),
]


def make(folder, files=120, seed=7, database=False, huge=False):
    r = random.Random(seed)
    os.makedirs(folder)
    with open(os.path.join(folder, '.sakimori-range'), 'w') as f:
        f.write(MARK)
    if database:
        for i in range(6):
            with open(os.path.join(folder, f'clinic{i}.db'), 'wb') as f:
                f.write(sqlite(r, 4_000_000))
        return
    for i in range(5 if huge else 0):
        with open(os.path.join(folder, f'study{i}.raw'), 'wb') as f:  # large, and mostly holes
            f.write(text(r, 2_000_000).encode())
            f.seek(100_000_000)
            f.write(text(r, 200_000).encode())
            f.truncate(200_000_000)
    if huge:
        return
    for i in range(files):
        ending, maker = KINDS[i % len(KINDS)]
        size = r.choice([900, 4000, 12000, 12000, 40000, 40000, 150000]) if i % 40 else 2_000_000
        data = maker(r, size)
        if data is None:
            ending, data = 'csv', csv(r, size)
        where = os.path.join(folder, ['受付', 'karte', 'karte/2026', 'images', 'images/ct/a', 'office'][i % 7 % 6])
        os.makedirs(where, exist_ok=True)
        with open(os.path.join(where, f'{i:04}.{ending}'), 'wb') as f:
            f.write(data)


def listing(folder):
    out = {}
    for at, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(at, name)
            if name == b'.sakimori-range' or os.path.islink(path):
                continue
            with open(path, 'rb') as f:
                out[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = hashlib.sha256(f.read()).hexdigest()
    return out


def compare(folder, before):
    now = listing(folder)
    touched = sorted(p for p, h in before.items() if now.get(p) != h)
    return {'files': len(before), 'touched': len(touched), 'same': len(before) - len(touched), 'new': len([p for p in now if p not in before]), 'first': touched[:8]}


def is_range(folder):
    try:
        with open(os.path.join(folder, '.sakimori-range')) as f:
            return f.read() == MARK
    except OSError:
        return False


if __name__ == '__main__':
    if len(sys.argv) >= 3 and sys.argv[1] == 'make':
        make(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 120)
    elif len(sys.argv) == 3 and sys.argv[1] == 'list':
        print(json.dumps(listing(sys.argv[2])))
    elif len(sys.argv) == 4 and sys.argv[1] == 'compare':
        with open(sys.argv[3]) as f:
            print(json.dumps(compare(sys.argv[2], json.load(f))))
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
