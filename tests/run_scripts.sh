#!/bin/bash
# run_scripts.sh: tests that are commands: the command line, the examples, the two-file compile, symbols, the amalgamation.
# Uses B (the build folder), CXX, CC, XSIMD from the environment. Ends with "scripts: N passed, M failed".
set -u
cd "$(dirname "$0")/.."
B=${B:-build} FLAGS=${FLAGS:-} CXX=${CXX:-g++} CC=${CC:-gcc}
INCLUDE="-I. ${XSIMD:+-I$XSIMD}"
T=$(mktemp -d)
trap 'chmod -R u+w "$T"; rm -rf "$T"' EXIT
passed=0 failed=0

# check NAME COMMAND...: passes where the command succeeds.
check() {
    local name=$1
    shift
    if "$@" >"$T/out" 2>"$T/err"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        sed 's/^/    /' "$T/out" "$T/err" | tail -n 20
    fi
}
# ends STATUS WORDS COMMAND...: the command exits with STATUS and says WORDS on stderr.
ends() {
    local status=$1 words=$2
    shift 2
    "$@" >"$T/ends.out" 2>"$T/ends.err"
    local got=$?
    [ $got = "$status" ] && grep -q -- "$words" "$T/ends.err" && return 0
    echo "exit $got (wanted $status), stderr (wanted '$words'):"
    cat "$T/ends.err"
    return 1
}
# says WORDS COMMAND...: the command succeeds and prints WORDS.
says() {
    local words=$1
    shift
    "$@" >"$T/says.out" || return 1
    grep -q -- "$words" "$T/says.out" || { cat "$T/says.out"; return 1; }
}
number() { sed -n "s/.*\"$1\":\([0-9.e+-]*\).*/\1/p" "$2"; }
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 >= b + 0) }'; }

# ---- made rows: 3,000 of 24 dimensions in 40 clusters, as .fbin, with truth by an index that scans; 8,000 places in 100 towns ----
cat >"$T/make.cpp" <<'CPP'
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>
static uint64_t s = 7;
static float next() { s = s * 6364136223846793005u + 1442695040888963407u; return float(s >> 40) / 16777216.0f - 0.5f; }
static void write(const char *path, int32_t n, int32_t d, const std::vector<float> &centres, float spread) {
    const int count = int(centres.size()) / d;
    FILE *f = fopen(path, "wb");
    fwrite(&n, 4, 1, f), fwrite(&d, 4, 1, f);
    for (int i = 0; i < n; ++i) {
        const int c = int((next() + 0.5f) * float(count)) % count;
        for (int j = 0; j < d; ++j) { float v = 4 * centres[c * d + j] + spread * next(); fwrite(&v, 4, 1, f); }
    }
    fclose(f);
}
int main(int, char **v) {
    std::vector<float> centres(40 * 24);
    for (float &c : centres) c = next();
    write(v[1], 3000, 24, centres, 1), write(v[2], 100, 24, centres, 1);
    std::vector<float> towns(100 * 2);
    for (float &t : towns) t = next();
    write(v[4], 8000, 2, towns, 0.03f);
    float axes[16 * 24] = {};       // of the first dimensions
    for (int i = 0; i < 16; ++i) axes[i * 25] = 1;
    const int32_t size[2] = {16, 24};
    FILE *f = fopen(v[3], "wb");
    fwrite(size, 4, 2, f), fwrite(axes, 4, 16 * 24, f), fclose(f);
}
CPP
"$CXX" -O1 "$T/make.cpp" -o "$T/make" && "$T/make" "$T/rows.fbin" "$T/queries.fbin" "$T/axes.fbin" "$T/towns.fbin" || exit 1
L=$B/learnann

# ---- the command line ----
for metric in l2 ip cos; do
    check "build $metric" "$L" build "$T/rows.fbin" -o "$T/$metric.la" --metric $metric
    check "verify $metric" "$L" verify "$T/$metric.la"
    check "info $metric" says "3,000 x 24, $metric" "$L" info "$T/$metric.la"
    check "truth $metric" "$L" search "$T/$metric.la" "$T/queries.fbin" -k 10 --effort 3000 --out "$T/$metric.ivecs"
    "$L" search "$T/$metric.la" "$T/queries.fbin" -k 10 --effort 100 --truth "$T/$metric.ivecs" --json >"$T/search.json"
    check "recall $metric" at_least "$(number recall "$T/search.json")" 0.99
