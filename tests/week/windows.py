"""Windows machines in a quiet week: people, updates, backups, remote work, and what Windows does by itself."""
from house import DAY, HOME, HOUR, MIN

SEC, AUDIT = 'Security', 'Microsoft-Windows-Security-Auditing'
SYS, SCM = 'System', 'Service Control Manager'
DEF = ('Microsoft-Windows-Windows Defender/Operational', 'Microsoft-Windows-Windows Defender')
PS = ('Microsoft-Windows-PowerShell/Operational', 'Microsoft-Windows-PowerShell')
SYSMON = ('Microsoft-Windows-Sysmon/Operational', 'Microsoft-Windows-Sysmon')
S32 = 'C:\\Windows\\System32\\'
NOBODY = dict(SubjectUserSid='S-1-5-18', SubjectDomainName='NT AUTHORITY', SubjectLogonId='0x3e7')


def logon(h, t, m, user, kind, ip='-', workstation='-', package='Negotiate', admin=False):
    h.win(t, m, SEC, AUDIT, 4624, SubjectUserName=f'{m.name}$', TargetUserSid=f'S-1-5-21-1004336348-1177238915-682003330-{1000 + len(user)}',
          TargetUserName=user, TargetDomainName=h.domain, TargetLogonId=hex(h.rnd.randrange(10**8)), LogonType=str(kind),
          LogonProcessName='User32' if kind in (2, 7, 10) else 'NtLmSsp' if package == 'NTLM' else 'Advapi', AuthenticationPackageName=package,
          WorkstationName=workstation, LogonGuid='{00000000-0000-0000-0000-000000000000}', LmPackageName='NTLM V2' if package == 'NTLM' else '-',
          KeyLength='128' if package == 'NTLM' else '0', ProcessId='0x2f0', ProcessName=S32 + 'svchost.exe' if kind != 3 else '-', IpAddress=ip,
          IpPort='0' if ip == '-' else str(h.rnd.randrange(49152, 65535)), ElevatedToken='%%1842' if admin else '%%1843', **NOBODY)
    if admin:
        h.win(t, m, SEC, AUDIT, 4672, SubjectUserSid='S-1-5-21-1-2-3-500', SubjectUserName=user, SubjectDomainName=h.domain, SubjectLogonId='0x9e3',
              PrivilegeList='SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeRestorePrivilege\n\t\t\tSeDebugPrivilege')


def failed(h, t, m, user, kind=2, ip='-', workstation='-', status='0xc000006a'):
    h.win(t, m, SEC, AUDIT, 4625, SubjectUserName=f'{m.name}$', TargetUserSid='S-1-0-0', TargetUserName=user, TargetDomainName=h.domain,
          Status='0xc000006d', FailureReason='%%2313', SubStatus=status, LogonType=str(kind), LogonProcessName='User32' if kind == 2 else 'NtLmSsp',
          AuthenticationPackageName='Negotiate' if kind == 2 else 'NTLM', WorkstationName=workstation, LmPackageName='-', KeyLength='0',
          ProcessId='0x2f0', ProcessName=S32 + 'svchost.exe', IpAddress=ip, IpPort='0', **NOBODY)


