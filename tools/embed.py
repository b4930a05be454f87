#!/usr/bin/env python3
"""embed.py INPUT OUTPUT SYMBOL: a text as a constant of C, ended by NUL."""
import sys

with open(sys.argv[1], "rb") as f:
    data = f.read()
with open(sys.argv[2], "w") as f:
    f.write("extern const char %s[];\nconst char %s[] = {\n" % (sys.argv[3], sys.argv[3]))
    for i in range(0, len(data), 24):
        f.write("".join("%d," % (b - 256 if b > 127 else b) for b in data[i:i + 24]) + "\n")
    f.write("0};\n")