done
for kind in i4 i2 binary; do
    check "build --exact $kind" "$L" build "$T/rows.fbin" -o "$T/$kind.la" --exact $kind
    check "verify $kind" "$L" verify "$T/$kind.la"
    check "info $kind" says "f32, kept as $kind" "$L" info "$T/$kind.la"
    check "train $kind" ends 1 "too roughly" "$L" train "$T/$kind.la" --queries "$T/rows.fbin"
    check "search $kind" "$L" search "$T/$kind.la" "$T/queries.fbin" --effort 100 --out "$T/$kind.ivecs"
done
smaller() { [ "$(wc -c <"$1")" -lt "$(wc -c <"$2")" ]; }
check "two bits are fewer than four" smaller "$T/i2.la" "$T/i4.la"
check "one bit is fewer than two" smaller "$T/binary.la" "$T/i2.la"
for graph in knn nsw hnsw uniform; do
    check "build $graph" says "\"graph\":\"$graph\"" "$L" build "$T/rows.fbin" -o "$T/$graph.la" --graph $graph --json
    check "verify $graph" "$L" verify "$T/$graph.la"
    check "info $graph" says "$graph, " "$L" info "$T/$graph.la"
    "$L" search "$T/$graph.la" "$T/queries.fbin" -k 10 --effort 200 --truth "$T/l2.ivecs" --json >"$T/search.json"
    check "recall $graph" at_least "$(number recall "$T/search.json")" 0.8     # nsw between clusters: that is why it is no default
done
# A graph made elsewhere: here by a search for every row. The first of its neighbours is the row itself.
check "lists of neighbours" "$L" search "$T/l2.la" "$T/rows.fbin" -k 17 --out "$T/lists.ivecs"
check "build of a graph given" says '"graph":"given"' "$L" build "$T/rows.fbin" -o "$T/given.la" --graph "$T/lists.ivecs" --seed 2 --json   # no edge joins the clusters: entries in each do
check "verify of a graph given" "$L" verify "$T/given.la"
"$L" search "$T/given.la" "$T/queries.fbin" -k 10 --effort 200 --truth "$T/l2.ivecs" --json >"$T/search.json"
check "recall of a graph given" at_least "$(number recall "$T/search.json")" 0.95
check "a part of a graph given" says "graph *given, [78]\." "$L" build "$T/rows.fbin" -o "$T/part.la" --graph "$T/lists.ivecs" --degree 8
check "a space given" says '"spectral":"given"' "$L" build "$T/rows.fbin" -o "$T/space.la" --spectral "$T/axes.fbin" --json
check "verify of a space given" "$L" verify "$T/space.la"
check "search from flash" bash -c "'$L' search '$T/l2.la' '$T/queries.fbin' --effort 20 --flash --out '$T/flash.ivecs' && '$L' search '$T/l2.la' '$T/queries.fbin' --effort 20 --out '$T/mapped.ivecs' && cmp '$T/flash.ivecs' '$T/mapped.ivecs'"
if [ "$(uname)" = Linux ]; then
    check "search cold" says '"cold_bytes"' "$L" search "$T/l2.la" "$T/queries.fbin" --cold --json
    check "cold reads a part of the file" at_least "$(stat -c %s "$T/l2.la")" "$(number cold_bytes "$T/says.out")"
