"""The claims server, the store for files, the power supply, the logger of what people do on PCs, and the virus scanner's server."""
from house import CLAIMS, DAY, HOME, MIN


def orca(h):
    host, ip = 'orca01', h.orca
    for day in range(7):
        for hour in range(24):
            h.unix(h.at(day, hour, 17), ip, host, 'CRON', '(root) CMD (   cd / && run-parts --report /etc/cron.hourly)', 78, 4000 + hour)
            h.unix(h.at(day, hour, 17), ip, host, 'CRON', 'pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)', 86, 4000 + hour)
            h.unix(h.at(day, hour, 17), ip, host, 'CRON', 'pam_unix(cron:session): session closed for user root', 86, 4000 + hour)
        t = h.at(day, 2)
        h.unix(t, ip, host, 'CRON', '(orca) CMD (/usr/lib/jma-receipt/bin/daily-backup.sh >/var/log/orca/daily.log 2>&1)', 78, 5000)
        h.unix(t + 1, ip, host, 'sudo', '    orca : TTY=unknown ; PWD=/var/lib/orca ; USER=postgres ; COMMAND=/usr/bin/pg_dump -Fc orca -f /backup/orca.dump', 85)
        h.unix(t + 2, ip, host, 'sudo', 'pam_unix(sudo:session): session opened for user postgres(uid=110) by (uid=1000)', 86)
        h.unix(t + 600, ip, host, 'postgres', f'2026-11-0{day + 2} 02:10:00.123 JST [5010] orca@orca LOG:  checkpoint complete: wrote 4000 buffers', 134, 5010)
        h.unix(t + 700, ip, host, 'logrotate', 'ALERT exited normally with 0', 30, 5011)
        h.unix(t + 800, ip, host, 'systemd', 'Starting Daily apt upgrade and clean activities...', 30, 1)
        h.unix(t + 820, ip, host, 'systemd', 'Finished Daily apt upgrade and clean activities.', 30, 1)
        h.unix(t + 830, ip, host, 'systemd', 'Stopped PostgreSQL Cluster 14-main.', 30, 1)
        h.unix(t + 840, ip, host, 'systemd', 'Started PostgreSQL Cluster 14-main.', 30, 1)
        for i in range(4):      # a program of the system asks for rights
            n = 10000 + day * 10 + i
            h.put(t + 900 + i, ip, f'<86>orca01 audit: type=SYSCALL msg=audit({t + 900 + i}.100:{n}): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid={n} auid=4294967295 uid=0 '
                  'gid=0 euid=0 comm="gzip" exe="/usr/bin/gzip" key="exec"')
    for day, end in h.open_days():
        for i in range(60):
            t = h.at(day, 8, 40) + i * 480
            m = h.rnd.choice(h.pcs)
            h.unix(t, ip, host, 'nginx', f'{m.ip} - {m.user} [0{day + 2}/Nov/2026:09:00:00 +0900] "GET /api01rv2/patientgetv2?id={h.rnd.randrange(10**5):05} HTTP/1.1" 200 {h.rnd.randrange(9000)} '
                   '"-" "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"', 190)
            if i % 20 == 0:
                h.unix(t, ip, host, 'postgres', f'2026-11-0{day + 2} 09:00:00.000 JST [77] orca@orca LOG:  duration: 1203.1 ms  statement: SELECT * FROM tbl_jyurrk WHERE ptid=1', 134, 77)
        t = h.at(day, 9, 3)
        if day in (0, 3):       # who looks after it, from a PC of the house; the key was not at hand the first time
            h.unix(t, ip, host, 'sshd', f'Failed password for kanri from {h.machines[0].ip} port 50100 ssh2', 38, 900)
            h.unix(t + 9, ip, host, 'sshd', f'Accepted password for kanri from {h.machines[0].ip} port 50100 ssh2', 38, 900)
            h.unix(t + 9, ip, host, 'sshd', 'pam_unix(sshd:session): session opened for user kanri(uid=1000) by (uid=0)', 86, 900)
            h.unix(t + 40, ip, host, 'sudo', '   kanri : TTY=pts/0 ; PWD=/home/kanri ; USER=root ; COMMAND=/usr/bin/apt-get upgrade -y', 85)
            h.unix(t + 80, ip, host, 'sudo', '   kanri : TTY=pts/0 ; PWD=/home/kanri ; USER=root ; COMMAND=/usr/bin/systemctl restart jma-receipt', 85)
            h.unix(t + 90, ip, host, 'sudo', '   kanri : TTY=pts/0 ; PWD=/home/kanri ; USER=root ; COMMAND=/usr/bin/tail -n 100 /var/log/syslog', 85)
    for day in range(4, 7):     # the claims of the month
        h.unix(h.at(day, 23), ip, host, 'CRON', '(orca) CMD (/usr/lib/jma-receipt/bin/receipt-batch.sh)', 78, 6000)
        h.unix(h.at(day, 23, 9), ip, host, 'receipt', f'送信開始 {CLAIMS} 4,210 件', 134, 6001)


