"""Types at a program on a terminal of its own: JSON on standard input {argv, talk: [[pattern, line]...]}, JSON out {code, out}."""
import json
import os
import pty
import re
import select
import sys
import time

spec = json.load(sys.stdin)
pid, fd = pty.fork()
if pid == 0:
    os.execv(spec['argv'][0], spec['argv'])
seen, done = '', 0


def more():
    global seen
    if not select.select([fd], [], [], 1)[0]:
        return True
    try:
        got = os.read(fd, 65536)
    except OSError:
        return False
    seen += got.decode('utf-8', 'replace')
    return bool(got)


for pattern, line in spec['talk']:
    end = time.time() + 60
    while not re.search(pattern, seen[done:]):
        if time.time() > end or not more():
            sys.exit(f'waited for {pattern}: {seen}')
    done += re.search(pattern, seen[done:]).end()
    time.sleep(0.1)  # the program first turns echo off
    os.write(fd, (line + '\n').encode())
end = time.time() + 60
while time.time() < end and more():
    pass
print(json.dumps({'code': os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 'out': seen}))
