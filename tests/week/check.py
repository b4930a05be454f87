#!/usr/bin/env python3
"""Plays weeks through the box's own rules and decide, and says what came of them.

    check.py REPLAY TOP [--house H]... [--attack NAME] [--seed N] [--sigma DIR] [--show] [--list]

Without --show it is a test: 0 incidents of quiet weeks, and each attack as EXPECT says."""
import argparse
import collections
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import week  # noqa: E402

WORK = {'informational': 0, 'low': 1, 'medium': 2, 'high': 3, 'critical': 4}


def play(replay, top, house, seed, attack=None, sigma=None):
    h = week.make(house, seed, week.MONDAY, attack)
    args = [replay]
    for known in (week.house.CLAIMS, week.house.CLOUD):
        args += ['--known', known]
    args += ['--sources', os.path.join(top, 'rules', 'logsources.yml'), '--rules', os.path.join(top, 'rules', 'sakimori')]
    for d in sigma or []:
        args += ['--rules', d]
    for b in h.books():
        args += ['--book', b]
    p = subprocess.run(args, input='\n'.join(h.lines()) + '\n', stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8', check=False)
    if p.returncode != 0:
        sys.exit(f'{p.returncode}: {p.stderr[-2000:]}')
    return json.loads(p.stdout), h


def alone(got):
    """Different things a person would have to look at: of level medium or more, not booked, by rule, whom and day."""
    seen = set()
    for s in got['signals']:
        if WORK[s['level']] >= 2 and s['what'] != 'booked':
            seen.add((s['rule'], json.dumps(s['entities']), s['at_s'] // 86400))
    return len(seen)


def show(got, full):
    print(f"{got['lines']} lines, {got['records']} events, {got['unparsed']} of no known format, {got['rules_loaded']} rules; "
          f"{len(got['signals'])} signals, {alone(got) / 7:.1f} to look at a day, {len(got['incidents'])} incidents")
    for r in sorted(got['rules'], key=lambda r: (-WORK[r['level']], -r['hits'])):
        if full or (not r['part'] and WORK[r['level']] >= 1):
            print(f"  {r['level']:13} {r['hits']:6} hits {r['signals']:5} signals  {r['title']}")
    for i in got['incidents']:
        told = collections.Counter(x for s in i['story'] for x in s.get('tell', []))
        print(f"  INCIDENT {i['id']} {i['severity']} score {i['score']} {i['title']['ja']} told {dict(told)}")
        if full:
            for s in i['story']:
                print(f"    {s['at_s']} {s['level']:8} {s['stage']:20} {s['title_en'][:70]} {s['entities']}")


def same(s):
    return s['rule'], s['at_s'], json.dumps(s['entities'])


# What each attack raises: signals of its incident in their order (others may come between), whether it is one to telephone for.
EXPECT = {
    'handa': (['sakimori_vpn_failures_then_success', 'sakimori_rdp_failures_then_success', 'sakimori_sweep', 'sakimori_administrator_many_machines',
               'sakimori_blinded', 'sakimori_backups_deleted', 'sakimori_outflow_at_night', 'sakimori_files_encrypted', 'sakimori_ransom_note',
               'sakimori_printer_burst'], 'call'),
    'osaka': (['sakimori_vpn_success', 'sakimori_rdp_local_administrator', 'sakimori_antivirus_stays_stopped', 'sakimori_administrator_many_machines',
               'sakimori_shadow_copies_deleted', 'sakimori_files_encrypted'], 'call'),
    'okayama': (['sakimori_vpn_abroad', 'sakimori_rdp_local_administrator', 'sakimori_administrator_many_machines', 'sakimori_shadow_copies_deleted',
                 'sakimori_outflow_at_night', 'sakimori_files_encrypted'], 'call'),
    'spray': (['sakimori_vpn_tried_account'], 'look'),
    'vendor': (['sakimori_vpn_success'], 'look'),
    'insider': (['sakimori_share_read_at_night', 'sakimori_outflow_at_night'], 'look'),
}


def names_of(replay, got):
    return {r['id']: r['rule'] for r in got['rules']}


def in_order(story, wanted):
    at = 0
    for name in story:
        at += at < len(wanted) and name == wanted[at]
    return wanted[at:]


def test(a):
    bad = []
    for house in a.house or ['clinic', 'hospital']:
        for seed in range(a.seed, a.seed + (3 if house == 'clinic' and not a.sigma else 1)):
            quiet, _ = play(a.replay, a.top, house, seed, None, a.sigma)
            print(f"{house} {seed}: {quiet['lines']} lines, {len(quiet['incidents'])} incidents, {alone(quiet) / 7:.1f} to look at a day", flush=True)
            if quiet['incidents']:
                bad.append(f"{house} {seed}: {[i['title']['ja'] for i in quiet['incidents']]}")
            if alone(quiet) / 7 > (10 if a.sigma else 5):
                bad.append(f'{house} {seed}: {alone(quiet) / 7} a day')
            if quiet['unparsed'] > quiet['lines'] // 100:
                bad.append(f"{house} {seed}: {quiet['unparsed']} of no known format")
            known = {same(s) for s in quiet['signals']}
            for attack, (wanted, severity) in EXPECT.items() if seed == a.seed else ():
                if attack != 'handa' and (house == 'hospital' or a.sigma):
                    continue        # the sanitizers' build is slow: one attack there
                bad += attacked(a, house, seed, attack, wanted, severity, known)
    return bad


def attacked(a, house, seed, attack, wanted, severity, known):
    got, _ = play(a.replay, a.top, house, seed, attack, a.sigma)
    names = names_of(a.replay, got)
    where = f'{house} {seed} {attack}'
    print(f"{where}: {[(i['severity'], len(i['story'])) for i in got['incidents']]}", flush=True)
    if len(got['incidents']) != 1:
        return [f"{where}: {[i['title']['ja'] for i in got['incidents']]}"]
    i = got['incidents'][0]
    story = sorted(i['story'], key=lambda s: s['at_s'])
    bad = []
    missing = in_order([names.get(s['rule'], s['rule']) for s in story], wanted)
    if missing:
        bad.append(f'{where}: not in order or not there: {missing}')
    others = {names.get(s['rule'], s['rule']) for s in story if same(s) in known}
    if others and not a.sigma:      # the others' rules speak of the nightly backup, an hour before the attacker came
        bad.append(f'{where}: what belongs to the quiet week was joined: {others}')
    told = [t for s in i['story'] for t in [s.get('tell')] if t]
    if len(told) > 3 or i['severity'] != severity:
        bad.append(f"{where}: {i['severity']}, told {told}")
    return bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument('replay')
    p.add_argument('top')
    p.add_argument('--house', action='append', choices=['clinic', 'hospital'])
    p.add_argument('--attack', choices=sorted(week.attacks.NAMES))
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--sigma', action='append')
    p.add_argument('--show', action='store_true')
    p.add_argument('--list', action='store_true')
    a = p.parse_args()
    if a.sigma and not os.path.isdir(a.sigma[0]):
        print('skipped: no collection of rules at', a.sigma[0])
        sys.exit(77)
    if not a.show:
        bad = test(a)
        print('\n'.join(bad))
        sys.exit(bool(bad))
    for house in a.house or ['clinic', 'hospital']:
        got, _ = play(a.replay, a.top, house, a.seed, a.attack, a.sigma)
        print(house, end=': ')
        show(got, a.list)


if __name__ == '__main__':
    main()
