"""Attacks of public cases, put into a quiet week in the formats of the same devices.  No program of an attacker is here: only what logs say."""
from house import DAY, HOUR, MIN, VENDOR
from network import vpn_fail, vpn_up
from windows import AUDIT, DEF, SCM, SEC, SYS, SYSMON, failed, logon, ran, service

FROM, OUT = '185.220.101.9', '198.51.100.44'


def handa(h):
    """The chain of Handa: D-6 is Monday; ten steps."""
    tunnel, pc, s = '10.212.134.230', h.pcs[0], h.servers[-1]
    t = h.at(0, 2, 38)
    for i in range(6):                                                                  # 1, 2
        vpn_fail(h, t + i * 10, 'hoshu', FROM, 'Netherlands')
    vpn_up(h, t + 180, 'hoshu', FROM, tunnel, 'Netherlands')
    for i in range(2):                                                                  # 3
        failed(h, t + 480 + i * 5, pc, 'Administrator', 10, tunnel, 'DESKTOP-1')
    logon(h, t + 500, pc, 'Administrator', 10, tunnel, 'DESKTOP-1', admin=True)
    for i in range(40):                                                                 # 4
        h.traffic(t + 840 + i // 2, pc.ip, f'192.168.1.{50 + i}', [445, 3389, 5432, 104][i % 4], 0)
    for i, m in enumerate((h.pcs[1:8] + h.servers[-2:])):                                     # 5
        logon(h, t + DAY + i * 20, m, 'Administrator', 3, pc.ip, pc.name, 'NTLM', admin=True)
    service(h, t + DAY + 15 * MIN, s, 'ウイルスバスター Corp. クライアント', '停止')            # 6
    h.win(t + DAY + 20 * MIN, s, SEC, 'Microsoft-Windows-Eventlog', 1102, SubjectUserName='Administrator', SubjectDomainName=h.domain)
    for i in range(120):                                                                # 7
        h.win(t + 3 * DAY + i * 2, s, *SYSMON, 23, Image='C:\\Windows\\explorer.exe', TargetFilename=f'E:\\Backup\\2026-10-{i % 30 + 1:02}\\{i}.vhdx', User=f'{h.domain}\\Administrator')
    for i in range(5):                                                                  # 8
        h.traffic(t + 4 * DAY + i * 10 * MIN, s.ip, OUT, 443, 8 * 10**9)
    encrypt(h, h.at(6, 5, 10), s)                                                       # 9
    for p in (h.printers * 3)[:6]:                                                      # 10
        h.traffic(h.at(6, 5, 12), s.ip, p, 9100, 50000)
    for i in range(40):
        h.win(h.at(6, 5, 12) + i * 3, s, 'Microsoft-Windows-PrintService/Operational', 'Microsoft-Windows-PrintService', 307, Param1=str(i), Param2='README', Param3='Administrator')


def encrypt(h, t, s, ending='.lockbit', user='Administrator'):
    for i in range(60):
        h.win(t + i // 4, s, *SYSMON, 11, Image='C:\\Users\\Public\\x.exe', TargetFilename=f'D:\\SSMIX2\\{i:05}.xml{ending}', User=f'{h.domain}\\{user}')
    h.win(t + 16, s, *SYSMON, 11, Image='C:\\Users\\Public\\x.exe', TargetFilename='D:\\SSMIX2\\Restore-My-Files.txt', User=f'{h.domain}\\{user}')


def osaka(h):
    """Osaka: from the vendor of the meals, with a good password, by RDP to its server; the scanner is removed; the same password opens the others."""
    s, others = h.servers[-1], (h.servers[:-1] + h.pcs)[:8]
    t = h.at(5, 20, 5)
    vpn_up(h, t, 'kyushoku', '198.51.100.90', '10.212.134.231')
    logon(h, t + 300, s, 'Administrator', 10, '10.212.134.231', 'KYUSHOKU-DC', admin=True)
    ran(h, t + 900, s, 'msiexec.exe', 'msiexec.exe /x {AVGUID} /qn', 'C:\\Windows\\System32\\cmd.exe', 'Administrator')
    service(h, t + 920, s, 'ウイルスバスター Corp. クライアント', '停止')
    for i, m in enumerate(others):
        logon(h, t + 2 * HOUR + i * 45, m, 'Administrator', 3, s.ip, s.name, 'NTLM', admin=True)
    ran(h, t + 9 * HOUR, s, 'vssadmin.exe', 'vssadmin delete shadows /all /quiet', 'C:\\Windows\\System32\\cmd.exe', 'Administrator')
    encrypt(h, t + 9 * HOUR + 60, s, '.Elbie')


def okayama(h):
    """Okayama: the maintenance account at 2:41 from anywhere, weak password at once; six days later the virtual machines and their backups."""
    s = h.servers[-1]
    t = h.at(0, 2, 41)
    vpn_up(h, t, 'administrator', '203.0.113.200', '10.212.134.232', 'Vietnam')
    logon(h, t + 400, s, 'Administrator', 10, '10.212.134.232', 'WIN-KL3', admin=True)
    for i, m in enumerate((h.servers + h.pcs)[:8]):
        logon(h, t + DAY + i * 30, m, 'Administrator', 3, s.ip, s.name, 'NTLM', admin=True)
    h.win(t + 2 * DAY, s, *DEF, 5001, **{'Product Name': 'Microsoft Defender Antivirus'})
    ran(h, t + 5 * DAY, s, 'wbadmin.exe', 'wbadmin delete catalog -quiet', 'C:\\Windows\\System32\\cmd.exe', 'Administrator')
    for i in range(4):
        h.traffic(t + 5 * DAY + i * 20 * MIN, s.ip, OUT, 443, 3 * 10**9)
    encrypt(h, h.at(6, 13, 10), s, '.akira')


def spray(h):
    """One password for every name, one try in seven minutes, from ever other addresses; on Friday one fits."""
    for i in range(7 * 200):
        vpn_fail(h, h.start + i * 420, f'user{i % 40:02}', f'45.{i % 200 + 10}.{i * 7 % 256}.{i % 250 + 1}', 'Brazil')
    vpn_up(h, h.at(4, 4, 4), 'user07', '45.77.12.9', '10.212.134.233', 'Brazil')


def insider(h):
    """Somebody of the staff copies the share at night to a stick, and 12 GB to a store outside."""
    pc, s = h.pcs[1], h.servers[min(2, len(h.servers) - 1)]
    t = h.at(3, 22, 40)
    logon(h, t, pc, pc.user, 2, '127.0.0.1')
    logon(h, t + 60, s, pc.user, 3, pc.ip, pc.name, 'NTLM')
    for i in range(3000):
        h.win(t + 120 + i // 3, s, SEC, AUDIT, 5145, SubjectUserName=pc.user, SubjectDomainName=h.domain, ObjectType='File', IpAddress=pc.ip, IpPort='50000', ShareName='\\\\*\\共有',
              ShareLocalPath='\\??\\D:\\共有', RelativeTargetName=f'患者\\{i:05}.pdf', AccessMask='0x120089')
    h.win(t + 60, pc, SEC, AUDIT, 6416, DeviceId='USBSTOR\\Disk&Ven_SanDisk', DeviceDescription='SanDisk USB Device', ClassName='DiskDrive', SubjectUserName=pc.name + '$')
    for i in range(6):
        h.traffic(t + 20 * MIN + i * 300, pc.ip, '192.0.2.200', 443, 2 * 10**9)


def vendor(h):
    """The account of the vendor, inside of its booked window, from another address than was booked."""
    t = h.at(2, 22, 10)
    vpn_up(h, t, 'gyosha', '45.77.200.8', '10.212.134.234', 'Japan')
    logon(h, t + 200, h.servers[0], 'gyosha', 10, '10.212.134.234', 'DESKTOP-X', admin=True)


NAMES = {'handa': handa, 'osaka': osaka, 'okayama': okayama, 'spray': spray, 'insider': insider, 'vendor': vendor}
