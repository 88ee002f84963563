#!/bin/bash
# compare.sh [NAME|NAME=l2|ip|cos]...: of each set of ../shared/data (or of DATA): how well a search finds the nearest rows of all rows, which all else
# is learned from; what maps learned as the literature proposes keep of the true neighbours, beside PCA and our own; and what searches
# cost on graphs so learned, beside ours. B: the folder of the tools. The sets' queries measure only.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build} DATA=${DATA:-../shared/data}
L=$B/learnann
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
number() { sed -n "s/.*\"$1\":\([0-9.e+-]*\).*/\1/p"; }
[ $# -gt 0 ] || set -- $(cd "$DATA" && for f in */truth.*; do dirname "$f"; done)

for spelled; do
    name=${spelled%=*}
    case $spelled in *=*) metric=${spelled#*=} ;; bge*) metric=cos ;; gowalla) metric=ip ;; *) metric=l2 ;; esac
    rows=$(echo "$DATA/$name"/base.*) train=$(ls "$DATA/$name"/train_query.* 2>/dev/null || true)
    learn() { "$B/learnann-literature" "$1" "$rows" "$T/lists.ivecs" -o "$2" --metric "$metric" "${@:3}"; }
    printf '\n==== %s\n' "$name"

    "$L" build "$rows" -o "$T/rows.la" --metric "$metric" >/dev/null
    "$L" search "$T/rows.la" "$rows" -k 33 --recall 0.99 --out "$T/lists.ivecs" --threads 2 >/dev/null
    "$L" convert "$rows" "$T/rows.fvecs" >/dev/null
    dim=$(od -An -t u4 -N4 "$T/rows.fvecs" | tr -d ' ')
    head -c $((2000 * (4 * dim + 4))) "$T/rows.fvecs" >"$T/some.fvecs"
    "$L" search "$T/rows.la" "$T/some.fvecs" -k 21 --effort 1048576 --threads 2 --out "$T/true.ivecs" >/dev/null
    found=$("$L" search "$T/rows.la" "$T/some.fvecs" -k 21 --recall 0.99 --truth "$T/true.ivecs" --json)
    echo "the nearest 20 of 2,000 rows, and themselves: $(number recall <<<"$found") found, by $(number distances <<<"$found") code distances each"

    for map in laplacian lpp olpp; do learn $map "$T/$map.npy"; done
    learn metric "$T/metric.npy" ${train:+--queries "$train"}
    for bytes in 32 64; do
        for space in pca learned "$T/laplacian.npy" "$T/lpp.npy" "$T/olpp.npy" "$T/metric.npy"; do
            kept=$("$L" build "$rows" -o "$T/x.la" --metric "$metric" --spectral "$space" --code-bytes $bytes ${train:+--queries "$train"} --json | number code_recall)
            echo "$bytes bytes, $(basename "$space" .npy): the best 20 hold $kept of the true 10"
        done
    done

    learn sage "$T/sage.ivecs" ${train:+--queries "$train"}
    learn soft "$T/soft.ivecs" ${train:+--queries "$train"}
    builds="--graph adaptive; --graph $T/sage.ivecs; --graph $T/soft.ivecs; --graph $T/lists.ivecs"
    "$B/learnann-ablation" --tool "$L" --data "$DATA" --sets "$spelled" --builds "$builds${train:+; --graph adaptive --queries $train}" | sed "s|$T/||g"
done