def ran(h, t, m, image, line='', parent=S32 + 'services.exe', user=None, parent_line=''):
    """A program began: the audit of Windows on PCs, Sysmon on servers."""
    user = user or m.name + '$'
    image = image if ':' in image else S32 + image
    if m.role == 'pc':
        h.win(t, m, SEC, AUDIT, 4688, SubjectUserSid='S-1-5-18', SubjectUserName=user, SubjectDomainName=h.domain, SubjectLogonId='0x3e7',
              NewProcessId=hex(h.rnd.randrange(1000, 30000)), NewProcessName=image, TokenElevationType='%%1936', ProcessId='0x2f0',
              CommandLine=line or f'"{image}"', TargetUserSid='S-1-0-0', TargetUserName='-', TargetDomainName='-', TargetLogonId='0x0',
              ParentProcessName=parent, MandatoryLabel='S-1-16-16384' if user.endswith('$') else 'S-1-16-8192')
    else:
        name = image.split('\\')[-1]
        company = '-' if 'Program' in image and 'Microsoft' not in image else 'Microsoft Corporation'
        h.win(t, m, *SYSMON, 1, RuleName='-', UtcTime='2026-11-02 00:00:00.000', ProcessGuid=f'{{{h.rnd.randrange(10**8):08x}-0000-0000-0000-000000000000}}',
              ProcessId=h.rnd.randrange(1000, 30000), Image=image, FileVersion='10.0.20348.1', Description=name, Product='Windows', Company=company,
              OriginalFileName=name, CommandLine=line or f'"{image}"', CurrentDirectory=S32,
              User='NT AUTHORITY\\SYSTEM' if user.endswith('$') else f'{h.domain}\\{user}', LogonGuid='{0}', LogonId='0x3e7', TerminalSessionId=0,
              IntegrityLevel='System' if user.endswith('$') else 'Medium', Hashes=f'SHA256={h.rnd.getrandbits(256):064x}',
              ParentProcessGuid='{0}', ParentProcessId=700, ParentImage=parent, ParentCommandLine=parent_line or parent, ParentUser='NT AUTHORITY\\SYSTEM')


def service(h, t, m, name, state):
    h.win(t, m, SYS, SCM, 7036, param1=name, param2=state)


def script(h, t, m, text, path=''):
    h.win(t, m, *PS, 4104, MessageNumber='1', MessageTotal='1', ScriptBlockText=text, ScriptBlockId=f'{h.rnd.randrange(10**8):08x}', Path=path)


# ---- people

def mornings(h):
    """Everybody signs in within a few minutes; passwords are mistyped, some of them often; each opens the share of the server."""
    for day, end in h.open_days():
        for m in h.pcs:
            t = h.at(day, 8, 10) + h.rnd.randrange(35 * MIN)
            wrong = h.rnd.choice([0, 0, 0, 1, 1, 2, 3]) if day else h.rnd.choice([0, 1, 1, 2, 4])
            for i in range(wrong):
                failed(h, t - 20 * (wrong - i), m, m.user, workstation=m.name)
            logon(h, t, m, m.user, 2, '127.0.0.1')
            for program, line in [('userinit.exe', ''), ('C:\\Windows\\explorer.exe', ''), ('C:\\Program Files (x86)\\Karte\\karte.exe', ''),
                                  ('C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe', '"C:\\Program Files (x86)\\Microsoft\\Edge\\Application'
                                   '\\msedge.exe" --no-startup-window'), ('C:\\Program Files\\Microsoft Office\\root\\Office16\\EXCEL.EXE', '')]:
                ran(h, t + 3, m, program, line, S32 + 'winlogon.exe' if program == 'userinit.exe' else 'C:\\Windows\\explorer.exe', m.user)
            for s in h.servers[:3]:
                if h.rnd.random() < 0.3:        # the server does not know the new password of the share yet
                    failed(h, t + 5, s, m.user, 3, m.ip, m.name)
                for _ in range(3):
                    logon(h, t + 8 + h.rnd.randrange(20), s, m.user, 3, m.ip, m.name, 'NTLM' if h.kind == 'clinic' else 'Kerberos')
            if h.dc:
                kerberos(h, t, m)
            for hour in range(9, end):
                if h.rnd.random() < 0.5:
                    failed(h, h.at(day, hour, 59), m, m.user, 7) if h.rnd.random() < 0.1 else None
                    logon(h, h.at(day, hour, 59, 20), m, m.user, 7, '127.0.0.1')
            t = h.at(day, end, h.rnd.randrange(50))
            h.win(t, m, SEC, AUDIT, 4647, TargetUserName=m.user, TargetDomainName=h.domain, TargetLogonId='0x1')
            if day % 2 == 0:                    # and it is switched off
                h.win(t + 4, m, SYS, 'User32', 1074, param1='C:\\Windows\\Explorer.EXE', param2=m.name, param3='その他 (計画外)', param4='0x0', param5='電源オフ',
                      param7=f'{h.domain}\\{m.user}')
                service(h, t + 9, m, 'Microsoft Defender Antivirus Service', '停止')
                h.win(t + 10, m, SEC, 'Microsoft-Windows-Eventlog', 1100)
                h.win(h.at(day, 7, 52), m, SYS, 'EventLog', 6005)
                service(h, h.at(day, 7, 52, 5), m, 'Microsoft Defender Antivirus Service', '実行中')


