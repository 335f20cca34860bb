"""IDX content made on the spot, and a local HTTP server."""

from __future__ import annotations

import http.server
import struct
import threading

import numpy as np


def make_idx(numbers: np.ndarray, kind: int = 0x08) -> bytes:
    header = struct.pack(f">BBBB{numbers.ndim}I", 0, 0, kind, numbers.ndim, *numbers.shape)
    return header + numbers.astype(numbers.dtype.newbyteorder(">")).tobytes()


class Server:
    """A local HTTP server: files by name, and what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.claimed_sizes: dict[str, int] = {}
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                outer.requests.append(name)
                if name not in outer.files:
                    self.send_error(404)
                    return
                content = outer.files[name]
                self.send_response(200)
                size = outer.claimed_sizes.get(name, len(content))
                self.send_header("Content-Length", str(size))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:  # the client has hung up, as it may on a file that is too long
                    pass

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
