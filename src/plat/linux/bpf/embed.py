#!/usr/bin/env python3
"""embed.py OBJECT OUT: the bytes of a BPF object as the inside of a C array."""
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "w", encoding="ascii") as out:
    for i in range(0, len(data), 24):
        out.write(",".join(map(str, data[i:i + 24])) + ",\n")
