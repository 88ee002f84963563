#!/bin/bash
# coverage.sh PERCENT: of the runs of instrumented tests below B, the share of lines of src/ that were run, by folder, and the lines
# that were not. Fails where all of src/ is below PERCENT. Left out: what this machine can't compile (NEON on x86, Windows).
set -eu
cd "$(dirname "$0")/.."
B=${B:-build/coverage} least=$1
neon=()
[ "$(uname -m)" = aarch64 ] || neon=(--exclude 'src/simd/neon')
gcovr --root . --object-directory "$B" --filter src/ "${neon[@]}" --exclude-unreachable-branches --csv -o "$B/coverage.csv" --txt "$B/coverage.txt" "$B"
echo "lines that no test runs:"
awk '/^src\// && $NF ~ /[0-9]$/ && $4 != "100%" { print "  " $1 ": " $NF }' "$B/coverage.txt"
awk -F, -v least="$least" '
    NR > 1 { split($1, part, "/"); lines[part[2]] += $2; run[part[2]] += $3; all += $2; all_run += $3 }
    END {
        for (folder in lines) printf "coverage: src/%-7s %5.1f %% of %d lines\n", folder, 100 * run[folder] / lines[folder], lines[folder] | "sort"
        close("sort")
        printf "coverage: src/ %.1f %% of %d lines, wanted %s\n", 100 * all_run / all, all, least
        exit 100 * all_run / all < least
    }' "$B/coverage.csv"