def kerberos(h, t, m):
    common = dict(TargetDomainName=h.domain, Status='0x0', IpAddress=f'::ffff:{m.ip}', IpPort='51000', TicketOptions='0x40810010')
    h.win(t, h.dc, SEC, AUDIT, 4768, TargetUserName=m.user, TargetSid='S-1-5-21-1', ServiceName='krbtgt', TicketEncryptionType='0x12', PreAuthType='2', **common)
    for name in ('SV-FILE$', 'SV-KARTE$', 'DC01$'):
        h.win(t + 1, h.dc, SEC, AUDIT, 4769, TargetUserName=f'{m.user}@HOSP.LOCAL', ServiceName=name, TicketEncryptionType='0x12', **common)
    if h.rnd.random() < 0.15:
        h.win(t - 9, h.dc, SEC, AUDIT, 4771, TargetUserName=m.user, ServiceName='krbtgt/HOSP', **{**common, 'Status': '0x18'}, PreAuthType='2')


def work(h):
    """All day: files on the share, documents, USB sticks with pictures of patients, a little of the command line."""
    for t in h.busy(120 if h.kind == 'clinic' else 900):
        m = h.rnd.choice(h.pcs)
        ran(h, t, m, *h.rnd.choices(weights=[40, 20, 12, 12, 10, 10, 0.2], k=1, population=[
            ('C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe', '"msedge.exe" --type=renderer --lang=ja --js-flags=--ms-user-locale='),
            ('C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE', '"WINWORD.EXE" /n "\\\\SV-KARTE\\共有\\紹介状.docx"'),
            ('splwow64.exe', 'C:\\Windows\\splwow64.exe 8192'), ('C:\\Windows\\System32\\notepad.exe', 'notepad.exe メモ.txt'),
            ('C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\Acrobat.exe', '"Acrobat.exe" "C:\\Users\\Public\\検査結果.pdf"'),
            ('C:\\Program Files (x86)\\Karte\\print.exe', 'print.exe /p 処方箋'), ('C:\\Windows\\System32\\mstsc.exe', 'mstsc.exe /v:SV-KARTE'),
        ])[0], parent='C:\\Windows\\explorer.exe', user=m.user)
    for t in h.busy(200 if h.kind == 'clinic' else 900):
        m, s = h.rnd.choice(h.pcs), h.servers[min(2, len(h.servers) - 1)]
        h.win(t, s, SEC, AUDIT, 5145, SubjectUserName=m.user, SubjectDomainName=h.domain, ObjectType='File', IpAddress=m.ip, IpPort='50000',
              ShareName='\\\\*\\共有', ShareLocalPath='\\??\\D:\\共有', RelativeTargetName=f'2026\\紹介状{h.rnd.randrange(900)}.docx', AccessMask='0x12019f')
    for t in h.busy(6):     # a stick
        m = h.rnd.choice(h.pcs)
        h.win(t, m, SEC, AUDIT, 6416, SubjectUserName=m.name + '$', DeviceId='USBSTOR\\Disk&Ven_BUFFALO', DeviceDescription='BUFFALO USB Flash Disk',
              ClassName='DiskDrive', **NOBODY)
        h.win(t, m, SYS, 'Microsoft-Windows-UserPnp', 20001, DriverName='disk.inf', DeviceInstanceID='USBSTOR\\DISK&VEN_BUFFALO')
    for t in h.busy(25 if h.kind == 'clinic' else 900):
        s = h.servers[0]
        h.win(t, s, 'Microsoft-Windows-PrintService/Operational', 'Microsoft-Windows-PrintService', 307, Param1='12', Param2='文書', Param3=h.rnd.choice(h.pcs).user,
              Param4='\\\\UKETSUKE1', Param5='受付プリンター', Param6=h.printers[0], Param7='20480', Param8='2')
    h.rnd.choice(h.pcs)
    for day, end in h.open_days():  # the patients of the day are billed at the end of it
        m = h.pcs[2]
        for i in range(22):
            h.win(h.at(day, end, 5) + i * 21, m, 'Microsoft-Windows-PrintService/Operational', 'Microsoft-Windows-PrintService', 307, Param1=str(i),
                  Param2='領収書', Param3=m.user, Param4=m.name, Param5='会計プリンター', Param7='10240', Param8='1')
    if h.dc:                        # somebody of the office tidies old files away
        for i in range(70):
            h.win(h.at(3, 11) + i * 6, h.servers[2], SEC, AUDIT, 4663, SubjectUserName='somu', SubjectDomainName=h.domain, ObjectServer='Security',
                  ObjectType='File', ObjectName=f'D:\\共有\\総務\\2019\\議事録{i}.docx', AccessList='%%1537', AccessMask='0x10000', ProcessName='')


