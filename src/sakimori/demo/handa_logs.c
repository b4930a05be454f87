#include "sakimori/demo/handa_logs.h"

#include <errno.h>
#include <stdarg.h>

#include "core/time.h"


#define MIN_MS ((int64_t)60 * 1000)
#define FROM "203.0.113.9"    /* outside; RFC 5737 */
#define TUNNEL "10.212.134.230"
#define OUTSIDE "198.51.100.44"
#define PC "192.168.77.21"
#define SERVER "192.168.77.10"

static void moment(int64_t at_ms, int zone_h, char day[16], char clock[16])
{
    struct sm_time t = { .s = at_ms / 1000 + zone_h * 3600 };
    char text[SM_TIME_TEXT];
    sm_time_rfc3339(t, text);
    (void)snprintf(day, 16, "%.10s", text);       /* fits */
    (void)snprintf(clock, 16, "%.8s", text + 11); /* fits */
}

static int sm_printf(3, 4) edge(struct sm_buf *to, int64_t at_ms, const char *fmt, ...)
{
    char day[16], clock[16], rest[512];
    va_list v;
    va_start(v, fmt);
    (void)vsnprintf(rest, sizeof rest, fmt, v); /* fits */
    va_end(v);
    moment(at_ms, 9, day, clock);
    return sm_buf_printf(to, "<189>date=%s time=%s devname=\"FW1\" devid=\"FGT60FTK1\" tz=\"+0900\" %s\n", day, clock, rest);
}

static int sm_printf(6, 7) windows(
    struct sm_buf *to, int64_t at_ms, const char *host, int id, const char *channel, const char *fmt, ...)
{
    char day[16], clock[16], rest[512];
    const char *provider = id == 1102 ? "Microsoft-Windows-Eventlog" : id == 7036 ? "Service Control Manager" :
        id == 11 || id == 23 ? "Microsoft-Windows-Sysmon" : id == 307 ? "Microsoft-Windows-PrintService" : "Microsoft-Windows-Security-Auditing";
    va_list v;
    va_start(v, fmt);
    (void)vsnprintf(rest, sizeof rest, fmt, v); /* fits */
    va_end(v);
    moment(at_ms, 0, day, clock);
    return sm_buf_printf(to,
        "<13>1 %sT%sZ %s Windows 700 - - {\"EventTime\":\"%sT%sZ\",\"Hostname\":\"%s\",\"Channel\":\"%s\",\"EventID\":%d,\"SourceName\":\"%s\",%s}\n",
        day, clock, host, day, clock, host, channel, id, provider, rest);
}

static int vpn(struct sm_buf *to, int64_t t)
{
    int r = 0;
    for (int i = 0; i < 6 && !r; i++)
        r = edge(to, t + i * 10000,
            "logid=\"0101039426\" type=\"event\" subtype=\"vpn\" level=\"alert\" vd=\"root\" action=\"ssl-login-fail\" tunneltype=\"ssl-web\" remip=" FROM
            " user=\"hoshu\" srccountry=\"Netherlands\" reason=\"sslvpn_login_permission_denied\" msg=\"SSL user failed to logged in\"");
    return r ? r : edge(to, t + 90000, "logid=\"0101039424\" type=\"event\" subtype=\"vpn\" level=\"information\" vd=\"root\" action=\"ssl-login\" tunneltype=\"ssl-web\" remip=" FROM
            " user=\"hoshu\" srccountry=\"Netherlands\" msg=\"SSL user logged in\"");
}

static int session(struct sm_buf *to, int64_t t)
{
    return edge(to, t,
        "logid=\"0101039424\" type=\"event\" subtype=\"vpn\" level=\"information\" vd=\"root\" action=\"tunnel-up\" tunneltype=\"ssl-tunnel\" tunnelid=77 remip=" FROM
        " tunnelip=" TUNNEL " user=\"hoshu\" srccountry=\"Netherlands\" msg=\"SSL tunnel established\"");
}

static int logon(struct sm_buf *to, int64_t t, const char *host, int id, int type, const char *from, const char *station)
{
    return windows(to, t, host, id, "Security",
        "\"TargetUserName\":\"Administrator\",\"LogonType\":\"%d\",\"IpAddress\":\"%s\",\"WorkstationName\":\"%s\"", type, from, station);
}

