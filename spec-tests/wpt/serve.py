#!/usr/bin/env python3
"""Serves a checkout of the web platform tests with the server of that checkout, without `/etc/hosts`.

    serve.py CHECKOUT [--state FILE] [--free-ports]

When all ports answer, FILE gets a line of JSON: {"http": "http://web-platform.test:8000", "https": ..., "ca": path}.
SIGTERM and SIGINT end the program, which then deletes the certificate authority and its keys.
"""

import argparse
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time

HOST = "web-platform.test"
PORTS = {
    "http": [8000, 8001], "http-private": [8002], "http-local": [8002], "http-public": [8003],
    "https": [8443, 8444], "https-private": [8445], "https-local": [8445], "https-public": [8446],
    "ws": [8666], "wss": [8667], "h2": [9000],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout")
    parser.add_argument("--state", help="write the origins and the CA's path to this file when ready")
    parser.add_argument("--free-ports", action="store_true", help="use any free ports instead of those of ./wpt serve")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    # NB: the module finds the checkout's own libraries, so that nothing has to be installed.
    sys.path.insert(0, os.path.join(os.path.abspath(options.checkout), "tools"))
    import localpaths  # noqa: F401
    from serve import serve
    mend_http2(serve)
    # Checkouts of different years have different schemes.
    schemes = [scheme for scheme in PORTS if scheme == "h2" or scheme in serve.ConfigBuilder._default["ports"]]
    ports = free_ports(schemes) if options.free_ports else {scheme: PORTS[scheme] for scheme in schemes}
    with tempfile.TemporaryDirectory() as directory:
        config = {
            "server_host": "127.0.0.1",
            # The shell, not the system, knows the addresses of the hosts.
            "check_subdomains": False,
            "ports": ports,
            "ssl": {"type": "openssl", "openssl": {"openssl_binary": "openssl", "base_path": directory}},
        }
        path = os.path.join(directory, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        state = {scheme: f"{scheme}://{HOST}:{ports[scheme][0]}" for scheme in ("http", "https")}
        state["h2"] = f"https://{HOST}:{ports['h2'][0]}"
        state["ca"] = os.path.join(directory, "cacert.pem")
        threading.Thread(target=announce, args=(ports, options.state, json.dumps(state)), daemon=True).start()
        serve.run(**vars(serve.get_parser().parse_args(["--config", path])))


def mend_http2(serve):
    """Lets the HTTP/2 server of 2021 start with OpenSSL 3, and wait when a flow control window is used up."""
    from wptserve.response import H2ResponseWriter
    serve.http2_compatible = lambda: True
    payload_size = H2ResponseWriter.get_max_payload_size

    def wait_for_payload_size(self, stream_id=None):
        while (size := payload_size(self, stream_id)) <= 0:
            time.sleep(0.001)
        return size

    H2ResponseWriter.get_max_payload_size = wait_for_payload_size


def announce(ports, file, text):
    """Waits until every port answers, and then writes the state."""
    for port in (port for ports_of_scheme in ports.values() for port in ports_of_scheme):
        while not answers(port):
            time.sleep(0.1)
    write_state(file, text)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(schemes):
    # Four digits as upstream's ports: tests of quotas count the bytes of URLs. The range has no bad port of Fetch.
    candidates = iter(random.sample(range(7000, 10000), 3000))
    return {scheme: [next(filter(is_free, candidates)) for _ in PORTS[scheme]] for scheme in schemes}


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_state(file, text):
    if file is None:
        print(text, flush=True)
        return
    # Readers see the whole line or no file.
    with open(file + ".part", "w", encoding="utf-8") as part:
        part.write(text + "\n")
    os.rename(file + ".part", file)


if __name__ == "__main__":
    main()