def accounts(h):
    """Passwords change at the start of the month, a telephone goes on with the old one, somebody new begins on Monday."""
    home = h.dc or h.servers[0]
    for m in h.pcs[1:4]:
        t = h.at(0, 9, h.rnd.randrange(50))
        h.win(t, home, SEC, AUDIT, 4723, TargetUserName=m.user, TargetDomainName=h.domain, SubjectUserName=m.user, SubjectDomainName=h.domain)
    m = h.pcs[1]
    for i in range(48):             # its telephone reads mail at the server all day, with the password of last month
        failed(h, h.at(0, 9, 30) + i * 600, home, m.user, 3, '192.168.1.180', 'IPHONE')
    for i in range(3):
        h.win(h.at(0, 11) + i * 3600, home, SEC, AUDIT, 4740, TargetUserName=m.user, TargetDomainName='IPHONE', SubjectUserName=home.name + '$')
        h.win(h.at(0, 11, 20) + i * 3600, home, SEC, AUDIT, 4767, TargetUserName=m.user, TargetDomainName=h.domain, SubjectUserName='kanri')
    h.win(h.at(0, 17), home, SEC, AUDIT, 4724, TargetUserName=m.user, TargetDomainName=h.domain, SubjectUserName='kanri', SubjectDomainName=h.domain)
    t = h.at(0, 8, 20)
    logon(h, t - 60, home, 'kanri', 2, '127.0.0.1', admin=True)
    for number, more in [(4720, dict(SamAccountName='shinjin', UserAccountControl='%%2080')), (4722, {}), (4738, dict(UserAccountControl='-')),
                         (4732, dict(MemberSid='S-1-5-21-1-2-3-1009', TargetSid='S-1-5-32-545'))]:
        h.win(t, home, SEC, AUDIT, number, TargetUserName='shinjin' if number != 4732 else 'Users', TargetDomainName=h.domain, SubjectUserName='kanri',
              SubjectDomainName=h.domain, **more)


# ---- Windows by itself

def defender(h):
    for day in range(7):
        for m in h.machines:
            for hour in (7, 13, 19):
                t = h.at(day, hour, h.rnd.randrange(60))
                h.win(t, m, *DEF, 2000, **{'Product Name': 'Microsoft Defender Antivirus', 'Current security intelligence Version': f'1.421.{day}.{hour}',
                                          'Update Type': 'デルタ'})
                ran(h, t, m, 'C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.24090.11-0\\MpCmdRun.exe',
                    '"MpCmdRun.exe" SignatureUpdate -ScheduleJob -RestrictPrivileges', S32 + 'svchost.exe')
                h.win(t + 60, m, *DEF, 5007, **{'Product Name': 'Microsoft Defender Antivirus', 'Old Value': '',
                                                'New Value': 'HKLM\\SOFTWARE\\Microsoft\\Windows Defender\\Signature Updates\\AVSignatureVersion = 1.421'})
            t = h.at(day, 12, 10 + h.rnd.randrange(20))
            h.win(t, m, *DEF, 1000, **{'Product Name': 'Microsoft Defender Antivirus', 'Scan Type': 'マルウェア対策'})
            h.win(t + 400, m, *DEF, 1001, **{'Product Name': 'Microsoft Defender Antivirus', 'Scan Type': 'マルウェア対策'})


