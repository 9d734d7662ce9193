"""A server of pages and a collector of beacons, for the checks under Xvfb."""

import http.server
import pathlib
import socket
import threading
import time
import urllib.parse

PAGES = pathlib.Path(__file__).parent / "pages"


class Collector:
    """Serves `pages`, and records each request to `/collect` with its query, its headers and its body."""

    def __init__(self):
        self._records = []
        self._changed = threading.Condition()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                collector._get(self)

            def do_HEAD(self):
                collector._post(self)

            def do_POST(self):
                collector._post(self)

            def do_OPTIONS(self):
                collector._answer(self, 204, b"", CORS)

        # The queue of connections is long, because many come at once.
        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                pass  # A webview that is killed breaks its connections.

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, page, host="127.0.0.1", **query):
        port = self._server.server_address[1]
        return f"http://{host}:{port}/{page}.html?" + urllib.parse.urlencode(query)

    def records(self, run):
        with self._changed:
            return [record for record in self._records if record["query"].get("run") == run]

    def wait(self, run, count, seconds, label=None):
        """Waits until there are `count` records of a run, and returns those that there are."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [
                    record
                    for record in self._records
                    if record["query"].get("run") == run
                    and (label is None or record["query"].get("label") == label)
                ]
                left = end - time.monotonic()
                if len(found) >= count or left <= 0:
                    return found
                self._changed.wait(left)

    def _get(self, request):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        time.sleep(float(query.get("wait", 0)))
        if url.path == "/collect":
            return self._post(request)
        page = PAGES / pathlib.PurePosixPath(url.path).name
        if not page.is_file():
            return self._answer(request, 404, b"", {})
        headers = {
            "Content-Type": "text/javascript" if page.suffix == ".js" else "text/html; charset=utf-8",
            "Set-Cookie": "session=1; HttpOnly; SameSite=Strict; Path=/",
        }
        if "csp" in query:
            headers["Content-Security-Policy"] = query["csp"]
        if "referrer" in query:
            headers["Referrer-Policy"] = query["referrer"]
        if "isolated" in query:
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        self._answer(request, 200, page.read_bytes(), headers)

    def _post(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
        time.sleep(float(query.get("delay", 0)))
        with self._changed:
            headers = [(name.lower(), value) for name, value in request.headers.items()]
            self._records.append({"query": query, "headers": headers, "body": body})
            self._changed.notify_all()
        headers = CORS | {"Set-Cookie": "answered=1; Path=/"}
        if "to" in query:
            return self._answer(request, 302, b"", headers | {"Location": query["to"]})
        answer = b"" if request.command == "HEAD" else query.get("answer", "").encode() * int(query.get("times", 1))
        if "answer" in query:
            headers |= {"Content-Type": "text/plain", "X-Test": "a", "Access-Control-Expose-Headers": "x-test"}
        self._answer(request, int(query.get("status", 204)), answer, headers)

    def _answer(self, request, status, body, headers):
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value.replace("ORIGIN", request.headers.get("Origin", "*")))
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except (ConnectionError, socket.timeout):
            pass  # The webview has gone.


CORS = {
    "Access-Control-Allow-Origin": "ORIGIN",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Headers": "content-type",
}
