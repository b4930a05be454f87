#!/usr/bin/env python3
"""Sum the JUnit and TAP files of one folder; the last line is what CI reads.  Exit 1 when anything failed or nothing ran."""
import glob
import re
import sys
import xml.etree.ElementTree as ET

passed = failed = skipped = 0
for path in sorted(glob.glob(sys.argv[1] + "/*.junit.xml")):
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            print("failed: %s %s" % (case.get("classname", ""), case.get("name", "")))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
for path in sorted(glob.glob(sys.argv[1] + "/*.tap")):
    lines = open(path, errors="replace").read().split("\n")
    for i, line in enumerate(lines):
        m = re.match(r"( *)(not ok|ok) \d+(.*)", line)
        if not m:
            continue
        # A node:test suite repeats the result of its children: count leaves only.
        if any(re.match(m.group(1) + r"  +type: 'suite'", x) for x in lines[i + 1:i + 6]):
            continue
        if re.search(r"# (SKIP|TODO)", m.group(3), re.I):
            skipped += 1
            print("skipped:%s" % m.group(3))
        elif m.group(2) == "ok":
            passed += 1
        else:
            failed += 1
            print("failed:%s (%s)" % (m.group(3), path))
try:
    for name in open(sys.argv[1] + "/second-try.txt"):
        print("passed at the second try only: %s (the first is out/test/first/%s.tap)" % (name.strip(), name.strip()))
except FileNotFoundError:
    pass
print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
sys.exit(1 if failed or passed == 0 else 0)
