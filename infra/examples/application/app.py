#!/usr/bin/env python3
"""The application that the examples release: it says which version answers.

Edit the three values below to make another version. As a container's command it serves; as an instance's user data it
becomes a service of the instance's.
"""

import os
import random
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "1"
# Share of the requests that are answered with 500, in percent. Health checks are always answered with 200.
ERROR_PERCENT = 0
# How long an answer takes, in milliseconds.
LATENCY_MILLISECONDS = 0

PORT = int(os.environ.get("PORT", "80"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_health_check = self.path == "/health" or self.headers.get("User-Agent", "").startswith("ELB-HealthChecker")
        time.sleep(LATENCY_MILLISECONDS / 1000)
        is_error = not is_health_check and random.random() * 100 < ERROR_PERCENT
        body = f"version {VERSION}: {'error' if is_error else 'ok'}\n".encode()
        self.send_response(500 if is_error else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


if "serve" in sys.argv:
    Server(("", PORT), Handler).serve_forever()
else:
    # cloud-init runs user data once, and waits for it: the service goes on beside it.
    program = [sys.executable, os.path.abspath(__file__), "serve"]
    subprocess.run(["systemd-run", "--unit=application", "--property=Restart=always", *program], check=True)