def housekeeping(h):
    lines = [('svchost.exe', 'C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s wlidsvc', S32 + 'services.exe'),
             ('taskhostw.exe', 'taskhostw.exe', S32 + 'svchost.exe'), ('backgroundTaskHost.exe', 'backgroundTaskHost.exe -ServerName:x', S32 + 'svchost.exe'),
             ('wbem\\WmiPrvSE.exe', 'C:\\Windows\\system32\\wbem\\wmiprvse.exe -secured -Embedding', S32 + 'svchost.exe'),
             ('rundll32.exe', 'C:\\Windows\\system32\\rundll32.exe Startupscan.dll,SusRunTask', S32 + 'svchost.exe'),
             ('conhost.exe', '\\??\\C:\\Windows\\system32\\conhost.exe 0xffffffff -ForceV1', S32 + 'cmd.exe'),
             ('sppsvc.exe', 'C:\\Windows\\system32\\sppsvc.exe', S32 + 'services.exe'),
             ('schtasks.exe', 'C:\\Windows\\system32\\schtasks.exe /Query /TN "\\Karte\\日次"', 'C:\\Program Files (x86)\\Karte\\karteupd.exe'),
             ('C:\\Program Files (x86)\\Microsoft\\EdgeUpdate\\MicrosoftEdgeUpdate.exe', '"MicrosoftEdgeUpdate.exe" /ua /installsource scheduler', S32 + 'svchost.exe'),
             ('C:\\Program Files\\Common Files\\Microsoft Shared\\ClickToRun\\OfficeC2RClient.exe', '"OfficeC2RClient.exe" /frequentupdate SCHEDULEDTASK displaylevel=False', S32 + 'svchost.exe'),
             ('cleanmgr.exe', 'C:\\Windows\\system32\\cleanmgr.exe /autoclean /d C:', S32 + 'svchost.exe'),
             ('defrag.exe', 'C:\\Windows\\system32\\defrag.exe -c -h -o -$', S32 + 'svchost.exe'), ('gpupdate.exe', 'gpupdate.exe /target:computer', S32 + 'svchost.exe'),
             ('CompatTelRunner.exe', 'C:\\Windows\\system32\\compattelrunner.exe -maintenance', S32 + 'svchost.exe')]
    for day in range(7):
        for m in h.machines:
            for image, line, parent in lines:
                for _ in range(2 if m.role == 'pc' else 5):
                    ran(h, h.at(day, h.rnd.randrange(24), h.rnd.randrange(60)), m, image, line, parent)
            for name in ('Windows Update', 'Background Intelligent Transfer Service', 'Windows モジュール インストーラー', 'Microsoft ストア インストール サービス',
                         'Software Protection', 'WMI Performance Adapter'):
                t = h.at(day, h.rnd.randrange(7, 20), h.rnd.randrange(60))
                service(h, t, m, name, '実行中')
                service(h, t + 300, m, name, '停止')
            h.win(h.at(day, 6, h.rnd.randrange(60)), m, SYS, 'Microsoft-Windows-Time-Service', 35, TimeSource='time.hosp.local,0x9')
            h.win(h.at(day, 6, 30), m, SEC, AUDIT, 4616, SubjectUserName='LOCAL SERVICE', PreviousTime='2026-11-02T21:30:00.1000000Z',
                  NewTime='2026-11-02T21:30:00.0000000Z', ProcessName=S32 + 'svchost.exe', SubjectUserSid='S-1-5-19')
            for _ in range(6):
                logon(h, h.at(day, h.rnd.randrange(24), h.rnd.randrange(60)), m, 'SYSTEM', 5, admin=True)
            script(h, h.at(day, 12, 30), m, "$s = Get-Service -Name 'wuauserv'; if ($s.Status -ne 'Running') { Write-Output 'ok' }")
            script(h, h.at(day, 12, 31), m, 'Set-StrictMode -Version Latest; prompt')
            h.win(h.at(day, 12, 31), m, 'Windows PowerShell', 'PowerShell', 400, **{'param1': 'Available', 'param2': 'None', 'Data': 'NewEngineState=Available '
                  'PreviousEngineState=None HostName=ConsoleHost HostVersion=5.1.20348.1 HostApplication=powershell.exe EngineVersion=5.1.20348.1'})


