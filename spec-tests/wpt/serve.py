#!/usr/bin/env python3
"""Serves a checkout of the web platform tests with `wptserve` from PyPI, like `./wpt serve`.

    pip install wptserve
    serve.py CHECKOUT [--state FILE] [--free-ports]

When all ports answer, FILE gets a line of JSON: {"http": "http://web-platform.test:8000", "https": ..., "ca": path}.
SIGTERM and SIGINT end the program, which then deletes the certificate authority and its keys.
"""

import argparse
import json
import logging
import os
import random
import re
import signal
import socket
import sys
import tempfile

from wptserve import handlers, stash
from wptserve.config import ConfigBuilder
from wptserve.server import WebTestHttpd

HOST = "web-platform.test"
ALTERNATE_HOST = "not-web-platform.test"
SUBDOMAINS = ["www", "www1", "www2", "天気の良い日", "élève"]
PORTS = {"http": [8000, 8001], "https": [8443, 8444], "ws": [8666], "wss": [8667], "h2": [9000]}

META = re.compile(rb"^//\s*META:\s*(\w*)=(.*)$")
TAGS = """<!doctype html><meta charset=utf-8>{head}
<script src="/resources/testharness.js"></script>
<script src="/resources/testharnessreport.js"></script>
<div id=log></div>
"""
GLOBAL = """<script>
self.GLOBAL = {{ isWindow: () => true, isWorker: () => false, isShadowRealm: () => false }};
</script>"""
IN_WORKER = """self.GLOBAL = {{ isWindow: () => false, isWorker: () => true, isShadowRealm: () => false }};
importScripts("/resources/testharness.js");
{imports}
importScripts("{path}");
done();
"""


class Wrapper:
    """Makes the page or the worker's script for a test that is a script only."""

    def __init__(self, suffix, source, template, content_type, loads=None):
        self.suffix, self.source, self.template = suffix, source, template
        self.loads, self.content_type = loads or source, content_type
        self.handler = handlers.handler(self.handle)

    def __call__(self, request, response):
        self.handler(request, response)

    def handle(self, request, response):
        stem = request.url_parts.path[: -len(self.suffix)]
        file = handlers.filesystem_path(None, request)[: -len(self.suffix)] + self.source
        if not os.path.isfile(file):
            response.set_error(404)
            return
        metas = list(read_metas(file))
        scripts = [value for key, value in metas if key == "script"]
        head = "".join('<meta name="timeout" content="long">' for pair in metas if pair == ("timeout", "long"))
        head += "".join(f"<title>{value}</title>" for key, value in metas if key == "title")
        query = f"?{request.url_parts.query}" if request.url_parts.query else ""
        for name, value in handlers.load_headers(request, file):
            response.headers.set(name, value)
        response.headers.set("Content-Type", self.content_type)
        response.content = self.template.format(
            head=head,
            tags="\n".join(f'<script src="{script}"></script>' for script in scripts),
            imports="\n".join(f'importScripts("{script}");' for script in scripts),
            path=stem + self.loads,
            query=query,
        )
        handlers.wrap_pipeline(file, request, response)


def read_metas(file):
    with open(file, "rb") as lines:
        for line in lines:
            if not line.startswith(b"//"):
                return
            if match := META.match(line.rstrip()):
                yield tuple(group.decode() for group in match.groups())


def routes():
    run = '{tags}\n<script src="{path}"></script>\n'
    worker = '<script>fetch_tests_from_worker(new Worker("{path}{query}"));</script>\n'
    html, script = "text/html", "text/javascript"
    wrappers = {
        "*.window.html": Wrapper(".window.html", ".window.js", TAGS + run, html),
        "*.any.html": Wrapper(".any.html", ".any.js", GLOBAL + TAGS + run, html),
        "*.any.worker.html":
            Wrapper(".any.worker.html", ".any.js", TAGS + worker, html, ".any.worker.js"),
        "*.any.worker.js": Wrapper(".any.worker.js", ".any.js", IN_WORKER, script),
        "*.worker.html": Wrapper(".worker.html", ".worker.js", TAGS + worker, html),
    }
    return [
        *(("GET", pattern, wrapper) for pattern, wrapper in wrappers.items()),
        ("GET", "*.asis", handlers.as_is_handler),
        ("*", "*.py", handlers.python_script_handler),
        ("GET", "*", handlers.file_handler),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout")
    parser.add_argument("--state", help="write the origins and the CA's path to this file when ready")
    parser.add_argument("--free-ports", action="store_true", help="use any free ports instead of those of ./wpt serve")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    root = os.path.abspath(options.checkout)
    # The tests' handlers import each other from there.
    sys.path.insert(0, root)
    ports = free_ports() if options.free_ports else PORTS
    with tempfile.TemporaryDirectory() as directory, stash.StashServer():
        builder = ConfigBuilder(
            logging.getLogger("serve"),
            subdomains=set(SUBDOMAINS),
            not_subdomains={"nonexistent"},
            browser_host=HOST,
            alternate_hosts={"alt": ALTERNATE_HOST},
            server_host="127.0.0.1",
            doc_root=root,
            ports=ports,
            ssl={"type": "openssl", "openssl": {"openssl_binary": "openssl", "base_path": directory}},
        )
        with builder as config:
            for scheme, port in [(s, port) for s in ("http", "https") for port in config.ports[s]]:
                start(root, port, scheme == "https", config)
            state = {s: f"{s}://{HOST}:{config.ports[s][0]}" for s in ("http", "https")}
            state["ca"] = config.ssl_config["ca_cert_path"]
            write_state(options.state, json.dumps(state))
            signal.pause()


def free_ports():
    # Four digits as upstream's ports: tests of quotas count the bytes of URLs. The range has no bad port of Fetch.
    candidates = iter(random.sample(range(7000, 10000), 3000))
    return {scheme: [next(filter(is_free, candidates)) for _ in list_] for scheme, list_ in PORTS.items()}


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(root, port, is_tls, config):
    tls = config.ssl_config
    keys = {"key_file": tls["key_path"], "certificate": tls["cert_path"]} if is_tls else {}
    WebTestHttpd(host="127.0.0.1", port=port, doc_root=root, routes=routes(), use_ssl=is_tls, config=config,
                 rewrites=[("GET", "/resources/WebIDLParser.js", "/resources/webidl2/lib/webidl2.js")],
                 bind_address=True, **keys).start()


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
