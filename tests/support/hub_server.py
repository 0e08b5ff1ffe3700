"""A server on this machine that speaks the hub's protocol, and checkpoints in their publishers'
forms.
"""

import hashlib
import importlib.util
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

GOLDEN = Path(__file__).parent.parent / "golden"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def load_filling() -> ModuleType:
    """Return tests/golden/filling.py as a module."""
    spec = importlib.util.spec_from_file_location("filling", GOLDEN / "filling.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_tensors(name: str) -> dict[str, Any]:
    """Return the tensors of a reference network of tests/golden, by their publishers' names."""
    import torch

    filling = load_filling()
    described = json.loads((GOLDEN / f"{name}.json").read_text())
    return {
        tensor: torch.from_numpy(filling.fill(tensor, tuple(shape)))
        for tensor, shape in described["tensors"]
    }


def pickled(content: Any, *, zipped: bool = True) -> bytes:
    """Return what torch.save writes."""
    import torch

    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@dataclass
class Hub:
    """What the server serves, and what was asked of it.

    Attributes:
        files: content by `repo/file`.
        etags: by `repo/file`, where the etag shall not be the content's SHA-256.
        cuts: after how many bytes the connection breaks, one number for each coming download.
        requests: method, path, Range header and all headers of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    requests: list[tuple[str, str, str | None, dict[str, str]]] = field(default_factory=list)

    def downloads(self) -> list[str | None]:
        """Return the Range header of each download."""
        return [
            wanted
            for method, path, wanted, _ in self.requests
            if method == "GET" and path.startswith("/cdn/")
        ]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run the server while a block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler_for(hub: Hub) -> type[BaseHTTPRequestHandler]:
    """Return a handler: /REPO/resolve/REVISION/FILE tells about a file and leads to /cdn/REPO/FILE,
    which serves ranges.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            hub.requests.append(
                (self.command, self.path, self.headers.get("Range"), dict(self.headers))
            )
            if self.path.startswith("/cdn/"):
                self.serve_file(hub.files[self.path.removeprefix("/cdn/")])
            elif (
                found := re.fullmatch(r"/(.+)/resolve/([^/]+)/(.+)", self.path)
            ) and f"{found[1]}/{found[3]}" in hub.files:
                self.tell(f"{found[1]}/{found[3]}")
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def tell(self, key: str) -> None:
            content = hub.files[key]
            self.send_response(302)
            self.send_header(
                "Location", f"{hub.address.replace('127.0.0.1', 'localhost')}/cdn/{key}"
            )  # another host, as the hub's
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header(
                "X-Linked-ETag", f'"{hub.etags.get(key) or hashlib.sha256(content).hexdigest()}"'
            )
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def serve_file(self, content: bytes) -> None:
            first = (
                int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
                if "Range" in self.headers
                else 0
            )
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(len(content) - first))
            if "Range" in self.headers:
                self.send_header(
                    "Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}"
                )
            self.end_headers()
            if self.command == "GET":
                end = first + hub.cuts.pop(0) if hub.cuts else len(content)
                self.wfile.write(content[first:end])
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
