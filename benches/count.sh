#!/usr/bin/env bash
# Counts the instructions (by callgrind) and the allocations of each call and of each whole beacon, and compares them with
# benches/budget.toml. Needs valgrind. The exit status is 1 if a row exceeds its budget.
# Each row is the difference between a run with 2N calls and a run with N calls, so that one-time work does not count.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "not run: there is no valgrind"
    exit
fi
cargo build --release -q -p benches --bin count --locked
count=${CARGO_TARGET_DIR:-target}/release/count

# What budget.toml says of a name, without the punctuation.
budget() {
    sed -n "s/^$1 = //p" benches/budget.toml | tr -d '[],"'
}

host=$(rustc -vV | sed -n 's/^host: //p')
release=$(rustc -vV | sed -n 's/^release: //p')
[ "$release $host" = "$(budget rustc) $(budget target)" ] && is_same=true || is_same=false
status=0

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$count" "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}

row() {
    local one two each allocations most most_allocations note=
    one=$(instructions "$1" "$2")
    two=$(instructions "$1" $((2 * $2)))
    each=$(((two - one) / $2))
    allocations=$("$count" "$1" "$2" | sed 's/ .*//')
    read -r most most_allocations <<<"$(budget "$1" | tr -d _)" || true
    if [ -n "$most" ] && { [ $((each * 100)) -gt $((most * 108)) ] || [ "$allocations" -gt "$most_allocations" ]; }; then
        note="over the budget of $most and $most_allocations"
        ! $is_same || status=1
    fi
    printf '%-20s %8d instructions %3d allocations  %s\n' "$1" "$each" "$allocations" "$note"
}

for what in floor empty string64 string1k blob1k form-data url-search-params refused type-error; do
    row $what 10000
done
for what in whole whole100k-documents whole100-queued whole10k-queued; do
    row $what 10000
done
$is_same || echo "budget.toml is for rustc $(budget rustc) on $(budget target), so this only warns"
exit $status