def updates(h):
    """Wednesday night: updates, and everything starts anew; what was running stops first, the record of events, too."""
    for m in h.machines:
        t = h.at(2, 3 if m.role != 'pc' else 12, h.rnd.randrange(50))
        h.win(t, m, SYS, 'Microsoft-Windows-WindowsUpdateClient', 43, updateTitle='2026-10 Windows の累積更新プログラム (KB5044273)')
        ran(h, t + 5, m, 'wuauclt.exe', '"C:\\Windows\\system32\\wuauclt.exe" /UpdateDeploymentProvider UpdateDeploymentProvider.dll /ClassId x /RunHandlerComServer', S32 + 'svchost.exe')
        ran(h, t + 60, m, 'C:\\Windows\\servicing\\TrustedInstaller.exe', '', S32 + 'services.exe')
        ran(h, t + 61, m, 'C:\\Windows\\WinSxS\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.20348.1\\TiWorker.exe', 'TiWorker.exe -Embedding', S32 + 'svchost.exe')
        ran(h, t + 90, m, 'C:\\Windows\\SoftwareDistribution\\Download\\Install\\AM_Delta_Patch_1.421.exe', '"AM_Delta_Patch_1.421.exe" WD /stub 1.1.24080.9', S32 + 'wuauclt.exe')
        ran(h, t + 100, m, 'msiexec.exe', 'C:\\Windows\\system32\\msiexec.exe /V', S32 + 'services.exe')
        ran(h, t + 110, m, 'wusa.exe', '"C:\\Windows\\system32\\wusa.exe" C:\\ProgramData\\Karte\\update\\kb.msu /quiet /norestart', 'C:\\Program Files (x86)\\Karte\\karteupd.exe')
        h.win(t + 400, m, SYS, 'Microsoft-Windows-WindowsUpdateClient', 19, updateTitle='2026-10 Windows の累積更新プログラム (KB5044273)')
        h.win(t + 500, m, SYS, 'User32', 1074, param1=S32 + 'svchost.exe', param2=m.name, param3='オペレーティング システム: サービス パック (計画済)', param4='0x80020010',
              param5='再起動', param7='NT AUTHORITY\\SYSTEM')
        for name in ('Microsoft Defender Antivirus Service', 'Microsoft Defender Antivirus Network Inspection Service', 'Windows Defender Firewall', 'Windows Event Log',
                     'Print Spooler', 'Volume Shadow Copy', 'Karte Server'):
            service(h, t + 510, m, name, '停止')
        h.win(t + 515, m, SEC, 'Microsoft-Windows-Eventlog', 1100)
        h.win(t + 516, m, SYS, 'EventLog', 6006)
        h.win(t + 520, m, SYS, 'Microsoft-Windows-Kernel-General', 13, StopTime='2026-11-03T18:00:00Z')
        h.win(t + 560, m, SYS, 'Microsoft-Windows-Kernel-General', 12, MajorVersion='10', StartTime='2026-11-03T18:01:00Z')
        h.win(t + 561, m, SYS, 'EventLog', 6009)
        h.win(t + 562, m, SYS, 'EventLog', 6005)
        h.win(t + 563, m, SEC, AUDIT, 4608)
        h.win(t + 563, m, SEC, AUDIT, 4826, LoadOptions='-', AdvancedOptions='%%1843', TestSigning='%%1843')
        for name in ('Windows Event Log', 'Windows Defender Firewall', 'Microsoft Defender Antivirus Service', 'Print Spooler', 'Karte Server'):
            service(h, t + 570, m, name, '実行中')
        h.win(t + 600, m, SYS, SCM, 7040, param1='Background Intelligent Transfer Service', param2='自動開始', param3='要求時開始', param4='BITS')
        h.win(t + 640, m, *DEF, 2002, **{'Product Name': 'Microsoft Defender Antivirus', 'Current Engine Version': '1.1.24090.11'})
    for m in h.rnd.sample(h.pcs, 3):    # the scanner is updated itself: it stops and is there again
        t = h.at(3, 12, h.rnd.randrange(50))
        service(h, t, m, 'Microsoft Defender Antivirus Service', '停止')
        h.win(t + 20, m, SYS, SCM, 7045, ServiceName='Microsoft Defender Core Service', ImagePath='"C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.24090.11-0'
              '\\MpDefenderCoreService.exe"', ServiceType='ユーザー モード サービス', StartType='自動開始', AccountName='LocalSystem')
        service(h, t + 30, m, 'Microsoft Defender Antivirus Service', '実行中')


