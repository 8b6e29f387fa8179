"""One ini for all subdomains, and one for all hosts."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from emperor.linux.wildcard_links import MOST_LINKS
from tests.backend import APPS, Backend
from tests.eventually import eventually
from tests.journeys.visits import visit_all

PAGE = Path(__file__).parents[2] / "docs" / "wildcards.md"
WILDCARD = "_.example.com"


def links(backend: Backend) -> set[str]:
    """The hosts that lead to the folder of another domain."""
    return {path.name for path in backend.sockets.iterdir() if path.is_symlink()}


def served_by(backend: Backend, host: str) -> int:
    """The pid of the worker that answers for the host, which it has seen."""
    pid, seen, *_ = backend.get(host).text.split()
    assert seen == host
    return int(pid)


@pytest.fixture
def wildcard(backend: Backend) -> Backend:
    """A backend with the ini of the page."""
    block = re.search(r"(?s)```ini\n(.*?)```", PAGE.read_text(encoding="utf-8"))
    assert block
    text = block[1].replace("/srv/example.com/application.py", f"{APPS}/plain.py")
    backend.drop(WILDCARD, text)
    backend.until(WILDCARD, "parked")
    return backend


def test_a_wildcard_serves_each_subdomain_and_sleeps(wildcard: Backend) -> None:
    pid = served_by(wildcard, "a.example.com")
    assert served_by(wildcard, "x.y.example.com") == pid
    assert links(wildcard) == {"a.example.com", "x.y.example.com"}
    assert wildcard.get("example.com").status == 404
    assert wildcard.get("an-example.com").status == 404
    # nginx asks nobody about a host that has its link. A new daemon makes the links anew.
    wildcard.process.send_signal(signal.SIGSTOP)
    try:
        assert served_by(wildcard, "a.example.com") == pid
    finally:
        wildcard.process.send_signal(signal.SIGCONT)
    wildcard.process.send_signal(signal.SIGHUP)
    eventually(lambda: wildcard.lines("took over 1 vassals"))
    assert links(wildcard) == set()
    assert served_by(wildcard, "a.example.com") == pid
    assert wildcard.post("a.example.com", b"pay").status == 200
    assert links(wildcard) == {"a.example.com"}
    status, problem = wildcard.call("POST", "/v1/vassals/a.example.com/sleep")
    assert (status, f"{WILDCARD} answers for it" in problem["detail"]) == (404, True)
    assert wildcard.call("GET", "/v1/hosts/a.example.com")[1]["status"]["name"] == WILDCARD
    assert wildcard.call("POST", f"/v1/vassals/{WILDCARD}/sleep")[0] == 200
    assert links(wildcard) == set()
    assert served_by(wildcard, "a.example.com") != pid
    assert wildcard.call("POST", f"/v1/vassals/{WILDCARD}/maintenance-on")[0] == 200
    assert wildcard.get("a.example.com").status == 503
    assert wildcard.call("POST", f"/v1/vassals/{WILDCARD}/maintenance-off")[0] == 200


def test_an_own_ini_and_a_nearer_wildcard_win(wildcard: Backend) -> None:
    hosts = ("own.example.com", "x.b.example.com", "a.example.com")
    far = {served_by(wildcard, host) for host in hosts}
    assert len(far) == 1
    for domain in ("own.example.com", "_.b.example.com", "_"):
        wildcard.add(domain)
    own, near, same = (served_by(wildcard, host) for host in hosts)
    assert {same} == far
    assert len({own, near, same, served_by(wildcard, "another.example")}) == 4
    wildcard.remove("own.example.com")
    wildcard.until("own.example.com", None)
    assert served_by(wildcard, "own.example.com") == same
    wildcard.expect("own.example.com.ini")
    wildcard.drop("own.example.com", "[uwsgi]\nsocket =\n")
    eventually(lambda: wildcard.call("GET", "/v1/status")[1]["refused"])
    assert wildcard.get("own.example.com").status == 503, "a broken ini gives way to none"


def test_a_wildcard_under_socket_activation_wakes(backend: Backend) -> None:
    section = "[emperor]\nactivation = socket\naliases = example.com _.example.org\n"
    backend.drop(WILDCARD, f"[uwsgi]\nfile = {APPS}/plain.py\n{section}")
    backend.until(WILDCARD, "parked")
    pid = served_by(backend, "a.example.com")
    assert served_by(backend, "example.com") == pid
    assert served_by(backend, "a.example.org") == pid
    assert backend.call("POST", f"/v1/vassals/{WILDCARD}/sleep")[0] == 200
    assert links(backend) == {"example.com", "_.example.org"}
    assert served_by(backend, "a.example.com") != pid


def test_made_up_hosts_fill_neither_the_folder_nor_the_memory(wildcard: Backend) -> None:
    assert served_by(wildcard, "a.example.com")
    hosts = [f"made-up-{number}.example.com" for number in range(MOST_LINKS + 100)]
    for first in range(0, len(hosts), 100):
        some = hosts[first : first + 100]
        assert asyncio.run(visit_all(wildcard, some)) == {200: 100}
    assert len(links(wildcard)) == MOST_LINKS
    assert "a.example.com" not in links(wildcard)
    assert served_by(wildcard, "a.example.com")