fi
# Where control groups are granted the search runs in one, elsewhere it says that they are not.
"$L" search "$T/l2.la" "$T/queries.fbin" --memory-limit 64 >"$T/capped.out" 2>"$T/capped.err"
check "search under a memory limit" grep -q "queries/s\|control group\|Measure on Linux" "$T/capped.out" "$T/capped.err"
# 92 MB of rows, in less memory than they are: 30,000 of 768 floats.
if [ "$(uname)" = Linux ]; then
    { printf '\x30\x75\0\0\0\x03\0\0'; head -c $((30000 * 768)) /dev/urandom; } >"$T/large.u8bin"
    "$L" convert "$T/large.u8bin" "$T/large.fbin"
    check "build in bounded memory" "$L" build "$T/large.fbin" -o "$T/large.la" --code-bytes 64 --degree 32 --exact u8 --memory 80M --json
    cp "$T/out" "$T/large.json"
    check "peak memory" at_least 83886080 "$(number peak_rss_bytes "$T/large.json")"
    check "too little memory" ends 1 "building needs .* --memory allows 20.0 MiB" "$L" build "$T/large.fbin" -o "$T/none.la" --memory 20M
    check "too little memory leaves nothing" test ! -e "$T/none.la"
    rm -f "$T"/large.*
fi
check "no number of bytes" ends 2 "number of bytes" "$L" build "$T/rows.fbin" -o "$T/none.la" --memory 5T
check "search by recall" says '"effort"' "$L" search "$T/l2.la" "$T/queries.fbin" --recall 0.5 --json
little=$(number effort "$T/says.out")
"$L" search "$T/l2.la" "$T/queries.fbin" --recall 0.99 --json >"$T/says.out"
check "more recall takes more effort" at_least "$(number effort "$T/says.out")" "$((little + 1))"
check "sweep" says recall "$L" sweep "$T/l2.la" "$T/queries.fbin" --truth "$T/l2.ivecs" --plot "$T/plot.svg"
check "plot" grep -q '<svg' "$T/plot.svg"
check "build fields" says '"rows":3000,"dim":24,"metric":"l2","seconds":' "$L" build "$T/rows.fbin" -o "$T/j.la" --json
for field in phases file_bytes hot_bytes_per_row cold_bytes_per_row spectral code_bytes graph mean_degree repaired peak_rss_bytes router; do
    check "build --json has $field" grep -q "\"$field\":" "$T/says.out"
done
for field in queries k effort router recall qps mean_us p50_us p99_us distances entry_distances reranked hops inferences rss_bytes isa; do
    check "search --json has $field" grep -q "\"$field\":" "$T/search.json"
done
check "learned space, or why not" says '"spectral":"learned"\|"spectral_note":"' "$L" build "$T/rows.fbin" -o "$T/learned.la" --spectral learned --code-bytes 16 --json
check "verify learned space" "$L" verify "$T/learned.la"
check "spectral-report" says "pca: reliable from [0-9]* bytes on" "$L" spectral-report "$T/rows.fbin" --threads 2
check "spectral-report --json" says '"spectral":"learned","code_bytes":32' "$L" spectral-report "$T/rows.fbin" --queries "$T/queries.fbin" --rows 1500 --json
check "spectral-report of a space given" says "given: reliable" "$L" spectral-report "$T/rows.fbin" --spectral "$T/axes.fbin" --rows 1500
# Of few dimensions wider records hold more directions, and builds take them.
check "build of rows of a plane" says '"code_bytes":64' "$L" build "$T/towns.fbin" -o "$T/towns.la" --json
check "spectral-report of rows of a plane" says '"pca","code_bytes":16,.*"pca","code_bytes":64,"code_dim":56,' "$L" spectral-report "$T/towns.fbin" --json
check "spectral-report of rows of a plane, where estimates fall below zero" says "pca: reliable from" "$L" spectral-report "$T/towns.fbin"
check "spectral-report of few rows" ends 1 "takes 1,000 or more" "$L" spectral-report "$T/queries.fbin"
# A vector of NaN is named as its file counts: every tenth row is a query of the report, and of queries every other.
spoil() { cp "$T/$1.fbin" "$T/spoilt.fbin" && printf '\0\0\300\177' | dd of="$T/spoilt.fbin" bs=1 seek=$((8 + 96 * $2)) conv=notrunc status=none; }
for row in 777 1240; do
    spoil rows $row
    check "spectral-report of row $row of NaN" ends 1 "spoilt.fbin: row $row: " "$L" spectral-report "$T/spoilt.fbin"
done
for query in 36 77; do
    spoil queries $query
    check "spectral-report by query $query of NaN" ends 1 "spoilt.fbin: query $query: " "$L" spectral-report "$T/rows.fbin" --queries "$T/spoilt.fbin"
