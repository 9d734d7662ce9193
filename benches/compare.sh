#!/usr/bin/env bash
# Compares deliveries to nginx by this library with deliveries by other HTTP clients:
#   benches/compare.sh [PAIRS] [COUNT] [SIZE]
# The library and each peer take turns, PAIRS times each. The script prints the medians and their ratio: first as the system
# places the threads, and then with nginx on one core and the client on another. Needs nginx and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."
source benches/nginx.sh
pairs=${1:-5} count=${2:-100000} size=${3:-1024}
# What a delivery runs under, and what the rows say of it.
pinning=() how=
cargo build --release --locked -p benches --bin deliver
deliver=${CARGO_TARGET_DIR:-target}/release/deliver
start_nginx

# compare URL CONCURRENCY PEER...
compare() {
    local url=$1 conc=$2 peer
    local n=$((conc == 1 ? count / 4 : count))
    # nginx answers before it has read a body. It takes some megabytes of such bodies on one HTTP/2 connection for a flood
    # and closes the connection.
    [[ $url != https* || $n -lt 15000 ]] || n=15000
    for peer in "${@:3}"; do
        for _ in $(seq "$pairs"); do
            for who in sendbeacon "$peer"; do
                "${pinning[@]}" "$deliver" "$url" "$n" "$conc" "$size" --peer "$who" --cacert "$dir/cert.pem"
            done
        done | awk -v url="$url" -v conc="$conc" -v peer="$peer" -v how="$how" '
            { sub("rps=", "", $NF); rps[$1, ++n[$1]] = $NF }
            function median(who, i, j, t, v) {
                for (i = 1; i <= n[who]; i++) v[i] = rps[who, i] + 0
                for (i = 1; i <= n[who]; i++) for (j = i + 1; j <= n[who]; j++)
                    if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
                return (v[int((n[who] + 1) / 2)] + v[int(n[who] / 2) + 1]) / 2
            }
            END {
                ours = median("sendbeacon"); theirs = median(peer)
                printf "%s at %d in flight%s: sendbeacon %d/s, %s %d/s: %.2f\n",
                    url, conc, how, ours, peer, theirs, ours / theirs
            }'
    done
}

compare_all() {
    local conc
    for conc in 16 6 1; do
        compare "http://127.0.0.1:$http/collect" $conc raw hyper-util reqwest
        compare "https://localhost:$https/collect" $conc raw h2 reqwest
    done
}

compare_all
if [ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null; then
    for process in $nginx $(pgrep -P $nginx); do
        taskset -apc 0 "$process" >/dev/null
    done
    pinning=(taskset -c 1) how=", pinned"
    compare_all
else
    echo "not run pinned: there is one core, or no taskset"
fi
