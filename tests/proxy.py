"""An HTTP proxy in front of an S3 server: it sees every request, and does harm where a test wants it."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import psutil

HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """What a client wants: ``method``, ``path`` as /bucket/key, ``query``, and the client's TCP port."""

    method: str
    path: str
    query: str
    port: int

    def client(self) -> psutil.Process | None:
        """The process at the other end; None where it is gone already."""
        for connection in psutil.net_connections("tcp4"):
            if connection.laddr and connection.laddr.port == self.port and connection.pid:
                with suppress(psutil.NoSuchProcess):
                    return psutil.Process(connection.pid)
        return None


class Dropped(Exception):
    """Raised by a hook: the connection ends here with a reset, and the client hears no more of it."""


class Answer(Exception):
    """Raised by a hook: the client gets this status with this S3 error code, and the server never hears of it."""

    def __init__(self, status: int, code: str):
        self.status, self.code = status, code


class Hook:
    """What a proxy asks about every request; this one lets all pass."""

    def before(self, request: Request) -> None:
        """The request is here, the server has not seen it."""

    def after(self, request: Request) -> None:
        """The server has answered, the client has not seen it."""

    def body(self, request: Request, data: bytes) -> bytes:
        """What the client gets for the server's ``data``."""
        return data


class Proxy:
    """Forwards to ``upstream`` and leaves every header as it is: S3 signs them, the host's name among them.

    Attributes:
        url: for ``AWS_ENDPOINT_URL``.
        hook: asked about every request; to be replaced at any time.
    """

    def __init__(self, upstream: str):
        self.hook = Hook()
        self.address = urlsplit(upstream).netloc
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Serve within the block."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one packet, not one a header

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(self.proxy.address, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        with suppress(OSError):
            super().finish()

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # or the client would wait a second for the leave to send its body
        return True

    def log_message(self, *_) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            super().handle()

    def _pass(self) -> None:
        at = urlsplit(self.path)
        request = Request(self.command, unquote(at.path), at.query, self.client_address[1])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.proxy.hook.before(request)
            status, headers, data = self._forward(body)
            self.proxy.hook.after(request)
            data = self.proxy.hook.body(request, data)
        except Dropped:
            self._reset()
            return
        except Answer as answer:
            status, headers = answer.status, [("Content-Type", "application/xml")]
            data = f"<Error><Code>{answer.code}</Code><Message>as the test wants it</Message></Error>".encode()
        except (ConnectionError, http.client.HTTPException):  # the server is away: so are we
            self._reset()
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP and name.lower() != "content-length":
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length", len(data))
        if status != 204:
            self.send_header("Content-Length", str(length if self.command == "HEAD" else len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.upstream.putheader(name, value)
        self.upstream.endheaders(body)
        answer = self.upstream.getresponse()
        data = answer.read()
        if answer.will_close:
            self.upstream.close()
        return answer.status, answer.getheaders(), data

    def _reset(self) -> None:
        """End the connection as a process that dies does: with a reset."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
