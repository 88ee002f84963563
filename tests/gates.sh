#!/bin/bash
# gates.sh: what must hold on the real sets: reachable recall, hot bytes a row, memory held while open. No timing decides.
# Ends with "gates: N passed, M failed"; does nothing where the sets are not there.
set -u
cd "$(dirname "$0")/.."
B=${B:-build} D=${DATA:-../shared/data}
[ -d "$D" ] || { echo "no real sets here: nothing to check"; exit 0; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
passed=0 failed=0
number() { sed -n "s/.*\"$1\":\([0-9.e+-]*\).*/\1/p" "$2" | head -n 1; }
# holds NAME VALUE OPERATOR LIMIT
holds() {
    if awk -v a="$2" -v b="$4" "BEGIN { exit !(a != \"\" && a + 0 $3 b + 0) }"; then
        passed=$((passed + 1)) && echo "ok      $1: $2 $3 $4"
    else
        failed=$((failed + 1)) && echo "FAILED  $1: $2, wanted $3 $4"
    fi
}
# gate SET BASE QUERY TRUTH METRIC HOT_LIMIT EFFORT_LIMIT: by that effort recall@10 must be 0.995.
gate() {
    local set=$1
    "$B/learnann" build "$D/$set/$2" -o "$T/$set.la" --metric "$5" --json >"$T/build.json" || failed=$((failed + 1))
    "$B/learnann" verify "$T/$set.la" >/dev/null || failed=$((failed + 1))
    "$B/learnann" search "$T/$set.la" "$D/$set/$3" --truth "$D/$set/$4" --effort "$7" --json >"$T/search.json"
    holds "$set recall@10 at effort $7" "$(number recall "$T/search.json")" ">=" 0.995
    "$B/learnann" search "$T/$set.la" "$D/$set/$3" --truth "$D/$set/$4" --effort 32 --json >"$T/search.json"
    holds "$set recall@10 at effort 32" "$(number recall "$T/search.json")" ">=" 0.92
    [ "$6" = - ] || holds "$set hot bytes a row" "$(number hot_bytes_per_row "$T/build.json")" "<=" "$6"
    "$B/learnann" info "$T/$set.la" --json >"$T/info.json"
    holds "$set heap bytes while open" "$(number private_bytes "$T/info.json")" "<=" 1024
}
gate fashion-mnist base.u8bin query.u8bin truth.ibin l2 240 200
gate bge-micro base.npy query.npy truth.npy cos 240 200
gate sift-photo base.bvecs query.bvecs truth.ivecs l2 - 300
gate gowalla base.fbin query.fbin truth.ibin ip - 100
echo "gates: $passed passed, $failed failed"
[ $failed = 0 ]
