#!/usr/bin/env bash
# Counts the instructions (by callgrind) and the allocations of each call and of each whole beacon, and compares them with
# benches/budget.toml. Needs valgrind. The exit status is 1 if a row exceeds its budget.
# Each row is the difference between a run with 2N calls and a run with N calls, so that one-time work does not count.
# The rows over sockets count all threads of a delivery to nginx, which is not counted. They only warn.
#   benches/count.sh [ROW...]
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "not run: there is no valgrind"
    exit
fi
source benches/nginx.sh
# With incremental compilation, the compiler inlines less.
unset CARGO_INCREMENTAL
cargo build --release -q -p benches --bin count --bin deliver --locked
bin=${CARGO_TARGET_DIR:-target}/release

# What budget.toml says of a name, without the punctuation.
budget() {
    sed -n "s/^$1 = //p" benches/budget.toml | tr -d '[],"_'
}

host=$(rustc -vV | sed -n 's/^host: //p')
release=$(rustc -vV | sed -n 's/^release: //p')
[ "$release $host" = "$(sed -n 's/^rustc = //p; s/^target = //p' benches/budget.toml | tr -d '"' | xargs)" ] &&
    is_same=true || is_same=false
status=0

# report ROW INSTRUCTIONS ALLOCATIONS: prints a row, and fails if it exceeds its budget.
report() {
    local most most_allocations note=
    read -r most most_allocations <<<"$(budget "$1")" || true
    if [ -n "$most" ] && { [ $(($2 * 100)) -gt $((most * 108)) ] || [ "$3" -gt "$most_allocations" ]; }; then
        note="over the budget of $most and $most_allocations"
    fi
    printf '%-20s %8d instructions %3d allocations  %s\n' "$1" "$2" "$3" "$note"
    [ -z "$note" ]
}

# counted TOOL PATTERN COMMAND...: the number that the pattern finds in what the tool prints.
counted() {
    valgrind --tool="$1" --"$1"-out-file=/dev/null "${@:3}" 2>&1 | sed -n "s/$2/\1/p" | tr -d ,
}

instructions() {
    counted callgrind '.*Collected : \([0-9]*\).*' "$@"
}

allocations() {
    counted dhat '.*Total:.* in \([0-9,]*\) blocks.*' "$@"
}

# alone ROW N: what runs without sockets.
alone() {
    local one two each allocations
    one=$(instructions "$bin/count" "$1" "$2")
    two=$(instructions "$bin/count" "$1" $((2 * $2)))
    each=$(((two - one) / $2))
    allocations=$("$bin/count" "$1" "$2" | sed 's/ .*//')
    report "$1" "$each" "$allocations" || ! $is_same || status=1
}

# of_each COUNTING N URL: what each of N deliveries takes, by the function `instructions` or `allocations`.
of_each() {
    local one two
    one=$("$1" "$bin/deliver" "$3" "$2" 16 1024 --cacert "$dir/cert.pem")
    two=$("$1" "$bin/deliver" "$3" $((2 * $2)) 16 1024 --cacert "$dir/cert.pem")
    echo $(((two - one + $2 / 2) / $2))
}

# over_sockets ROW N URL: the instructions are the median of three.
over_sockets() {
    local each
    each=$(for _ in 1 2 3; do of_each instructions "$2" "$3"; done | sort -n | sed -n 2p)
    report "$1" "$each" "$(of_each allocations "$2" "$3")" || true
}

is_wanted() {
    [ $# -eq 1 ] || [[ " ${*:2} " == *" $1 "* ]]
}

for what in floor document empty string64 string1k blob1k form-data url-search-params refused type-error \
    whole whole100k-documents whole100-queued whole10k-queued whole1000-urls whole1000-queries; do
    ! is_wanted $what "$@" || alone $what 10000
done
if command -v nginx >/dev/null && command -v openssl >/dev/null; then
    start_nginx
    ! is_wanted http1 "$@" || over_sockets http1 4000 "http://127.0.0.1:$http/collect"
    ! is_wanted http2 "$@" || over_sockets http2 4000 "https://localhost:$https/collect"
else
    echo "not run over sockets: there is no nginx or no openssl"
fi
$is_same || echo "budget.toml is for rustc $(sed -n 's/^rustc = //p' benches/budget.toml), so this only warns"
exit $status
