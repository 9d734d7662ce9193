#!/usr/bin/env bash
# Compares deliveries to nginx by this library with deliveries by other HTTP clients:
#   benches/compare.sh [PAIRS] [COUNT] [SIZE]
# The library and each peer take turns, PAIRS times each. The script prints the medians and their ratio. Needs nginx and
# openssl.
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=${1:-5} count=${2:-100000} size=${3:-1024}
http=${HTTP_PORT:-8471} https=${HTTPS_PORT:-8472}

cargo build --release --locked -p benches --bin deliver
deliver=${CARGO_TARGET_DIR:-target}/release/deliver
dir=$(mktemp -d)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/key.pem" -out "$dir/cert.pem" \
    2>"$dir/openssl.log"
cat >"$dir/nginx.conf" <<CONF
worker_processes ${WORKERS:-auto};
error_log error.log;
pid nginx.pid;
events {}
http {
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path body;
    server {
        listen 127.0.0.1:$http;
        listen 127.0.0.1:$https ssl http2;
        http2_max_concurrent_streams 1024;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        return 204;
    }
}
CONF
nginx -p "$dir" -c nginx.conf -g 'daemon off;' 2>"$dir/nginx.log" &
nginx=$!
trap 'kill $nginx; wait $nginx; rm -r "$dir"' EXIT
for _ in $(seq 100); do
    (: <>"/dev/tcp/127.0.0.1/$https") 2>/dev/null && break
    kill -0 $nginx && sleep 0.1
done

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
                "$deliver" "$url" "$n" "$conc" "$size" --peer "$who" --cacert "$dir/cert.pem"
            done
        done | awk -v url="$url" -v conc="$conc" -v peer="$peer" '
            { sub("rps=", "", $NF); rps[$1, ++n[$1]] = $NF }
            function median(who, i, j, t, v) {
                for (i = 1; i <= n[who]; i++) v[i] = rps[who, i] + 0
                for (i = 1; i <= n[who]; i++) for (j = i + 1; j <= n[who]; j++)
                    if (v[j] < v[i]) { t = v[i]; v[i] = v[j]; v[j] = t }
                return (v[int((n[who] + 1) / 2)] + v[int(n[who] / 2) + 1]) / 2
            }
            END {
                ours = median("sendbeacon"); theirs = median(peer)
                printf "%s at %d in flight: sendbeacon %d/s, %s %d/s: %.2f\n",
                    url, conc, ours, peer, theirs, ours / theirs
            }'
    done
}

for conc in 16 1; do
    compare "http://127.0.0.1:$http/collect" $conc raw hyper-util reqwest
    compare "https://localhost:$https/collect" $conc raw h2 reqwest
done