done
check "train" says "taught by\|as it was" "$L" train "$T/l2.la" --queries "$T/rows.fbin" -o "$T/trained.la"
check "verify trained" "$L" verify "$T/trained.la"
check "train in place" says '"lessons":' bash -c "cp '$T/ip.la' '$T/place.la' && '$L' train '$T/place.la' --queries '$T/queries.fbin' --json && '$L' verify '$T/place.la'"
check "same bytes for any threads" bash -c "'$L' build '$T/rows.fbin' -o '$T/a.la' --threads 1 && '$L' build '$T/rows.fbin' -o '$T/b.la' --threads 3 && cmp '$T/a.la' '$T/b.la'"
# A handful of queries calibrates roughly: that is said, and 50 are enough.
first() { { printf "\\x$(printf %x "$1")\\0\\0\\0"; tail -c +5 "$T/queries.fbin" | head -c $((4 + 96 * $1)); } >"$T/first.fbin"; }
quiet() { "$@" 2>"$T/quiet.err" && [ ! -s "$T/quiet.err" ]; }
for count in 1 49; do
    first $count
    check "train by $count" ends 0 "warning: .*first.fbin: to calibrate by $count quer" "$L" train "$T/l2.la" --queries "$T/first.fbin" -o "$T/few.la"
    check "build by $count" ends 0 "warning: .*first.fbin: to calibrate by $count quer" "$L" build "$T/rows.fbin" --queries "$T/first.fbin" -o "$T/few.la"
done
first 50
check "train by 50" quiet "$L" train "$T/l2.la" --queries "$T/first.fbin" -o "$T/few.la"
check "build by 50" quiet "$L" build "$T/rows.fbin" --queries "$T/first.fbin" -o "$T/few.la"
check "convert" bash -c "'$L' convert '$T/rows.fbin' '$T/rows.npy' && '$L' convert '$T/rows.npy' '$T/rows.fvecs' && '$L' convert '$T/rows.fvecs' '$T/back.fbin' && cmp '$T/rows.fbin' '$T/back.fbin'"
# Whole numbers that a double would round: one int64 in a .npy, as printf wants its bytes, or uint64s.
int64() { local head="{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }"; printf "\\x93NUMPY\1\0\\x$(printf %x ${#head})\0%s$1" "$head" >"$T/whole.npy"; }
uint64() { printf "\1\0\0\0\1\0\0\0$1" >"$T/whole.u64bin"; }
int64 '\1\0\0\0\0\0\40\0'
check "convert int64 2^53 + 1 to floats" ends 1 "row 0: element 0 is 9007199254740993, which float32" "$L" convert "$T/whole.npy" "$T/whole.fvecs"
check "convert int64 2^53 + 1 to bytes" ends 1 "row 0: element 0 is 9007199254740993, which int8" "$L" convert "$T/whole.npy" "$T/whole.i8bin"
int64 '\377\377\377\377\377\377\377\177'
check "convert int64 2^63 - 1 to floats" ends 1 "is 9223372036854775807, which" "$L" convert "$T/whole.npy" "$T/whole.fvecs"
int64 '\0\0\0\0\0\0\0\200'
check "convert int64 -2^63 to floats" "$L" convert "$T/whole.npy" "$T/whole.fvecs"
uint64 '\1\0\0\0\0\0\0\200'
check "convert uint64 2^63 + 1 to floats" ends 1 "is 9223372036854775809, which" "$L" convert "$T/whole.u64bin" "$T/whole.fbin"
uint64 '\377\377\377\377\377\377\377\377'
check "convert uint64 2^64 - 1 to floats" ends 1 "is 18446744073709551615, which" "$L" convert "$T/whole.u64bin" "$T/whole.fbin"
check "what is refused leaves nothing" test ! -e "$T/whole.fbin"
uint64 '\0\0\0\0\0\0\0\200'
check "convert uint64 2^63 to floats and back" bash -c "'$L' convert '$T/whole.u64bin' '$T/whole.fbin' && '$L' convert '$T/whole.fbin' '$T/back.u64bin' && cmp '$T/whole.u64bin' '$T/back.u64bin'"
check "scalar gives the same hits" bash -c "LEARNANN_ISA=scalar '$L' search '$T/l2.la' '$T/queries.fbin' --effort 20 --out '$T/s.ivecs' && '$L' search '$T/l2.la' '$T/queries.fbin' --effort 20 --out '$T/t.ivecs' && cmp '$T/s.ivecs' '$T/t.ivecs'"

