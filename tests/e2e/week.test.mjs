// A quiet week of a clinic, sent to a real box: nothing opens.  Then the next week, with the chain of the hospitals in it: one incident.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import * as L from './lib.mjs';

let box, c;
const port = L.freePort() + 20300;
const DAY = 86400, JST = 9 * 3600;
/* A Monday at 0:00 in Japan, so long ago that two weeks of it have passed: 1970-01-01 was a Thursday. */
const monday = Math.floor((Date.now() / 1000 + JST - 4 * DAY) / (7 * DAY)) * 7 * DAY + 4 * DAY - JST - 14 * DAY;
before(async () => {
  box = await L.Box.start({ config: { syslog_tcp: port, rules: path.join(L.top, 'rules') } });
  c = (await L.setUp(box)).client;
});
after(async () => box?.stop().catch(() => {}));

/* The table of the logger of operations goes through the agent, with its head; here are the lines of everybody else. */
const week = (start, ...more) => execFileSync('python3', [path.join(L.top, 'tests/week/week.py'), '--start', String(start), ...more], { maxBuffer: 1 << 28, encoding: 'utf8' })
  .split('\n').filter((l) => l && !l.includes('\tops-logger\t')).map((l) => l.split('\t').slice(2).join('\t'));
const send = (lines) => new Promise((ok, fail) => {
  const s = net.connect(port, '127.0.0.1', () => s.end(lines.map((l) => `${l}\n`).join(''), ok));
  s.on('error', fail);
});
const incidents = async () => (await c.get('incidents?open=1')).items;
const taken = async () => (await c.get('logs')).taken;

test('places that the clinic knows are a setting; what is no address is refused', { timeout: 90e3 }, async () => {
  const places = [{ address: '192.0.2.40', name: 'オンライン請求' }, { address: '192.0.2.77', name: 'クラウドの控え' }];
  assert.deepEqual((await c.must('PATCH', 'settings', { places })).places, places);
  assert.deepEqual((await c.get('settings')).places, places);
  for (const address of ['192.0.2.0/25', 'example.jp', '0.0.0.0/0']) await assert.rejects(c.must('PATCH', 'settings', { places: [{ address, name: 'x' }] }));
});

test('a quiet week opens nothing, and little of it is for a person to look at', { timeout: 400e3 }, async () => {
  const lines = week(monday);
  const was = await taken();
  await send(lines);
  await L.until('the week in the record', async () => await taken() - was >= lines.length, 240000);
  await L.until('its signals', async () => (await c.get('signals?limit=50')).items.length >= 10, 60000);
  assert.deepEqual((await incidents()).map((i) => [i.title, i.entities]), []);
  const seen = (await c.get('signals?limit=200')).items.filter((s) => ['medium', 'high', 'critical'].includes(s.level));
  assert.ok(seen.length <= 35, `${seen.length} signals: ${JSON.stringify(seen.map((s) => s.title))}`);
  console.log(`# ${lines.length} lines, ${seen.length} signals of level medium or more in the week`);
});

