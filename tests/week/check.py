#!/usr/bin/env python3
"""Plays weeks through the box's own rules and decide, and says what came of them.

    check.py REPLAY TOP [--house H]... [--attack NAME | --all] [--seed N] [--sigma DIR] [--show] [--list]

Without --show it is a test: 0 incidents of quiet weeks, and each attack as attacks.py expects it."""
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
    args = [replay, '--sources', os.path.join(top, 'rules', 'logsources.yml'), '--rules', os.path.join(top, 'rules', 'sakimori')]
    for d in sigma or []:
        args += ['--rules', d]
    for known in (week.house.CLAIMS, week.house.CLOUD):
        args += ['--known', known]
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
    for house in a.house or ['clinic', 'hospital']:
        got, _ = play(a.replay, a.top, house, a.seed, a.attack, a.sigma)
        print(house, end=': ')
        show(got, a.list)


if __name__ == '__main__':
    main()