def backups(h):
    """Every night: shadow copies are made, the oldest goes, files are written and the oldest generation is thinned out by the program."""
    s = h.servers[-1] if h.kind == 'clinic' else h.servers[3]
    tool = 'C:\\Program Files\\BackupKun\\'
    for day in range(7):
        t = h.at(day, 0, 30)
        service(h, t, s, 'Volume Shadow Copy', '実行中')
        service(h, t + 1, s, 'Microsoft Software Shadow Copy Provider', '実行中')
        ran(h, t + 2, s, tool + 'bkagent.exe', f'"{tool}bkagent.exe" /job nightly', S32 + 'services.exe')
        ran(h, t + 3, s, 'vssadmin.exe', 'vssadmin list shadows /for=D:', tool + 'bkagent.exe')
        ran(h, t + 4, s, 'vssadmin.exe', 'vssadmin create shadow /for=D:', tool + 'bkagent.exe')
        h.win(t + 20, s, 'Application', 'VSS', 8224)
        ran(h, t + 30, s, 'wbadmin.exe', 'wbadmin start backup -backupTarget:E: -include:C: -allCritical -quiet', tool + 'bkagent.exe')
        ran(h, t + 35 * MIN, s, 'wbadmin.exe', 'wbadmin delete backup -keepVersions:14 -backupTarget:E: -quiet', tool + 'bkagent.exe')
        ran(h, t + 36 * MIN, s, 'vssadmin.exe', 'vssadmin delete shadows /for=D: /oldest /quiet', tool + 'bkagent.exe')
        for i in range(9):
            h.win(t + 40 * MIN + i, s, *SYSMON, 11, Image=tool + 'bkagent.exe', TargetFilename=f'E:\\Backup\\2026-11-{day + 2:02}\\part{i}.vhdx', User='NT AUTHORITY\\SYSTEM')
        for i in range(64):     # the generation of five weeks ago
            h.win(t + 41 * MIN + i // 4, s, *SYSMON, 23, Image=tool + 'bkagent.exe', TargetFilename=f'E:\\Backup\\2026-09-{day + 20:02}\\part{i}.vhdx',
                  User='NT AUTHORITY\\SYSTEM', IsExecutable='false', Archived='false')
        h.win(t + 50 * MIN, s, 'Microsoft-Windows-Backup', 'Microsoft-Windows-Backup', 4)
        script(h, t + 45 * MIN, s, "Get-WBSummary | Select-Object LastSuccessfulBackupTime | Export-Csv -Encoding UTF8 D:\\log\\wb.csv", 'D:\\script\\check.ps1')
        ran(h, t + 45 * MIN, s, 'WindowsPowerShell\\v1.0\\powershell.exe', 'powershell.exe -NoProfile -ExecutionPolicy Bypass -File D:\\script\\check.ps1', S32 + 'svchost.exe')
        for o in h.servers:     # the program visits the servers under its own account
            logon(h, t + 20, o, 'svc-backup', 3, s.ip, s.name, 'NTLM', admin=True)


