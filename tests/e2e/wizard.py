# Sits at a terminal and answers the set-up wizard, mistakes included.  wizard.py PROGRAM DATA CODE → JSON of what was seen.
import base64, hashlib, hmac, json, os, pty, re, select, struct, sys, time

program, data, code = sys.argv[1:4]
PASSWORD = 'tsubame-7-yuugata'
pid, fd = pty.fork()
if pid == 0:
    os.execv(program, [program, 'setup', '--data', data, '--lang', 'ja'])
seen, at = b'', 0


def wait_for(pattern, seconds=30):
    global seen, at
    end = time.time() + seconds
    while time.time() < end:
        m = re.search(pattern, seen[at:].decode('utf8', 'replace'))
        if m:
            text = seen[at:].decode('utf8', 'replace')
            at = len(seen)
            return text, m
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
    sys.exit(f'"{pattern}" did not come: {seen[at:].decode("utf8", "replace")!r}')


def say(text):
    time.sleep(0.2)  # a person is not faster; what is typed before the question is dropped, as it should be
    os.write(fd, text.encode() + b'\n')


def ask(pattern, answer):
    got = wait_for(pattern + r'[^\n]*: ?$')
    say(answer)
    return got


def totp(secret):
    key = base64.b32decode(secret + '=' * (-len(secret) % 8))
    h = hmac.new(key, struct.pack('>Q', int(time.time()) // 30), hashlib.sha1).digest()
    o = h[-1] & 15
    return f"{(struct.unpack('>I', h[o:o + 4])[0] & 0x7fffffff) % 1000000:06d}"


ask('設定コード', code)
ask('医療機関の名前', '端末の医院')
ask('種類', 'hospitall')
ask('この中から選んでください[^$]*種類', 'clinic')
ask('住所', '')
ask('電話', '')
ask('業者との契約', 'maybe')
ask('この中から選んでください[^$]*業者との契約', 'yes')
for _ in range(3):
    for what in ('名前', '役職', '電話'):
        ask(what, 'あ' if what == '名前' else '')
ask('院長のアカウント', '院長')
ask('院長の名前', '見本 一郎')
for prompt in ('パスワード', 'もう一度'):
    ask(prompt, PASSWORD)
# A bad account is asked again, not the password for ever.
ask('院長のアカウント', 'incho')
ask('院長の名前', '見本 一郎')
ask('パスワード', 'short1')
ask('もう一度', 'short1')
for prompt in ('パスワード', 'もう一度'):
    ask(prompt, PASSWORD)
text, _ = wait_for('6桁: ?$')
say(totp(re.search(r'\n\s+([A-Z2-7]{32})\r?\n', text).group(1)))
sheet, _ = wait_for('番目のことば: ?$')
halves = [dict(re.findall(r'(\d+) ([ぁ-んー]+)', half)) for half in sheet.split('== 金庫の紙・')[1:3]]
now = sheet
for _ in range(3):
    key, n = re.findall(r'(開く鍵|命令の鍵) の (\d+) 番目のことば', now)[-1]
    say(halves[0 if key == '開く鍵' else 1][n])
    now, _ = wait_for('番目のことば: ?$|設定できました')
end = time.time() + 20
status = None
while status is None and time.time() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            seen += os.read(fd, 65536)
        except OSError:
            pass
    p, s = os.waitpid(pid, os.WNOHANG)
    status = os.waitstatus_to_exitcode(s) if p else None
text = seen.decode('utf8', 'replace')
print(json.dumps({'status': status, 'after_clear': text.rsplit('\x1b[3J', 1)[-1]}))
