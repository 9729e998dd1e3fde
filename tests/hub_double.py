"""A web server on this machine, and the Hugging Face hub by it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0d3d19a32d3338f10357c0889762bd8d64bbdeba"


class Web:
    """A server on this machine. `routes`: path to (status, headers, body). `requests`: what was asked, (method, path, authorization)."""

    def __init__(self) -> None:
        self.routes: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(body=True)

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def answer(self, *, body: bool) -> None:
                web.requests.append((self.command, self.path, self.headers["Authorization"]))
                status, headers, content = web.routes.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def put_on_hub(web: Web, repository: str, files: Mapping[str, bytes], *, large: Collection[str]) -> None:
    """Serve `files` as the hub does those of "owner/repo", `large` ones from large file storage."""
    siblings = []
    for name, content in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        told = {"rfilename": name, "size": len(content), "blobId": blob}
        if name in large:
            told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        siblings.append(told)
        web.routes[f"/{repository}/resolve/{COMMIT}/{name}"] = (200, {}, content)
    told = {"_id": "1", "id": repository, "sha": COMMIT, "siblings": siblings}
    web.routes[f"/api/models/{repository}/revision/main?blobs=true"] = (200, {}, json.dumps(told).encode())
