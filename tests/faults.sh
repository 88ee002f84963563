#!/bin/bash
# faults.sh [KILLS [STRIDE]]: each system call of a save fails once; every STRIDE-th (default 1) allocation of each command fails,
# alone and with all after it; and a save is killed KILLS times (default 30) while it writes. After each the file is the old
# index or the new one, whole, and no temporary is left by a process that could clean up.
# Uses B (the build folder) and CC from the environment. Ends with "faults: N tried, M failed".
set -u
cd "$(dirname "$0")/.."
B=${B:-build} CC=${CC:-cc} kills=${1:-30} stride=${2:-1}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
tried=0 failed=0 finished=0 saving=0
L=$PWD/$B/learnann
"$CC" -O1 -Wall -Wextra -shared -fPIC tests/faults/faults.c -o "$T/faults.so" -ldl || exit 1

# Rows of two kinds: 600 and 12,000 of 16 bytes.
made() { printf "\\x$(printf %02x $(($1 % 256)))\\x$(printf %02x $(($1 / 256)))\\0\\0\\x10\\0\\0\\0"; head -c $(($1 * 16)) "$L"; }
made 600 >"$T/old.u8bin"
made 12000 >"$T/new.u8bin"
mkdir "$T/at"
F=$T/at/index.la
"$L" build "$T/old.u8bin" -o "$T/old.la" >/dev/null && "$L" build "$T/new.u8bin" -o "$T/new.la" >/dev/null || exit 1
"$L" train "$T/old.la" --queries "$T/new.u8bin" -o "$T/trained.la" >/dev/null || exit 1

wrong() {
    failed=$((failed + 1))
    echo "FAILED: $*"
}
# whole NAME NEW: the file is the old index or NEW, and verifies.
whole() {
    cmp -s "$F" "$T/old.la" || cmp -s "$F" "$2" || wrong "$1: neither the old index nor the new one"
    "$L" verify "$F" >/dev/null 2>&1 || wrong "$1: what is there does not verify"
}
# each FAULT STEP MAY_GO_ON NEW COMMAND...: the first call fails, then the one STEP later, until there is none left.
each() {
    local fault=$1 step=$2 may_go_on=$3 new=$4 at=1 code points=0
    shift 4
    [ $fault = memory ] && at=2     # the first is the C++ library's reserve for exceptions: without it none can be thrown
    for (( ; at < 5000; at += step)); do
        cp "$T/old.la" "$F"
        chmod 640 "$F"
        rm -f "$T/seen"
        FAULT=$fault FAULT_AT=$at FAULT_SEEN=$T/seen LD_PRELOAD=$T/faults.so "$@" >"$T/out" 2>"$T/err"
        code=$?
        [ -e "$T/seen" ] || break
        tried=$((tried + 1)) points=$((points + 1))
        whole "$fault $at of $2" "$new"
        [ "$(ls -A "$T/at")" = index.la ] || wrong "$fault $at: $(ls -A "$T/at") is left"
        [ "$(ls -l "$F" | cut -c 1-10)" = -rw-r----- ] || wrong "$fault $at of $2: other permissions"
        [ $code = 0 ] && [ "$may_go_on" = no ] && wrong "$fault $at of $2: succeeded"
        [ $code = 0 ] && [ "$may_go_on" = yes ] && ! cmp -s "$F" "$new" && wrong "$fault $at of $2: succeeded without the new index"
        [ $code -gt 1 ] && wrong "$fault $at of $2: exit $code"
        [ $code = 1 ] && [ ! -s "$T/err" ] && wrong "$fault $at of $2: no reason given"
    done
    [ $points -gt 0 ] || wrong "$fault of $2: never called"
    [ $code = 0 ] || wrong "$fault of $2: fails without a fault"
    cmp -s "$F" "$new" || wrong "$fault of $2: not the new index in the end"
    echo "$2: $points points of $fault"
}
build=("$L" build "$T/new.u8bin" -o "$F" --threads 1)
train=("$L" train "$F" --queries "$T/new.u8bin" --threads 1)
for fault in open chmod write fsync rename mmap; do
    may_go_on=no
    [ $fault = fsync ] && may_go_on=yes     # a folder that can't be flushed is not the file's failure: the second fsync
    each $fault 1 $may_go_on "$T/new.la" "${build[@]}"
    each $fault 1 $may_go_on "$T/trained.la" "${train[@]}"
done
for fault in short close; do
    each $fault 1 yes "$T/new.la" "${build[@]}"
done

# An index that is read instead of mapped, from a device that fails and from a file that another process cuts short.
for fault in read cut; do
    each $fault 1 yes "$T/old.la" "$L" search "$F" "$T/old.u8bin" --copy      # later ones are of what is reported
    FAULT=$fault FAULT_AT=1 FAULT_SEEN=$T/seen LD_PRELOAD=$T/faults.so "$L" search "$F" "$T/old.u8bin" --copy >/dev/null 2>&1 && wrong "$fault: opened"
done

# Memory, where the shim can take it away. Of few rows: each command allocates some hundred times. Where it can do without (a
# buffer of the C library's), it may succeed.
if ldd --version 2>&1 | grep -qi 'glibc\|gnu'; then
    made 700 >"$T/few.u8bin"
    "$L" build "$T/few.u8bin" -o "$T/few.la" >/dev/null && "$L" train "$T/old.la" --queries "$T/few.u8bin" -o "$T/little.la" >/dev/null || exit 1
    for fault in malloc memory; do
        each $fault "$stride" yes "$T/few.la" "$L" build "$T/few.u8bin" -o "$F" --threads 1
        each $fault "$stride" yes "$T/little.la" "$L" train "$F" --queries "$T/few.u8bin" --threads 1
        each $fault "$stride" yes "$T/old.la" "$L" search "$F" "$T/few.u8bin" --out "$T/hits.npy"
        each $fault "$stride" yes "$T/old.la" "$L" verify "$F" --json
        each $fault "$stride" yes "$T/old.la" "$L" info "$F"
        each $fault 1 yes "$T/old.la" "$L" convert "$T/few.u8bin" "$T/few.npy"
    done
    compgen -G "$T/*.tmp*" && wrong "convert or search: a temporary is left"
fi

# Killed while the new file is written, or just after: a temporary may stay, the index is whole.
for ((i = 0; i < kills; ++i)); do
    cp "$T/old.la" "$F"
    "${build[@]}" >/dev/null 2>&1 &
    pid=$!
    until compgen -G "$T/at/*.tmp" >/dev/null || ! kill -0 $pid 2>/dev/null; do :; done
    for ((wait = RANDOM % 1500; wait > 0; --wait)); do :; done      # up to some milliseconds
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    tried=$((tried + 1))
    cmp -s "$F" "$T/new.la" && finished=$((finished + 1))
    ls "$T/at/"*.tmp* >/dev/null 2>&1 && saving=$((saving + 1))
    whole "kill $i" "$T/new.la"
    rm -f "$T/at/"*.tmp*
done

echo "kills: $kills, of these $saving while the new file was being written, $finished after that"
echo "faults: $tried tried, $failed failed"
[ $failed = 0 ]