# ---- interruption ----
# A preloaded library by which a command gets SIGNALS at the moment when it has made its temporary; 0 is a pause.
if [ "$(uname)" = Linux ]; then
    cat >"$T/interrupt.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void interrupt(void) {
    char *next = getenv("SIGNALS");
    while (next && *next) {
        const int number = (int)strtol(next, &next, 10);
        if (number) raise(number);
        else sleep(3);
    }
}
static FILE *open_stream(const char *name, const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, name);
    FILE *file = real(path, mode);
    if (file && strchr(mode, 'x')) interrupt();
    return file;
}
FILE *fopen(const char *path, const char *mode) { return open_stream("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return open_stream("fopen64", path, mode); }
static int open_file(const char *name, const char *path, int flags, va_list more) {
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    const int file = real(path, flags, flags & O_CREAT ? va_arg(more, int) : 0);
    if (file >= 0 && flags & O_EXCL) interrupt();
    return file;
}
#define OPEN(name) int name(const char *path, int flags, ...) { va_list more; va_start(more, flags); const int file = open_file(#name, path, flags, more); va_end(more); return file; }
OPEN(open)
OPEN(open64)
END
    "$CC" -shared -fPIC "$T/interrupt.c" -o "$T/interrupt.so" -ldl || exit 1
    mkdir "$T/at"
    interrupted() { SIGNALS=$1 LD_PRELOAD=$T/interrupt.so "${@:2}"; }
    for signals in 1 2 15 "15 15"; do
        check "search, signals $signals" ends 1 "interrupted" interrupted "$signals" "$L" search "$T/l2.la" "$T/queries.fbin" --out "$T/at/hits.ivecs"
        check "convert, signals $signals" ends 1 "interrupted" interrupted "$signals" "$L" convert "$T/rows.fbin" "$T/at/rows.npy"
        check "both leave nothing" test -z "$(ls -A "$T/at")"
        check "sweep, signals $signals" interrupted "$signals" "$L" sweep "$T/l2.la" "$T/queries.fbin" --truth "$T/l2.ivecs" --plot "$T/at/plot.svg"
        check "build, signals $signals" interrupted "$signals" "$L" build "$T/queries.fbin" -o "$T/at/index.la"
        check "both end what they write" test "$(ls -A "$T/at" | tr '\n' ' ')" = "index.la plot.svg "
        rm -f "$T"/at/*
    done
    under_nohup() { (trap '' HUP && interrupted 1 "$@"); }
    check "search, a terminal that closes under nohup" under_nohup "$L" search "$T/l2.la" "$T/queries.fbin" --out "$T/at/hits.ivecs"
    check "its hits" test -s "$T/at/hits.ivecs"
    check "a second signal, seconds later, ends at once" ends 143 "" interrupted "15 0 15" "$L" convert "$T/rows.fbin" "$T/at/rows.npy"
fi

# ---- what bad input gets ----
for kept in l2.la queries.fbin l2.ivecs; do
    check "a plot over $kept" ends 1 "is also an input" "$L" sweep "$T/l2.la" "$T/queries.fbin" --truth "$T/l2.ivecs" --plot "$T/$kept"
done
check "hits over the truth" ends 1 "is also an input" "$L" search "$T/l2.la" "$T/queries.fbin" --truth "$T/l2.ivecs" --out "$T/l2.ivecs"
check "hits as floats" ends 1 "row numbers" "$L" search "$T/l2.la" "$T/queries.fbin" --out "$T/hits.fvecs"
cp "$T/queries.fbin" "$T/nan.fbin" && printf '\0\0\300\177' | dd of="$T/nan.fbin" bs=1 seek=8 conv=notrunc status=none
check "a sample query of NaN" ends 1 "nan.fbin: query 0: .*NaN" "$L" build "$T/rows.fbin" -o "$T/none.la" --queries "$T/nan.fbin"
check "missing input" ends 1 "no such file\|No such file" "$L" build "$T/none.fbin" -o "$T/x.la"
# The file is missing, or no file: the cause is told, under a memory limit too, and nothing else.
if [ "$(uname)" = Linux ]; then
    check "missing index under a memory limit" ends 1 "none.la: .*[Nn]o such file" "$L" search "$T/none.la" "$T/queries.fbin" --memory-limit 64
fi
check "a device is no index" ends 1 "/dev/null: that is not a regular file\$" "$L" info /dev/null
check "unknown command" ends 2 "no command frobnicate" "$L" frobnicate
check "unknown option" ends 2 "unknown option\|--frob" "$L" build "$T/rows.fbin" -o "$T/x.la" --frob
{ printf '\1\0\0\0\30\0\0\0'; printf '\0\0\200\101%.0s' $(seq 24); } >"$T/far.fbin"      # 16, 24 times
check "graph of no kind" ends 2 "adaptive" "$L" build "$T/rows.fbin" -o "$T/x.la" --graph tree
check "a graph of other rows" ends 1 "neighbours of [0-9,]* rows" "$L" build "$T/queries.fbin" -o "$T/x.la" --graph "$T/lists.ivecs"
check "a graph of too few neighbours" ends 1 "17 neighbours a row" "$L" build "$T/rows.fbin" -o "$T/x.la" --graph "$T/lists.ivecs" --degree 20
check "a graph of vectors" ends 1 "axes.fbin" "$L" build "$T/rows.fbin" -o "$T/x.la" --graph "$T/axes.fbin"
check "the last of two graphs" says '"graph":"hnsw"' "$L" build "$T/rows.fbin" -o "$T/x.la" --graph "$T/none.ivecs" --graph hnsw --json
check "a space that stretches" ends 1 "far.fbin: direction 0" "$L" build "$T/rows.fbin" -o "$T/x.la" --spectral "$T/far.fbin"
check "a graph that is not there" ends 1 "none.ivecs" "$L" build "$T/rows.fbin" -o "$T/x.la" --graph "$T/none.ivecs"
check "not an index" ends 1 "another kind\|not begin with LEARNANN" "$L" info "$T/rows.fbin"
head -c 5000 "$T/l2.la" >"$T/short.la"
check "truncated index" ends 1 "truncated" "$L" info "$T/short.la"
: >"$T/empty.la"
check "empty index" ends 1 "empty" "$L" info "$T/empty.la"
head -c 1000 "$T/rows.fbin" >"$T/short.fbin"
check "truncated rows" ends 1 "short.fbin" "$L" build "$T/short.fbin" -o "$T/x.la"
cp "$T/l2.la" "$T/flip.la" && printf '\377' | dd of="$T/flip.la" bs=1 seek=20000 conv=notrunc 2>/dev/null
check "damaged index" ends 1 "F[0-9]" "$L" verify "$T/flip.la"
check "truncated queries" ends 1 "short.fbin" "$L" search "$T/l2.la" "$T/short.fbin"
check "train without queries" ends 2 "queries" "$L" train "$T/l2.la"
printf '\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0' >"$T/two.fbin"
check "a space of another dimension" ends 1 "2 elements" "$L" build "$T/rows.fbin" -o "$T/x.la" --spectral "$T/two.fbin"
check "search with another dimension" ends 1 "dimension" "$L" search "$T/l2.la" "$T/two.fbin"
check "train with another dimension" ends 1 "2 elements" "$L" train "$T/l2.la" --queries "$T/two.fbin"
check "cold and threads" ends 2 "query by query" "$L" search "$T/l2.la" "$T/queries.fbin" --cold --threads 2
check "copy and resident" ends 2 "exclude" "$L" search "$T/l2.la" "$T/queries.fbin" --copy --resident
check "too many threads" ends 2 "threads" "$L" search "$T/l2.la" "$T/queries.fbin" --threads 65
check "k = 0" ends 2 "k" "$L" search "$T/l2.la" "$T/queries.fbin" -k 0
check "folder that isn't there" ends 1 "" "$L" build "$T/rows.fbin" -o "$T/none/x.la"
if [ -e /dev/full ] && [ -w /dev/shm ] && command -v mount >/dev/null && [ "$(id -u)" = 0 ]; then
    mkdir "$T/small"
    if mount -t tmpfs -o size=64k tmpfs "$T/small" 2>/dev/null; then
        check "full disk" ends 1 "full\|space" "$L" build "$T/rows.fbin" -o "$T/small/x.la"
        check "full disk leaves nothing" bash -c "[ -z \"\$(ls -A '$T/small')\" ]"
        umount "$T/small"
    fi
fi
check "nothing half-written" bash -c "! ls '$T'/*.tmp '$T'/x.la 2>/dev/null"

# ---- examples ----
for example in hello hello_c threads filtered growing allocator_c; do
    check "example $example" "$B/examples/$example"
done
if [ -x "$B/examples/shards_mpi" ]; then check "example shards_mpi" says "1000 of 1000 merged hits" tests/mpi.sh 4
else echo "skipped: example shards_mpi, for want of MPI (make mpi)"; fi
mkdir "$T/text" && cp README.md learnann.h src/format/*.hpp "$T/text"
check "allocator tells what an open index holds, and a scratch" says "^the open index holds [1-9][0-9]* bytes, the scratch [1-9]" "$B/examples/allocator_c"
check "example textsearch" says "learnann.h" "$B/examples/textsearch" "$T/text" -q "bytes of a memory-mapped file"

# ---- the programs of the README ----
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" README.md | sed '1d;$d'; }
block c >"$T/readme.c" && block cpp >"$T/readme.cpp"
library=$(realpath "$B")/liblearnann.a
readme_c() { (cd "$T" && "$CC" -std=c99 -I"$OLDPWD" -c readme.c -o readme.o && "$CXX" $FLAGS readme.o "$library" -o readme -pthread && ./readme); }
readme_cpp() { (cd "$T" && "$CXX" -std=c++17 -I"$OLDPWD" readme.cpp "$library" -o readme -pthread && ./readme | grep -q '^42 0'); }
readme_c_linked() { (cd "$T" && "$CC" $FLAGS -I"$OLDPWD" readme.c "$@" -o linked && ./linked); }
check "the README's C program" readme_c
check "the README's C program, linked by a C compiler" readme_c_linked "$library" -lstdc++ -lm -pthread
check "the README's C program, with the shared library" readme_c_linked -L"${library%/*}" -llearnann -Wl,-rpath,"${library%/*}"
check "the README's C++ program" readme_cpp

# ---- two files in somebody's app; the header alone ----
mkdir "$T/app" && cp learnann.h learnann.c++ examples/hello.cpp "$T/app"
app() { (cd "$T/app" && "$@" && ./app >/dev/null); }
check "two files, g++" app g++ -O2 ${XSIMD:+-I$XSIMD} hello.cpp learnann.c++ -o app -pthread
command -v clang++ >/dev/null && check "two files, clang++" app clang++ -std=c++17 -O1 ${XSIMD:+-I$XSIMD} hello.cpp learnann.c++ -o app -pthread
check "before C++17 it names what to do" ends 1 "C++17: compile with -std=c++17" "$CXX" -std=c++14 $INCLUDE -fsyntax-only -x c++ learnann.c++
printf '#include "learnann.h"\nlearnann::Index index_;\n' >"$T/wrapper.cpp"
check "a compiler that keeps __cplusplus old has the wrapper" "$CXX" -std=c++14 -D_MSVC_LANG=201703L -I. -fsyntax-only "$T/wrapper.cpp"
cat >"$T/app/one.cpp" <<'END'
typedef unsigned long u64;      // names that the library has too: they stay the app's
struct Allocator {};
#define LEARNANN_IMPLEMENTATION
#include "hello.cpp"
class Random {};
Random random_of(Allocator, u64 seed) { return seed ? Random() : Random(); }
END
check "single include, beside names of the app's own" app g++ -std=c++17 -O0 -I. ${XSIMD:+-I$XSIMD} one.cpp -o app -pthread
check "in a shared library of the app's" "$CXX" -std=c++17 -O1 -fPIC -fvisibility=hidden -DLEARNANN_API= -DLEARNANN_READ_ONLY $INCLUDE -x c++ learnann.c++ -shared -o "$T/own.so" -pthread
check "where nothing of the library is exported" bash -c "nm -D --defined-only '$T/own.so' >'$T/own' && ! grep learnann '$T/own'"
check "no exceptions, no RTTI" app g++ -std=c++17 -O0 -fno-exceptions -fno-rtti ${XSIMD:+-I$XSIMD} hello.cpp learnann.c++ -o app -pthread
check "header is C99" "$CC" -std=c99 -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror -pedantic -fsyntax-only -x c learnann.h
check "header is C++17" "$CXX" -std=c++17 -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror -fsyntax-only -x c++ learnann.h
check "read-only reader" "$CXX" -std=c++17 -O0 -Wall -Wextra -Werror -DLEARNANN_READ_ONLY $INCLUDE -x c++ -c learnann.c++ -o "$T/reader.o"
check "the reader's size" env CXX=g++ tests/size.sh promise
check "without xsimd" "$CXX" -std=c++17 -O0 -Wall -Wextra -Werror -DLEARNANN_NO_XSIMD -DLEARNANN_NO_X86 $INCLUDE -x c++ -c learnann.c++ -o "$T/plain.o"
for header in src/*/*.hpp; do
    check "$header alone" "$CXX" -std=c++17 -fsyntax-only -Isrc $INCLUDE -include "$header" -x c++ /dev/null
done

# ---- the module for browsers is made again where its flags are others, and only there; by compilers that only note what is asked ----
mkdir "$T/compilers"
printf '#!/bin/sh\necho "$*" >>"%s"\nfor out; do :; done\n: >"$out"\n' "$T/asked" | tee "$T/compilers/clang" >"$T/compilers/clang++"
chmod +x "$T"/compilers/*
asked() {   # MODULES FLAGS...: by now so many were made, of three commands each, the last with FLAGS
    local modules=$1
    shift
    PATH="$T/compilers:$PATH" make -s -o learnann.c++ B="$T/web" "$@" "$T/web/web/learnann.wasm" || return 1
    [ "$(wc -l <"$T/asked")" = $((3 * modules)) ] && grep 'learnann.c++' "$T/asked" | tail -n 1 | grep -q -- "${1#*=}" || { cat "$T/asked"; return 1; }
}
check "a module" asked 1 WEB_FLAGS=
check "the same module" asked 1 WEB_FLAGS=
check "a module that searches only" asked 2 WEB_FLAGS=-DLEARNANN_READ_ONLY
check "the same that searches only" asked 2 WEB_FLAGS=-DLEARNANN_READ_ONLY
check "a module without vectors" asked 3 WEB_VECTORS= WEB_FLAGS=-DLEARNANN_READ_ONLY

# ---- symbols: an app must see learnann_* only ----
exported() { nm -g --defined-only "$1" | awk 'NF == 3 && $2 ~ /[TDBRVWu]/ { print $3 }' | grep -v '^learnann_\|^DW.ref\|^__odr_asan\|^_init$\|^_fini$'; }
check "symbols of learnann.o" bash -c "! ($(declare -f exported); exported '$B/learnann.o' | grep .)"
all_exported() {
    local name
    for name in $(sed -n 's/^LEARNANN_API .*[ *]\(learnann_[a-z_]*\)(.*/\1/p' learnann.h); do
        nm -D --defined-only "$B/liblearnann.so" | grep -q " T $name\$" || { echo "$name is not exported"; return 1; }
    done
    [ -n "${name:-}" ]
}
check "every function of learnann.h is one of liblearnann.so" all_exported
check "symbols of liblearnann.so" bash -c "! ($(declare -f exported); nm -D --defined-only '$B/liblearnann.so' | awk '{print \$3}' | grep -v '^learnann_' | grep .)"

check "amalgamation" tests/amalgamate_test.sh

echo "scripts: $passed passed, $failed failed"
[ $failed = 0 ]
