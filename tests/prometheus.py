"""A real Prometheus that scrapes what a test tells."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.nginx_server import free_ports


@contextmanager
def served(metrics: Callable[[str], tuple[bytes, str]]) -> Iterator[int]:
    """The metrics over HTTP, as `metrics` answers a header `Accept`: body and type; the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = metrics(self.headers.get("Accept", ""))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class Prometheus:
    """A Prometheus that scrapes `target`, a port, every so many seconds, and loads the `rules`."""

    def __init__(self, folder: Path, target: int, rules: Path, seconds: float = 0.2) -> None:
        (self._port,) = free_ports(1)
        scrape = {
            "job_name": "emperord",
            "scrape_interval": f"{seconds * 1000:.0f}ms",
            "scrape_timeout": f"{seconds * 1000:.0f}ms",
            "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
        }
        config = folder / "prometheus.yml"
        whole = {
            "global": {"evaluation_interval": "200ms"},
            "rule_files": [str(rules)],
            "scrape_configs": [scrape],
        }
        config.write_text(json.dumps(whole))
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{self._port}"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def ask(self, path: str, **query: object) -> Any:
        """The data of an answer of its API."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urlencode(query)}"
        with urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def has_data(self, query: str) -> bool:
        """Whether a query has a result now."""
        try:
            found = self.ask("query", query=query, time=time.time())["result"]
        except HTTPError as refused:
            refused.close()  # it is an answer, which Python 3.14 misses
            return False
        except URLError:
            return False
        return any(series["value"][1] != "NaN" for series in found)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def spelled(query: str) -> str:
    """A query of the board as Grafana sends it."""
    return query.replace("$instance", ".*").replace("$__rate_interval", "1m")
