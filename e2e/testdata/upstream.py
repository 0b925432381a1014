"""Python's http.server, answering what its stock handlers do not: every method
with a report of the request as it arrived, and bodies framed in other ways.

usage: upstream.py HTTP/1.0|HTTP/1.1
"""

import hashlib
import http.server
import json
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = sys.argv[1]

    def log_message(self, *args):
        pass

    def read_body(self):
        """Returns the length and digest of the body, however it is framed, and its trailers."""
        digest, length, trailers = hashlib.sha256(), 0, []
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data = self.rfile.read(size)
                digest.update(data)
                length += len(data)
                self.rfile.readline()
            while (line := self.rfile.readline()) != b"\r\n":
                trailers.append(line.decode("latin-1").strip())
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left:
                data = self.rfile.read(min(left, 65536))
                digest.update(data)
                length += len(data)
                left -= len(data)
        return length, digest.hexdigest(), trailers

    def report(self):
        length, digest, trailers = self.read_body()
        body = json.dumps({
            "line": self.requestline,
            "headers": [[k, v] for k, v in self.headers.raw_items()],
            "length": length,
            "sha256": digest,
            "trailers": trailers,
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, trailers):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        if trailers:
            self.send_header("Trailer", "X-Digest")
        self.end_headers()
        for piece in (b"one\n", b"two\n", b"x" * 100000, b"\nlast\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n")
        if trailers:
            self.wfile.write(b"X-Digest: abc\r\n")
        self.wfile.write(b"\r\n")

    def until_close(self):
        self.close_connection = True
        self.send_response(200)
        self.send_header("X-MiXeD-cAsE", "kept")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"until the end\n" * 5000)

    def do_GET(self):
        if self.path == "/chunks":
            self.chunks(trailers=False)
        elif self.path == "/trailers":
            self.chunks(trailers=True)
        elif self.path == "/close":
            self.until_close()
        elif self.path == "/teapot":
            self.send_error(418)
        elif self.path == "/broken":
            self.send_error(500)
        else:
            self.report()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PURGE = report


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("serving on http://127.0.0.1:%d" % server.server_address[1])
server.serve_forever()