def care(h):
    """The vendor in the booked window; the director from home; a new PC; the list of assets goes round."""
    s, note = h.servers[0], h.pcs[-2]
    t = h.at(2, 21, 12)
    failed(h, t - 15, s, 'gyosha', 10, '10.212.134.211', 'VENDOR-PC')
    logon(h, t, s, 'gyosha', 10, '10.212.134.211', 'VENDOR-PC', admin=True)
    for i, (image, line) in enumerate([('C:\\Windows\\explorer.exe', ''), ('cmd.exe', '"C:\\Windows\\system32\\cmd.exe"'), ('ipconfig.exe', 'ipconfig  /all'), ('PING.EXE', 'ping  192.168.1.10'),
                                       ('net.exe', 'net  stop KarteServer'), ('net1.exe', 'C:\\Windows\\system32\\net1  stop KarteServer'),
                                       ('msiexec.exe', 'msiexec.exe /i C:\\Vendor\\karte-12.3.msi /qb /L*v C:\\Vendor\\setup.log'), ('net.exe', 'net  start KarteServer'),
                                       ('mmc.exe', '"C:\\Windows\\system32\\mmc.exe" "C:\\Windows\\system32\\eventvwr.msc" /s'), ('Taskmgr.exe', '"C:\\Windows\\system32\\taskmgr.exe" /4'),
                                       ('regedit.exe', '"C:\\Windows\\regedit.exe"'), ('sqlcmd.exe', 'sqlcmd -S localhost -i C:\\Vendor\\alter.sql'),
                                       ('robocopy.exe', 'robocopy C:\\Vendor\\new "C:\\Program Files (x86)\\Karte" /E /LOG:C:\\Vendor\\copy.log')]):
        ran(h, t + 60 + i * 200, s, image, line, S32 + 'cmd.exe' if i > 1 else 'C:\\Windows\\explorer.exe', 'gyosha')
    service(h, t + 900, s, 'Karte Server', '停止')
    service(h, t + 1500, s, 'Karte Server', '実行中')
    h.win(t + 1200, s, SYS, SCM, 7045, ServiceName='Karte Update Service', ImagePath='"C:\\Program Files (x86)\\Karte\\karteupd.exe"', ServiceType='ユーザー モード サービス',
          StartType='自動開始', AccountName='LocalSystem')
    h.win(t + 1201, s, 'Application', 'MsiInstaller', 11707, Data='製品: Karte 12.3 -- インストール操作が正常に完了しました。')
    for day in (0, 1, 3, 6):
        for i in range(h.rnd.choice([0, 1, 2])):        # a new keyboard
            failed(h, h.at(day, 20, 39, 10 * i), s, 'incho', 3, '10.212.134.210', 'INCHO-HOME')
        logon(h, h.at(day, 20, 40), s, 'incho', 10, '10.212.134.210', 'INCHO-HOME')
    new = h.pcs[-3]
    t = h.at(4, 13, 10)
    for i, (image, line) in enumerate([('oobe\\Setup.exe', 'setup.exe /preinstall'), ('net.exe', 'net  user sato-n * /add'), ('net1.exe', 'C:\\Windows\\system32\\net1  user sato-n * /add'),
                                       ('powercfg.exe', 'powercfg /change standby-timeout-ac 0'), ('printui.exe', 'printui.exe /il'), ('w32tm.exe', 'w32tm /resync'),
                                       ('C:\\Users\\Public\\Downloads\\OfficeSetup.exe', 'OfficeSetup.exe'), ('msiexec.exe', 'msiexec.exe /i \\\\SV-KARTE\\setup\\karte-client.msi'),
                                       ('wusa.exe', 'wusa.exe windows10.0-kb.msu'), ('reg.exe', 'reg add HKLM\\SOFTWARE\\Karte /v Server /d SV-KARTE /f')]):
        ran(h, t + i * 120, new, image, line, S32 + 'cmd.exe', 'kanri')
    h.win(t + 120, new, SEC, AUDIT, 4720, TargetUserName='sato-n', TargetDomainName=new.name, SubjectUserName='kanri', SubjectDomainName=new.name, SamAccountName='sato-n')
    h.win(t + 121, new, SEC, AUDIT, 4732, MemberSid='S-1-5-21-9-9-9-1002', TargetUserName='Users', TargetSid='S-1-5-32-545', TargetDomainName='Builtin', SubjectUserName='kanri')
    for name in ('ESET Security', 'Karte Client Helper'):
        h.win(t + 900, new, SYS, SCM, 7045, ServiceName=name, ImagePath=f'"C:\\Program Files\\{name}\\{name.split()[0].lower()}svc.exe"', ServiceType='ユーザー モード サービス',
              StartType='自動開始', AccountName='LocalSystem')
    for number in (5001, 5010):     # another scanner takes over
        h.win(t + 905, new, *DEF, number, **{'Product Name': 'Microsoft Defender Antivirus'})
    for day, end in h.open_days():  # the list of assets is made: one account asks every machine in turn
        for i, m in enumerate(h.machines):
            logon(h, h.at(day, 12, 45) + i * 25, m, 'svc-shisan', 3, h.servers[0].ip, h.servers[0].name, 'NTLM', admin=True)


def week(h):
    for part in (mornings, work, accounts, defender, housekeeping, updates, backups, care):
        part(h)