def nas(h):
    for t in h.busy(60 if h.kind == 'clinic' else 300):
        m = h.rnd.choice(h.pcs)
        op = h.rnd.choice(['openat|ok|r', 'openat|ok|w', 'openat|ok|r', 'renameat|ok', 'unlinkat|ok'])
        h.unix(t, h.nas, 'nas01', 'smbd_audit', f'{m.user}|{m.ip}|kyoyu|{op}|2026/紹介状{h.rnd.randrange(900)}.docx', 173)
    for day in range(7):
        h.unix(h.at(day, 3, 30), h.nas, 'nas01', 'snapshot', 'snapshot of volume1 taken; the oldest of 30 was removed', 30)
        h.unix(h.at(day, 3, 40), h.nas, 'nas01', 'smartd', 'Device: /dev/sda [SAT], SMART Usage Attribute: 194 Temperature_Celsius changed from 112 to 111', 30)
        h.unix(h.at(day, 14, h.rnd.randrange(60)), h.ups, 'ups01', 'apcupsd', 'Battery self test passed', 29)
    h.unix(h.at(3, 16, 2), h.ups, 'ups01', 'apcupsd', 'Power failure.', 28)
    h.unix(h.at(3, 16, 2, 4), h.ups, 'ups01', 'apcupsd', 'Power is back. UPS running on mains.', 29)


def scanner(h):
    """The server of the virus scanner of the house speaks CEF."""
    for day in range(7):
        for m in h.machines:
            h.unix(h.at(day, 6, h.rnd.randrange(60)), h.servers[0].ip, 'av-kanri', 'CEF', f'0|ExampleSoft|Endpoint|12.0|UPD|Pattern updated|1|dhost={m.name} dst={m.ip} msg=pattern 19.{day}', 134)
        if day < 6:
            m = h.rnd.choice(h.pcs)
            h.unix(h.at(day, 12, 30), h.servers[0].ip, 'av-kanri', 'CEF', f'0|ExampleSoft|Endpoint|12.0|SCN|Scan finished|1|dhost={m.name} dst={m.ip} msg=no threats', 134)


def logger(h):
    """What people do on PCs, as the logger of operations writes it: a table with a head of its own, once a day."""
    for day, end in h.open_days():
        t = h.at(day, 23, 40)
        h.put(t, 'ops-logger', '"ログ日時","端末機名","ユーザー名","操作","ファイル名","元パス","先パス"')
        for i in range(80 if h.kind == 'clinic' else 400):
            m = h.rnd.choice(h.pcs)
            s = h.at(day, 9) + i * 60
            from datetime import datetime
            from house import JST
            d = datetime.fromtimestamp(s, JST)
            op = h.rnd.choice(['ファイルオープン', 'ファイルコピー', '印刷', 'ウィンドウタイトル', 'デバイス接続'])
            h.put(t, 'ops-logger', f'"{d:%Y/%m/%d %H:%M:%S}","{m.name}","{m.user}","{op}","紹介状{i}.docx","\\\\SV-KARTE\\共有","C:\\Users\\{m.user}\\Desktop"')


def week(h):
    for part in (orca, nas, scanner, logger):
        part(h)
