// The chain of the hospitals as their devices log it, sent to a real box: one incident, told in order, by words of Japan.
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

let box, c;
const port = L.freePort() + 20100;
before(async () => {
  box = await L.Box.start({ config: { syslog_tcp: port, rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
});
after(async () => box?.stop().catch(() => {}));

const DAY = 86400e3, MIN = 60e3;
/* D-6 at 2:38 in Japan; everything lies in the past. */
const start = Math.floor((Date.now() - 7 * DAY) / DAY) * DAY + 17 * 3600e3 + 38 * MIN;
const jst = (t) => new Date(t + 9 * 3600e3).toISOString();
const utc = (t) => new Date(t).toISOString();
const forti = (t, rest) => `<189>date=${jst(t).slice(0, 10)} time=${jst(t).slice(11, 19)} devname="FW1" devid="FGT60FTK1" tz="+0900" ${rest}`;
const windows = (t, host, id, more, provider = 'Microsoft-Windows-Security-Auditing', channel = 'Security') =>
  `<13>1 ${utc(t)} ${host} ${provider} 700 - - ${JSON.stringify({ EventTime: utc(t), Hostname: host, Channel: channel, EventID: id, SourceName: provider, ...more })}`;
const send = (lines) => new Promise((ok, fail) => {
  const s = net.connect(port, '127.0.0.1', () => s.end(lines.map((l) => `${l}\n`).join(''), ok));
  s.on('error', fail);
});
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const incidents = async () => (await c.get('incidents?open=1')).items;

const vpnFail = (t) => forti(t, 'logid="0101039426" type="event" subtype="vpn" level="alert" vd="root" action="ssl-login-fail" tunneltype="ssl-web" remip=203.0.113.9 user="hoshu" reason="sslvpn_login_permission_denied" msg="SSL user failed to logged in"');
const vpnUp = (t, user, from, tunnel, country) => forti(t, `logid="0101039424" type="event" subtype="vpn" level="information" vd="root" action="tunnel-up" tunneltype="ssl-tunnel" tunnelid=77 remip=${from} tunnelip=${tunnel} user="${user}" srccountry="${country}" msg="SSL tunnel established"`);
const traffic = (t, src, dst, dport, sent) => forti(t, `logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" srcip=${src} srcport=51000 dstip=${dst} dstport=${dport} proto=6 action="accept" sentbyte=${sent} rcvdbyte=0`);

test('a quiet day of a clinic opens nothing', { timeout: 90e3 }, async () => {
  const noon = start + 9 * 3600e3;
  await send([...many(40, (i) => windows(noon + i * 60e3, `PC${i % 8}`, 4624, { TargetUserName: `staff${i % 8}`, LogonType: '2', IpAddress: '-' })),
    ...many(20, (i) => traffic(noon + i * 30e3, `192.168.1.${30 + (i % 8)}`, '203.0.113.200', 443, 20000)),
    windows(noon, 'SRV1', 4624, { TargetUserName: 'backup', LogonType: '3', IpAddress: '192.168.1.10' }),
    windows(noon, 'PC1', 4625, { TargetUserName: 'staff1', LogonType: '2', IpAddress: '-' }),
    windows(noon, 'SRV1', 307, { param1: 'x' }, 'Microsoft-Windows-PrintService', 'Microsoft-Windows-PrintService/Operational')]);
  await L.until('the record', async () => (await c.get('logs/search?q=SRV1&limit=10')).items.length >= 2, 30000);
  assert.deepEqual(await incidents(), []);
});

test('each step of the attack updates one incident, and people are told at most three times before the harm', { timeout: 180e3 }, async () => {
  const seen = [];
  const step = async (name, lines, more) => {
    const before = seen.at(-1)?.signals ?? 0;
    await send(lines);
    const got = await L.until(name, async () => {
      const all = await incidents();
      if (!all.length) return null;
      const x = await c.get(`incidents/${all[0].id}`);
      const n = x.timeline.length;
      return n > before && (!more || more(x, all)) && { signals: n, severity: x.severity, x };
    }, 30000).catch(async (e) => { throw new Error(`${e.message} ${JSON.stringify((await incidents()).map((i) => [i.id, i.title, i.entities]))} ${JSON.stringify((await c.get('signals?limit=20')).items.map((s) => [s.rule, s.title, s.what, s.incident, s.entities]))}`); });
    seen.push({ name, ...got });
  };
  await step('VPN: failures, then in, from abroad, at night', [...many(6, (i) => vpnFail(start + i * 10e3)), vpnUp(start + 2 * MIN, 'hoshu', '203.0.113.9', '10.8.0.5', 'Netherlands')]);
  await step('RDP to one PC after failures', [...many(2, (i) => windows(start + 8 * MIN + i * 5e3, 'RECEPTION-1', 4625, { TargetUserName: 'Administrator', LogonType: '10', IpAddress: '10.8.0.5' })),
    windows(start + 9 * MIN, 'RECEPTION-1', 4624, { TargetUserName: 'Administrator', LogonType: '10', IpAddress: '10.8.0.5' })]);
  const sweep = many(40, (i) => traffic(start + 14 * MIN + i * 500, '192.168.1.21', `192.168.1.${50 + i}`, 445, 0));
  await send(sweep);
  await step('one account on many machines; the sweep belongs to it', many(8, (i) => windows(start + DAY + i * 20e3, `PC${i}`, 4624, { TargetUserName: 'Administrator', LogonType: '3', IpAddress: '192.168.1.21', WorkstationName: 'RECEPTION-1' })),
    (x, all) => all.length === 1 && x.timeline.some((s) => s.stage === 'discovery'));
  await step('the log is cleared', [windows(start + DAY + 20 * MIN, 'RECEPTION-1', 1102, { SubjectUserName: 'Administrator' }, 'Microsoft-Windows-Eventlog')], (x) => x.timeline.some((s) => s.stage === 'defense-evasion'));
  await step('40 GB leave at night', many(5, (i) => traffic(start + 4 * DAY + i * 10 * MIN, '192.168.1.21', '198.51.100.44', 443, 8e9)), (x) => x.timeline.some((s) => s.stage === 'exfiltration'));
  const told = (await c.get('alarms?open=1')).items.filter((a) => a.kind === 'incident');
  assert.equal(told.length, 1);
  assert.equal(told[0].state, 'call');
  await step('files are encrypted', many(30, (i) => windows(start + 6 * DAY + i * 500, 'RECEPTION-1', 11, { TargetFilename: `C:\\share\\kartei${i}.docx.lockbit`, Image: 'C:\\x.exe' }, 'Microsoft-Windows-Sysmon', 'Microsoft-Windows-Sysmon/Operational')), (x) => x.stages.includes('impact'));
  const all = await incidents();
  assert.equal(all.length, 1, JSON.stringify(all.map((i) => [i.title, i.entities])));
  const line = (await c.get(`incidents/${all[0].id}`)).timeline;
  assert.deepEqual(line.map((s) => s.at), line.map((s) => s.at).slice().sort(), 'in the order in which it happened');
  assert.ok(line.every((s) => /[ぁ-ん一-龠]/.test(s.text || s.title)), 'in words of Japan');
  console.log(`# ${seen.map((s) => `${s.name}: ${s.signals} ${s.severity}`).join('; ')}`);
});

test('a burst of large signals is told, its repeats are counted, and no part is ended by it', { timeout: 120e3 }, async () => {
  const long = 'x'.repeat(290), at = start + 9 * 3600e3;
  await send(many(400, (i) => windows(at + i, `BURST${i}`, 4624, { TargetUserName: 'Administrator', LogonType: '10', IpAddress: `10.9.${i >> 8}.${i & 255}`, WorkstationName: `W${i}`,
    Image: long, ParentImage: long, CommandLine: long, TargetFilename: long, SubjectUserName: long, SourceIp: long, DestinationIp: long })));
  const burst = await L.until('the burst', async () => {
    const got = (await c.get('signals?limit=200')).items.filter((s) => JSON.stringify(s.entities).includes('BURST'));
    return got.length >= 20 && got;
  }, 60000);
  assert.ok(burst.length <= 120, `${burst.length} rows of one rule`);
  const watch = (await c.get('box')).children.find((k) => k.name === 'watch');
  assert.equal(watch.restarts, 0, JSON.stringify(watch));
  assert.equal((await c.get('logs/search?q=BURST399&limit=5')).items.length, 1);
});

test('booked maintenance is filed, and the story can be read on the command line', { timeout: 200e3 }, async () => {
  const before = (await incidents()).length;
  await c.post('maintenance', { vendor: 'カルテ社', purpose: '点検', account: 'gyosha', from: utc(Date.now() - 10 * MIN), until: utc(Date.now() + 60 * MIN) });
  await send([vpnUp(Date.now(), 'gyosha', '203.0.113.77', '10.8.0.6', 'Japan')]);
  await L.until('the session', async () => (await c.get('maintenance?open=1')).items[0].sessions.length === 1, 90e3);
  assert.equal((await incidents()).length, before);
});
