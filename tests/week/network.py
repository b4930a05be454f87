"""Firewall, routers, VPN, printers: what goes through the wires in a quiet week."""
from house import CLAIMS, CLOUD, DAY, HOME, HOUR, MIN, UPDATES, VENDOR

VPN = dict(type='event', subtype='vpn')


def vpn_up(h, t, user, remote, tunnel, country='Japan'):
    h.forti(t, logid='0101039424', level='information', logdesc='SSL VPN tunnel up', action='tunnel-up', tunneltype='ssl-tunnel',
            tunnelid=h.rnd.randrange(10**9), remip=remote, srccountry=country, tunnelip=tunnel, user=user, group='VPN-USERS', dst_host='N/A',
            reason='tunnel established', msg='SSL tunnel established', **VPN)


def vpn_down(h, t, user, remote, tunnel, sent):
    h.forti(t, logid='0101039425', level='information', logdesc='SSL VPN tunnel down', action='tunnel-down', tunneltype='ssl-tunnel',
            tunnelid=h.rnd.randrange(10**9), remip=remote, tunnelip=tunnel, user=user, group='VPN-USERS', dst_host='N/A', reason='N/A', duration=3000,
            sentbyte=sent, rcvdbyte=sent // 8, msg='SSL tunnel shutdown', **VPN)


def vpn_fail(h, t, user, remote, country='Japan'):
    h.forti(t, logid='0101039426', level='alert', logdesc='SSL VPN login fail', action='ssl-login-fail', tunneltype='ssl-web', tunnelid=0,
            remip=remote, srccountry=country, user=user, group='N/A', dst_host='N/A', reason='sslvpn_login_permission_denied',
            msg='SSL user failed to logged in', **VPN)


def people(h):
    """Web, mail, updates of programs, name server; inside to inside through the zones."""
    for t in h.busy(900 if h.kind == 'clinic' else 5000):
        m = h.rnd.choice(h.machines)
        h.traffic(t, m.ip, f'203.0.113.{h.rnd.randrange(90, 250)}', h.rnd.choice([443, 443, 443, 443, 80, 993, 123]), h.rnd.randrange(400, 90000),
                  h.rnd.randrange(1000, 900000))
    for t in h.busy(40):
        h.traffic(t, h.rnd.choice(h.pcs).ip, h.rnd.choice(h.printers), 9100, h.rnd.randrange(20000, 900000), 600)
    for t in h.busy(100):
        h.traffic(t, h.rnd.choice(h.pcs).ip, h.servers[0].ip, h.rnd.choice([445, 1433, 443]), 30000, 90000)
    for t in h.busy(30):      # pictures from the X-ray
        h.traffic(t, h.pcs[-2].ip, h.servers[-1].ip, 104, 30_000_000, 2000)


def internet(h):
    """What knocks at every firewall, day and night: scans, and passwords tried at the VPN from all over the world."""
    for _ in range(7 * (400 if h.kind == 'clinic' else 2000)):
        t = h.start + h.rnd.randrange(7 * DAY)
        source = f'{h.rnd.choice([45, 80, 94, 141, 176, 185, 193])}.{h.rnd.randrange(256)}.{h.rnd.randrange(256)}.{h.rnd.randrange(1, 255)}'
        h.traffic(t, source, '203.0.113.5', h.rnd.choice([22, 23, 80, 443, 445, 3389, 5060, 5555, 8080, 8443, 8728, 10443, 1433, 6379]), 0, 0, 'deny')
    for _ in range(7):        # one that goes through many ports in a minute
        t, source = h.start + h.rnd.randrange(7 * DAY), f'185.{h.rnd.randrange(256)}.{h.rnd.randrange(256)}.7'
        for port in range(20, 120):
            h.traffic(t + port // 10, source, '203.0.113.5', port, 0, 0, 'deny')
    for _ in range(7 * 12):
        t = h.start + h.rnd.randrange(7 * DAY)
        source = f'{h.rnd.choice([45, 80, 141, 185])}.{h.rnd.randrange(256)}.{h.rnd.randrange(256)}.{h.rnd.randrange(1, 255)}'
        for i in range(h.rnd.randrange(1, 8)):
            vpn_fail(h, t + i * 4, h.rnd.choice(['admin', 'test', 'vpn', 'user1', 'guest', 'administrator', 'scan']), source, 'Netherlands')
    for _ in range(7 * 6):
        t = h.start + h.rnd.randrange(7 * DAY)
        h.put(t, h.rtx, f'<134>PP[01] Rejected at IN(2000) filter: TCP 45.9.{h.rnd.randrange(256)}.9:{h.rnd.randrange(1024, 65535)} > 203.0.113.6:'
              + str(h.rnd.choice([22, 23, 445, 3389])))
        h.put(t + 5, h.ix, f'<134>FW.001: BLOCK TCP 45.9.{h.rnd.randrange(256)}.9:40000 > 203.0.113.7:23, match WAN-IN')


def remote(h):
    """The director at home in the evening, with a mistyped password; the vendor and the maker of the X-ray in their windows."""
    for day in (0, 1, 3, 6):
        t = h.at(day, 20, h.rnd.randrange(60))
        for i in range(h.rnd.randrange(0, 3)):
            vpn_fail(h, t - 60 + 20 * i, 'incho', HOME)
        vpn_up(h, t, 'incho', HOME, '10.212.134.210')
        for i in range(20):
            h.traffic(t + 30 + i * 60, '10.212.134.210', h.servers[0].ip, 3389, 40000, 900000)
        vpn_down(h, t + HOUR, 'incho', HOME, '10.212.134.210', 30_000_000)
    t = h.at(2, 21, 10)
    vpn_fail(h, t - 40, 'gyosha', VENDOR)
    vpn_up(h, t, 'gyosha', VENDOR, '10.212.134.211')
    vpn_down(h, t + 80 * MIN, 'gyosha', VENDOR, '10.212.134.211', 300_000_000)
    t = h.at(4, 15, 20)
    vpn_up(h, t, 'xray-m', '198.51.100.61', '10.212.134.212')
    vpn_down(h, t + 50 * MIN, 'xray-m', '198.51.100.61', '10.212.134.212', 20_000_000)
    for day, end in h.open_days():      # who looks after the devices, from inside
        if day % 2 == 0:
            h.forti(h.at(day, 10, 5), logid='0100032001', type='event', subtype='system', level='information', logdesc='Admin login successful',
                    sn='1', user='admin', ui=f'https({h.machines[0].ip})', method='https', srcip=h.machines[0].ip, dstip=h.fw, action='login',
                    status='success', reason='none', msg=f'Administrator admin logged in successfully from https({h.machines[0].ip})')
            h.put(h.at(day, 10, 20), h.rtx, f'<134>Login succeeded for HTTP: {h.machines[0].ip}')


def batches(h):
    """Night: claims go out in the first days of the month, the cloud backup every night, updates for everybody."""
    for day in range(7):
        size = (6 if h.kind == 'clinic' else 90) * 10**9
        for i in range(6):              # the agreed cloud backup of what changed
            h.traffic(h.at(day, 1, i * 9), h.servers[-1].ip, CLOUD, 443, size // 60, 400000, duration=500)
        for m in h.machines:            # updates come in
            for i in range(3):
                h.traffic(h.at(day, h.rnd.choice([3, 12, 13]), h.rnd.randrange(60)), m.ip, h.rnd.choice(UPDATES), 443, 60000, 90_000_000)
    for day in range(4, 7):             # the 6th to the 8th: claims of last month, at night
        for i in range(12 if h.kind == 'clinic' else 40):
            h.traffic(h.at(day, 23, 10) + i * 120, h.orca, CLAIMS, 443, 150_000_000, 300000, duration=100)
    for day, end in h.open_days():      # who is insured, asked all day over the line of the online service
        for i in range(200):
            h.put(h.at(day, 8, 30) + i * 120, h.ix, f'<134>FW.003: PERMIT TCP {h.pcs[-1].ip}:{40000 + i} > 10.90.1.20:443, match ONSHI')


def looking(h):
    """The printer's management and the list of assets look for devices once a day; an access point hands out addresses."""
    for day, end in h.open_days():
        t = h.at(day, 12, 40)
        for i in range(1, 255):         # SNMP and printing, not the doors of servers
            h.traffic(t + i // 4, h.machines[0].ip, f'192.168.1.{i}', 161, 80, 80, proto=17, duration=1)
        for i, p in enumerate(h.printers):
            h.traffic(t + 90 + i * 20, h.machines[0].ip, p, 80, 500, 3000)
    for day in range(7):
        for i, m in enumerate(h.pcs):
            h.put(h.at(day, 7, 50) + i * 11, h.rtx, f'<134>[DHCPD] LAN1(port1) Allocates {m.ip}: 00:a0:de:01:02:{i:02x}')
        h.put(h.at(day, 5), h.rtx, '<134>[IKE] SA[5] change state to ESTABLISHED')
        h.put(h.at(day, 5, 1), h.rtx, '<134>IP Tunnel[1] Up')
        h.put(h.at(day, 4, 2), h.ix, '<134>NTP.010: synchronized with 192.168.1.1')
        h.forti(h.at(day, 4), logid='0100020102', type='event', subtype='system', level='information', logdesc='NTP server status change', action='ntp',
                msg='clock was corrected by 0.8 seconds')


def printing(h):
    for t in h.busy(60 if h.kind == 'clinic' else 300):
        p = h.rnd.choice(h.printers)
        h.unix(t, p, 'printer-' + p.split('.')[-1], 'printer', f'Job {h.rnd.randrange(10**5)} completed pages={h.rnd.randrange(1, 9)}', 30)
        if h.rnd.random() < 0.05:
            h.unix(t + 30, p, 'printer-' + p.split('.')[-1], 'printer', 'paper out tray 1', 28)


def week(h):
    for part in (people, internet, remote, batches, looking, printing):
        part(h)
