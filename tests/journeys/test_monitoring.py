"""The board of docs/monitoring in a real Prometheus that scrapes a real daemon."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.backend import Backend, UnixConnection
from tests.eventually import eventually
from tests.prometheus import Prometheus, served, spelled

DOCS = Path(__file__).parents[2] / "docs" / "monitoring"
BOARD: dict[str, Any] = json.loads((DOCS / "board.json").read_text(encoding="utf-8"))
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel["targets"]
    if "emperord_balancer_" not in target["expr"]
}


@pytest.fixture
def backend(start: Callable[..., Backend], tmp_path: Path) -> Backend:
    """A backend on which apps wake, sleep and fail, which holds few requests, and whose registry is
    away."""
    access = tmp_path / "registry.ini"
    access.write_text("[registry]\nendpoints = https://127.0.0.1:1\n")
    backend = start(max_held="1", registry_config=str(access), fleet_address="192.0.2.11")
    backend.expect("cannot use the registry|is noted in run-dir")
    backend.expect("missing.example: .* → ")
    backend.expect("max-held")
    backend.add("a.example")
    backend.add("missing.example", "broken.py")
    backend.until("missing.example", "parked")
    return backend


def scraped(backend: Backend, accept: str) -> tuple[bytes, str]:
    """The metrics of the daemon."""
    connection = UnixConnection(backend.run_dir / "control.sock")
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.read(), answer.headers["Content-Type"]
    finally:
        connection.close()


@pytest.fixture
def prometheus(backend: Backend, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it."""
    with served(partial(scraped, backend)) as port:
        prometheus = Prometheus(tmp_path, port, DOCS / "emperord.rules.yml", seconds=1)
        try:
            yield prometheus
        finally:
            prometheus.stop()


def test_each_query_of_the_board_tells_of_a_real_daemon(
    backend: Backend, prometheus: Prometheus
) -> None:

    def empty() -> list[str]:
        """The queries without a result, after something has happened."""
        with ThreadPoolExecutor(4) as visitors:
            answers = [visitors.submit(backend.get, "a.example") for _ in range(4)]
        assert any(answer.result().status == 200 for answer in answers)
        backend.call("POST", "/v1/vassals/a.example/sleep")
        assert backend.get("missing.example").status == 503
        return [name for name, query in QUERIES.items() if not prometheus.has_data(spelled(query))]

    eventually(lambda: not empty(), alive=[prometheus.process], what=str(prometheus.log))