static int rdp(struct sm_buf *to, int64_t t)
{
    int r = logon(to, t, "UKETSUKE-1", 4625, 10, TUNNEL, "DESKTOP-1");
    if (!r)
        r = logon(to, t + 6000, "UKETSUKE-1", 4625, 10, TUNNEL, "DESKTOP-1");
    return r ? r : logon(to, t + 20000, "UKETSUKE-1", 4624, 10, TUNNEL, "DESKTOP-1");
}

static int traffic(struct sm_buf *to, int64_t t, const char *src, const char *dst, int port, int64_t sent)
{
    return edge(to, t,
        "logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" vd=\"root\" srcip=%s srcport=51000 dstip=%s dstport=%d proto=6 action=\"accept\" sentbyte=%lld rcvdbyte=0",
        src, dst, port, (long long)sent);
}

static int sweep(struct sm_buf *to, int64_t t)
{
    static const int ports[] = { 445, 3389, 5432, 104 };
    int r = 0;
    for (int i = 0; i < 40 && !r; i++) {
        char dst[32];
        (void)snprintf(dst, sizeof dst, "192.168.77.%d", 50 + i); /* fits */
        r = traffic(to, t + i * 500, PC, dst, ports[i % 4], 0);
    }
    return r;
}

static int one_password(struct sm_buf *to, int64_t t)
{
    int r = 0;
    for (int i = 0; i < 8 && !r; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, i == 7 ? "KARTE-SV" : "PC-%02d", i + 1); /* fits; the last is the server */
        r = logon(to, t + i * 20000, host, 4624, 3, PC, "UKETSUKE-1");
    }
    return r;
}

static int blind(struct sm_buf *to, int64_t t)
{
    int r = windows(to, t, "KARTE-SV", 7036, "System", "\"param1\":\"ウイルスバスター Corp. クライアント\",\"param2\":\"停止\"");
    return r ? r : windows(to, t + 5 * MIN_MS, "KARTE-SV", 1102, "Security", "\"SubjectUserName\":\"Administrator\",\"SubjectDomainName\":\"CLINIC\"");
}

static int no_backups(struct sm_buf *to, int64_t t)
{
    int r = 0;
    for (int i = 0; i < 120 && !r; i++)
        r = windows(to, t + i * 2000, "KARTE-SV", 23, "Microsoft-Windows-Sysmon/Operational",
            "\"Image\":\"C:\\\\Windows\\\\explorer.exe\",\"TargetFilename\":\"E:\\\\Backup\\\\2026-10-%02d\\\\%d.vhdx\",\"User\":\"CLINIC\\\\Administrator\"", i % 30 + 1, i);
    return r;
}

static int outflow(struct sm_buf *to, int64_t t)
{
    int r = 0;
    for (int i = 0; i < 5 && !r; i++)
        r = traffic(to, t + i * 10 * MIN_MS, SERVER, OUTSIDE, 443, (int64_t)8000000000);
    return r;
}

static int printers(struct sm_buf ret[HANDA_DEVICES], int64_t t)
{
    int r = 0;
    for (int i = 0; i < 6 && !r; i++) {
        char dst[32];
        (void)snprintf(dst, sizeof dst, "192.168.77.%d", 201 + i % 3); /* fits */
        r = traffic(&ret[HANDA_EDGE], t, SERVER, dst, 9100, 50000);
    }
    for (int i = 0; i < 40 && !r; i++)
        r = windows(&ret[HANDA_WINDOWS], t + i * 3000, "KARTE-SV", 307, "Microsoft-Windows-PrintService/Operational",
            "\"Param1\":\"%d\",\"Param2\":\"README\",\"Param3\":\"Administrator\"", i);
    return r;
}

int handa_lines(int n, int64_t at_ms, struct sm_buf ret[HANDA_DEVICES])
{
    switch (n) {
    case 1: return vpn(&ret[HANDA_EDGE], at_ms);
    case 2: return session(&ret[HANDA_EDGE], at_ms);
    case 3: return rdp(&ret[HANDA_WINDOWS], at_ms);
    case 4: return sweep(&ret[HANDA_EDGE], at_ms);
    case 5: return one_password(&ret[HANDA_WINDOWS], at_ms);
    case 6: return blind(&ret[HANDA_WINDOWS], at_ms);
    case 7: return no_backups(&ret[HANDA_WINDOWS], at_ms);
    case 8: return outflow(&ret[HANDA_EDGE], at_ms);
    case 10: return printers(ret, at_ms);
    default: return 0;
    }
}
