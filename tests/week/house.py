"""Who and what is in the house, the clock of the week, and how each device writes a line."""
import json
from datetime import datetime, timedelta, timezone

JST = timezone(timedelta(hours=9))
DAY, HOUR, MIN = 86400, 3600, 60
CLAIMS = '192.0.2.40'        # the receiving server of online claims
UPDATES = ['203.0.113.80', '203.0.113.81', '203.0.113.82']
VENDOR = '198.51.100.20'     # the line of the vendor of the chart system
HOME = '198.51.100.201'      # the director's home
CLOUD = '192.0.2.77'         # a cloud backup that was agreed on


class Machine:
    def __init__(self, name, ip, user, role):
        self.name, self.ip, self.user, self.role = name, ip, user, role
        self.record = 1000


class House:
    def __init__(self, kind, rnd, start):
        self.kind, self.rnd, self.start, self.out = kind, rnd, start, []
        self.domain = 'HOSP' if kind == 'hospital' else 'WORKGROUP'
        self.fw, self.ix, self.rtx = '192.168.1.1', '192.168.1.2', '192.168.1.3'
        self.orca, self.nas, self.ups = '192.168.1.10', '192.168.1.12', '192.168.1.13'
        names = {'clinic': [('SV-KARTE', 'server'), ('UKETSUKE1', 'pc'), ('UKETSUKE2', 'pc'), ('KAIKEI1', 'pc'), ('SHINSATSU1', 'pc'),
                            ('SHINSATSU2', 'pc'), ('SHOCHI1', 'pc'), ('KENSA1', 'pc'), ('INCHO-NOTE', 'pc'), ('SHIKAKU-PC', 'pc')]}
        names['hospital'] = [('DC01', 'dc'), ('SV-KARTE', 'server'), ('SV-FILE', 'server'), ('SV-BACKUP', 'server'), ('SV-PACS', 'server')]
        for ward, n in [('UKETSUKE', 5), ('IJI', 6), ('GAIRAI', 10), ('BYOTO', 12), ('KENSA', 4), ('YAKKYOKU', 3), ('SOMU', 4), ('SHIKAKU', 1)]:
            names['hospital'] += [(f'{ward}-{i + 1:02}', 'pc') for i in range(n)]
        who = ['sato', 'suzuki', 'takahashi', 'tanaka', 'ito', 'watanabe', 'yamamoto', 'nakamura', 'kobayashi', 'kato', 'yoshida', 'yamada', 'sasaki',
               'matsumoto', 'inoue', 'kimura', 'hayashi', 'saito', 'shimizu', 'mori', 'abe', 'ikeda', 'hashimoto', 'ishikawa', 'ogawa']
        self.machines = [Machine(n, f'192.168.1.{20 + i}', f'{who[i % len(who)]}{i // len(who) or ""}', role) for i, (n, role) in
                         enumerate(names[kind])]
        self.pcs = [m for m in self.machines if m.role == 'pc']
        self.servers = [m for m in self.machines if m.role != 'pc']
        self.printers = [f'192.168.1.{200 + i}' for i in range(2 if kind == 'clinic' else 6)]
        self.dc = self.servers[0] if kind == 'hospital' else None

    # ---- the clock

    def at(self, day, hour, minute=0, second=0):
        """Seconds UTC of a moment of the week; day 0 is Monday."""
        return self.start + day * DAY + hour * HOUR + minute * MIN + second

    def open_days(self):
        """Thursday afternoon, Sunday and (here) the holiday of Tuesday are closed; Saturday ends at noon."""
        return [(0, 18), (2, 18), (3, 12), (4, 18), (5, 12)] if self.kind == 'clinic' else [(0, 18), (1, 18), (2, 18), (3, 18), (4, 18), (5, 13)]

    def busy(self, times, spread=2.0):
        """So many moments a day at which people work, more of them in the morning."""
        for day, end in self.open_days():
            for _ in range(times):
                hour = min(end - 0.1, self.rnd.triangular(8.2, end, 9.5 + self.rnd.random() * spread))
                yield self.at(day, 0) + int(hour * HOUR)

    # ---- lines

    def put(self, t, sender, text):
        self.out.append((int(t), len(self.out), sender, text))

    def lines(self):
        for t, _, sender, text in sorted(self.out):
            yield f'{t}\t{sender}\t{text}'

    def books(self):
        """The vendor on Wednesday night, and the maker of the X-ray on Friday afternoon."""
        yield f'gyosha,{VENDOR},{self.at(2, 21)},{self.at(2, 23)}'
        yield f'xray-m,-,{self.at(4, 15)},{self.at(4, 17)}'

    def forti(self, t, **kv):
        d = datetime.fromtimestamp(t, JST)
        level = kv.pop('level', 'notice')
        text = f'date={d:%Y-%m-%d} time={d:%H:%M:%S} devname="FG60F" devid="FGT60FTK21000000" eventtime={t}{self.rnd.randrange(10**9):09} tz="+0900" '
        logid, kind, sub = kv.pop('logid'), kv.pop('type'), kv.pop('subtype')
        text += f'logid="{logid}" type="{kind}" subtype="{sub}" level="{level}" vd="root" '
        bare = ('srcip', 'dstip', 'remip', 'tunnelip')
        text += ' '.join(f'{k}={v}' if isinstance(v, int) or k in bare else f'{k}="{v}"' for k, v in kv.items())
        self.put(t, self.fw, f'<{188 if level == "warning" else 189}>{text}')

    def traffic(self, t, src, dst, port, sent, rcvd=0, action='accept', proto=6, duration=10):
        inside, outside = ('lan', 'wan1') if src.startswith('192.168.') or src.startswith('10.') else ('wan1', 'root')
        self.forti(t, logid='0000000013', type='traffic', subtype='forward' if inside == 'lan' else 'local', srcip=src,
                   srcport=self.rnd.randrange(49152, 65535), srcintf=inside, srcintfrole=inside, dstip=dst, dstport=port, dstintf=outside,
                   dstintfrole=outside, srccountry='Reserved' if inside == 'lan' else self.rnd.choice(['China', 'Netherlands', 'United States',
                                                                                                    'Russian Federation', 'Japan', 'Bulgaria']),
                   dstcountry='Japan', sessionid=self.rnd.randrange(10**8), proto=proto, action=action, policyid=1 if action != 'deny' else 0,
                   policytype='policy', service=str(port), trandisp='snat', duration=duration, sentbyte=sent, rcvdbyte=rcvd,
                   sentpkt=sent // 1400 + 1, rcvdpkt=rcvd // 1400 + 1)

    def unix(self, t, sender, host, program, text, pri=38, pid=None):
        d = datetime.fromtimestamp(t, JST)
        self.put(t, sender, f'<{pri}>{d:%b} {d.day:2} {d:%H:%M:%S} {host} {program}{f"[{pid}]" if pid else ""}: {text}')

    def win(self, t, m, channel, provider, number, **data):
        """One event of Windows: PCs by a forwarder that writes JSON, servers as XML by the collector of Windows."""
        m.record += 1
        level = data.pop('_level', 4)
        u = datetime.fromtimestamp(t, timezone.utc)
        d = datetime.fromtimestamp(t, JST)
        full = f'{m.name}.hosp.local' if self.kind == 'hospital' else m.name
        ms = self.rnd.randrange(1000)
        if m.role == 'pc':
            o = {'EventTime': f'{d:%Y-%m-%d %H:%M:%S}', 'Hostname': full, 'Keywords': '0x8020000000000000', 'EventType': 'INFO', 'SeverityValue': 2,
                 'EventID': number, 'SourceName': provider, 'RecordNumber': m.record, 'ProcessID': 4, 'ThreadID': 88, 'Channel': channel, **data}
            self.put(t, m.ip, f'<14>1 {d:%Y-%m-%dT%H:%M:%S}.{ms:03}+09:00 {full} {provider.replace(" ", "_")} - - - '
                     + json.dumps(o, ensure_ascii=False))
        else:
            def esc(v):
                return str(v).replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('"', '&quot;')
            rows = ''.join(f"<Data Name='{k}'>{esc(v)}</Data>" for k, v in data.items())
            self.put(t, m.ip, "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
                     f"<Provider Name='{provider}'/><EventID>{number}</EventID><Version>0</Version><Level>{level}</Level><Task>0</Task><Opcode>0</Opcode>"
                     f"<Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='{u:%Y-%m-%dT%H:%M:%S}.{ms:03}Z'/>"
                     f"<EventRecordID>{m.record}</EventRecordID><Execution ProcessID='700' ThreadID='88'/><Channel>{channel}</Channel>"
                     f"<Computer>{full}</Computer><Security/></System><EventData>{rows}</EventData></Event>")
