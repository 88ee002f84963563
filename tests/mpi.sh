#!/bin/sh
# mpi.sh RANKS: runs the example of shards, on this machine, however few its cores and whoever asks. B is the build folder.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Of Open MPI; other MPIs let root and more ranks than cores pass.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
# A rank that fails ends all, with its reason.
if mpirun -n 2 "${B:-build}/examples/shards_mpi" "$folder/none" >"$folder/log" 2>&1 || ! grep -q '^rank [01]: ' "$folder/log"; then
    cat "$folder/log"
    exit 1
fi
mpirun -n "$1" "${B:-build}/examples/shards_mpi" "$folder"