test('the same with the chain of the hospitals in it opens one incident, in its order, with nothing else in it', { timeout: 400e3 }, async () => {
  const lines = week(monday + 7 * DAY, '--attack', 'handa', '--seed', '2');
  const was = await taken();
  await send(lines);
  await L.until('the week in the record', async () => await taken() - was >= lines.length, 240000);
  const all = await L.until('the incident', async () => {
    const got = await incidents();
    return got.length && (await c.get(`incidents/${got[0].id}`)).timeline.some((s) => /暗号化/.test(s.title)) && got;
  }, 60000);
  assert.equal(all.length, 1, JSON.stringify(all.map((i) => [i.title, i.entities])));
  const { timeline, severity } = await c.get(`incidents/${all[0].id}`);
  const titles = timeline.map((s) => s.title);
  const chain = [/何度も失敗したあとにサインイン/, /リモートデスクトップ/, /院内の探り/, /広がり: Administrator/, /目つぶし/, /控えの置き場で大量の削除/, /夜に大量のデータ/, /暗号化/];
  let at = 0;
  for (const title of titles) if (at < chain.length && chain[at].test(title)) at++;
  assert.equal(at, chain.length, `${chain[at]} is not in its place: ${JSON.stringify(titles)}`);
  assert.equal(severity, 'call');
  for (const s of timeline) assert.doesNotMatch(JSON.stringify(s.entities), /svc-shisan|svc-backup|incho"|gyosha/, s.title);
  assert.equal((await c.get('alarms?open=1')).items.filter((a) => a.kind === 'incident').length, 1);
});

test("the vendor's name in its booked window, but from elsewhere, is an incident", { timeout: 90e3 }, async () => {
  const t = Date.now(), before = (await incidents()).length, jst = new Date(t + JST * 1000).toISOString();
  await c.post('maintenance', { vendor: 'カルテ社', purpose: '点検', account: 'gyosha2', address: '198.51.100.0/24', from: new Date(t - 6e5).toISOString(), until: new Date(t + 36e5).toISOString() });
  const up = (from) => `<189>date=${jst.slice(0, 10)} time=${jst.slice(11, 19)} devname="FW1" devid="FGT60FTK1" tz="+0900" logid="0101039424" type="event" subtype="vpn" level="information" action="tunnel-up" tunneltype="ssl-tunnel" remip=${from} tunnelip=10.8.9.${from.split('.')[3]} user="gyosha2" srccountry="Japan" msg="SSL tunnel established"`;
  await send([up('198.51.100.7')]);
  await L.until('the session', async () => (await c.get('maintenance?open=1')).items[0].sessions.length >= 1, 60000);
  assert.equal((await incidents()).length, before);
  await send([up('203.0.113.88')]);
  const got = await L.until('the incident', async () => { const i = await incidents(); return i.length > before && i; }, 60000);
  assert.equal(got.length, before + 1);
});

test('a known place is never blocked', { timeout: 60e3 }, async () => {
  const [open] = await incidents();
  const made = await c.post('playbooks', { name: '止める', when: {}, steps: [{ action: 'block-address', params: { device: 'linux-iptables', address: '192.0.2.40' }, mode: 'click' },
    { action: 'block-address', params: { device: 'linux-iptables', address: '203.0.113.88' }, mode: 'click' }] });
  const { steps } = await c.post(`playbooks/${made.id}/try`, { incident: open.id });
  assert.match(steps[0].error, /192\.0\.2\.40: 知っている送り先なので、止めません/);
  const refused = await c.call('POST', 'playbooks', { name: 'x', when: {}, steps: [{ action: 'block-address', params: { device: 'toaster' }, mode: 'click' }] });
  assert.match(refused.text, /選べるものの中にありません/);
  assert.match(JSON.stringify(steps[1].plan.commands), /203\.0\.113\.88/);
});

test('an incident is told to a log server of the house, as syslog', { timeout: 90e3 }, async () => {
  const server = dgram.createSocket('udp4'), heard = [];
  server.on('message', (m) => heard.push(m.toString()));
  await new Promise((ok) => server.bind(0, '127.0.0.1', ok));
  try {
    const [open] = await incidents();
    await c.must('POST', 'playbooks', { name: '記録サーバー', when: {}, steps: [{ action: 'syslog', params: { server: '127.0.0.1', port: String(server.address().port) }, mode: 'auto' }] });
    const t = new Date(Date.now() + JST * 1000).toISOString();
    await send([`<189>date=${t.slice(0, 10)} time=${t.slice(11, 19)} devname="FW1" devid="FGT60FTK1" tz="+0900" logid="0101039424" type="event" subtype="vpn" level="information" action="tunnel-up" tunneltype="ssl-tunnel" remip=203.0.113.99 tunnelip=10.8.9.99 user="dareka" srccountry="Vietnam" msg="SSL tunnel established"`]);
    await L.until('the message', async () => heard.length > 0, 60000);
    assert.match(heard[0], /^<10[58]>1 \d{4}-\d\d-\d\dT\S+ sakimori sakimori - INCIDENT-\d+ - \uFEFF?.*外から/);
    assert.ok(open);
  } finally { server.close(); }
});
