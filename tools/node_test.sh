#!/usr/bin/env bash
# tools/node_test.sh SUITE FILE: one file of tests; its result is out/test/SUITE-FILE.tap.
# Real processes, a real browser and real servers share a machine that may stand still for a minute.  A file that fails is
# therefore run once more, and the run says so: what fails twice has failed, and what passed the second time is named at the end.
name=$1-$(basename "$2" .test.mjs)
once() { node --test --test-reporter=tap "$2" >"out/test/$1.tap" 2>"out/test/$1.err"; }
told() { # what failed and the first lines of why
    echo "$name:"
    awk '/^ *not ok/ { n = 24 } n-- > 0' "out/test/$name.tap" | grep -vE '^ *(duration_ms|failureType|location|---)' | head -80
    head -c 2000 "out/test/$name.err"
}
once "$name" "$2" && exit 0
told
mkdir -p out/test/first
mv "out/test/$name.tap" "out/test/first/$name.tap"
once "$name" "$2" && { echo "$name" >>out/test/second-try.txt; exit 0; }
told
exit 0
