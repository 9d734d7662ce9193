# To be sourced: start_nginx starts an nginx that answers each request with 204, and stops it when the script ends.
# Afterwards $http and $https are its ports, $nginx is its process, and $dir has its files and cert.pem. Needs openssl.
# shellcheck shell=bash

# A port of this machine on which nothing listens.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)) && (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

start_nginx() {
    http=${HTTP_PORT:-$(free_port)} https=${HTTPS_PORT:-$(free_port)}
    dir=$(mktemp -d)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/key.pem" \
        -out "$dir/cert.pem" 2>"$dir/openssl.log"
    cat >"$dir/nginx.conf" <<CONF
worker_processes ${WORKERS:-auto};
error_log error.log;
pid nginx.pid;
events {}
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 600;
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
}
