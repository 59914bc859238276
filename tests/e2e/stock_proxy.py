"""A proxy before our server that takes away everything of ours: what is left is what a stock server announces."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "expect"}


class StockHandler(BaseHTTPRequestHandler):
    """Passes every request on; takes our capability out, and the headers that only our server sends or reads."""

    protocol_version = "HTTP/1.1"
    target = ""

    def log_message(self, *_: object) -> None:
        pass

    def _pass_on(self) -> None:
        body = self._body()
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _HOP and not name.lower().startswith("x-candado")
        }
        connection = HTTPConnection(self.target, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if self.path.startswith("/ocs/v2.php/cloud/capabilities"):
                content = _stripped(content)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP and not name.lower().startswith("x-candado"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
        finally:
            connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._pass_on
        raise AttributeError(name)


def _stripped(content: bytes) -> bytes:
    document = json.loads(content)
    offered = document["ocs"]["data"]["capabilities"]
    assert offered.pop("candado")
    offered.get("dav", {}).pop("bulkupload", None)
    return json.dumps(document).encode()


@contextmanager
def stock_proxy(url: str) -> Iterator[str]:
    """The address of a server without our extensions."""
    handler = type("Handler", (StockHandler,), {"target": urlsplit(url).netloc})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
