#!/usr/bin/env bash
# Counts the instructions (by callgrind) and the allocations of each call and of each whole beacon. Needs valgrind.
# Each row is the difference between a run with 2N calls and a run with N calls, so that one-time work does not count.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -q -p benches --bin count
count=${CARGO_TARGET_DIR:-target}/release/count

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$count" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

row() {
    local one two
    one=$(instructions "$1" "$2")
    two=$(instructions "$1" $((2 * $2)))
    printf '%-24s %8d instructions, %s\n' "$1" $(((two - one) / $2)) "$("$count" "$1" "$2")"
}

for what in floor empty string64 string1k blob1k form-data url-search-params refused type-error; do
    row $what 10000
done
for what in whole whole100k-documents whole100-queued whole10k-queued; do
    row $what 20000
done
