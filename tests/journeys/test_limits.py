"""A daemon with few descriptors serves as much as they allow."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backend import Backend
from tests.eventually import eventually
from tests.journeys.visits import visit
from tests.nginx_server import Nginx

LIMIT = 256

# Not what tests/controllers.py is about.
WARNING = "WARNING (?!cannot limit )"


@pytest.fixture
def narrow(folder: Path) -> Iterator[Backend]:
    """A backend that is not started yet, whose daemon may have 256 descriptors."""
    with Nginx(folder) as nginx:
        backend = Backend(folder, nginx)
        backend.under = ["prlimit", f"--nofile={LIMIT}:{LIMIT}"]
        yield backend


def test_inis_beyond_the_descriptors_are_told_in_one_line(narrow: Backend) -> None:
    narrow.expect("108 of 300 inis are not served")
    for number in range(300):
        narrow.drop(f"{number:03}.example", narrow.ini(f"{number:03}.example"))
    with narrow:
        assert narrow.lines("not served: the limit on open files, 256, holds 192 vassals") == [
            narrow.lines(WARNING)[0]
        ]
        assert narrow.lines("restart emperord with LimitNOFILE= of the unit raised to 400 or more")
        _, report = narrow.call("GET", "/v1/status")
        assert (len(report["vassals"]), len(report["refused"])) == (192, 108)
        assert narrow.get("000.example").status == 200
        assert narrow.get("299.example").status == 503
        narrow.remove("000.example")
        narrow.until("000.example", None)
        narrow.call("POST", "/v1/rescan")
        narrow.until("192.example", "parked")
        assert len(narrow.lines(WARNING)) == 1


async def test_requests_beyond_the_descriptors_are_answered(
    narrow: Backend,
) -> None:
    narrow.expect(r"\d+ requests are held, and more are answered 503 \(the limit on open files")
    narrow.expect("cannot accept more on .*activate.sock")
    gate = narrow.folder / "gate"
    for number in range(100):
        narrow.drop(f"{number}.example", narrow.ini(f"{number}.example", env=f"GATE={gate}"))
    with narrow:
        replies = asyncio.gather(*(visit(narrow.nginx.port, "0.example") for _ in range(400)))
        refusals = "requests are held, and more are answered 503"
        await asyncio.to_thread(eventually, lambda: narrow.lines(refusals))
        gate.touch()
        statuses = [status for status, _ in await replies]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) > LIMIT // 4
        assert len(narrow.lines(WARNING)) <= 2
        _, report = narrow.call("GET", "/v1/status")
        assert report["emperor"]["turned_away"] == statuses.count(503)
        _, metrics = narrow.call("GET", "/metrics")
        assert f"emperord_turned_away_requests_total {statuses.count(503)}.0" in metrics
        assert narrow.get("99.example").status == 200


def test_endless_connections_stop_neither_operator_nor_log(narrow: Backend) -> None:
    narrow.expect("cannot accept more on .*activate.sock: the limit on open files is near")
    narrow.drop("a.example", narrow.ini("a.example"))
    with narrow, ExitStack() as stack:
        for _ in range(2 * LIMIT):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(str(narrow.run_dir / "activate.sock"))
        eventually(lambda: narrow.lines("cannot accept more"))
        assert narrow.call("POST", "/v1/vassals/a.example/start")[0] == 200
        assert narrow.get("a.example").status == 200
        stack.close()
        narrow.call("POST", "/v1/vassals/a.example/sleep")
        assert narrow.get("a.example").status == 200
        assert len(narrow.lines(f"{WARNING}|ERROR|Traceback")) == 1
