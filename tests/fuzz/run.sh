#!/bin/bash
# run.sh libfuzzer|afl FOLDER SECONDS TARGET...: fuzzes each target of FOLDER/fuzz for so long, one after the other, from its corpus
# here, and prints a table. What is new stays in FOLDER/TARGET, where the next run goes on; inputs that crash or hang are named.
# Ends non-zero where there is one.
set -u
cd "$(dirname "$0")/../.."
by=$1 folder=$2 seconds=$3
shift 3
total=0 findings=0
table=$(printf '%-10s %12s %9s %9s %9s' target executions a_second edges findings)

dictionary_of() {
    case $1 in
        open | train) echo tests/fuzz/index.dict ;;
        *) [ -e "tests/fuzz/$1.dict" ] && echo "tests/fuzz/$1.dict" ;;
    esac
}

# Each sets executions, edges and found (the inputs, one a line), and leaves a log.
run_libfuzzer() {
    local target=$1 dictionary=$2
    mkdir -p "$out/found" "$out/bad"
    "$folder/fuzz/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=60 -print_final_stats=1 ${dictionary:+-dict=$dictionary} \
        -artifact_prefix="$out/bad/" "$out/found" "tests/fuzz/corpus/$target" >"$out/log" 2>&1
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/log")
    edges=$(grep -o 'cov: [0-9]*' "$out/log" | tail -n 1 | cut -c6-)
    found=$(find "$out/bad" -type f)
}
run_afl() {
    local target=$1 dictionary=$2
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_AUTORESUME=1 \
        afl-fuzz -V "$seconds" -m none -t 60000 ${dictionary:+-x "$dictionary"} -i "tests/fuzz/corpus/$target" -o "$out" \
        -- "$folder/fuzz/$target" >"$out/log" 2>&1
    stat() { sed -n "s/^$1 *: *//p" "$out/default/fuzzer_stats"; }
    executions=$(stat execs_done) edges=$(stat edges_found)
    found=$(find "$out/default/crashes" "$out/default/hangs" -name 'id:*')
}

for target in "$@"; do
    out=$folder/$target executions=0 edges=0 found=""
    mkdir -p "$out"
    "run_$by" "$target" "$(dictionary_of "$target")"
    if [ "${executions:-0}" = 0 ]; then     # it did not even begin
        tail -n 30 "$out/log"
        exit 1
    fi
    count=$(printf '%s' "$found" | grep -c .)
    table+=$(printf '\n%-10s %12d %9d %9d %9d' "$target" "$executions" $((executions / seconds)) "$edges" "$count")
    total=$((total + executions)) findings=$((findings + count))
    [ "$count" = 0 ] || { printf '%s\n' "$found"; grep -a -A 20 'ERROR\|runtime error\|_fuzz.cpp:' "$out/log" | head -n 40; }
done
printf '%s\n%-10s %12d %29d\n' "$table" "in all" "$total" "$findings"
[ "$findings" = 0 ]
