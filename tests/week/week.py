#!/usr/bin/env python3
"""A week of a quiet clinic, or of a small hospital, as its devices log it.  Deterministic by seed; uses no network.

    week.py [--house clinic|hospital] [--seed N] [--start SECONDS] [--attack NAME] [--books] > records

A record is a line: seconds UTC, TAB, address of the sender, TAB, its bytes.  --books prints the booked maintenance instead
(ACCOUNT,ADDRESS,FROM,UNTIL a line).  --attack puts one of attacks.py into the week.  The week begins on a Monday at 0:00 in Japan."""
import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import attacks  # noqa: E402
import house  # noqa: E402
import linux  # noqa: E402
import network  # noqa: E402
import windows  # noqa: E402

MONDAY = 1793545200  # 2026-11-02 00:00 in Japan: the claims of October go out this week


def make(kind, seed, start, attack=None):
    h = house.House(kind, random.Random(f'{kind}-{seed}'), start)
    for part in (network, windows, linux):
        part.week(h)
    if attack:
        attacks.NAMES[attack](h)
    return h


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--house', choices=['clinic', 'hospital'], default='clinic')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--start', type=int, default=MONDAY)
    p.add_argument('--attack', choices=sorted(attacks.NAMES))
    p.add_argument('--books', action='store_true')
    a = p.parse_args()
    h = make(a.house, a.seed, a.start, a.attack)
    for line in h.books() if a.books else h.lines():
        print(line)


if __name__ == '__main__':
    main()
