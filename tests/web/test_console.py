"""The console's pages over HTTP, on a governor whose processes are fakes."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path

import pytest

from emperor.model.authority import NOBODY, Caller
from emperor.model.share import Elsewhere, NoShare, Share
from emperor.uwsgi.findings import Finding, Severity
from emperor.web.aiohttp_server import web
from emperor.web.console import ROUTES
from emperor.web.console.site import HANDLERS
from tests.backend import UnixConnection
from tests.cli.fake_emperor import FakeEmperor
from tests.eventually import eventually
from tests.web.console_pages import (
    ALICE,
    HOSTILE,
    MALLORY,
    VISIBLE,
    ask,
    get,
    order,
    two_tenants,
)

_BAD = Finding(2, Severity.WARNING, "bad", "mend it")


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    with two_tenants(tmp_path) as fake:
        yield fake


def test_every_route_has_a_handler() -> None:
    assert {name for _, _, name in ROUTES} == HANDLERS.keys()


@pytest.mark.parametrize(
    "path",
    ["", "refused", "vassals", "vassals/a.example", "vassals/a.example/restart", "fleet", "drain",
     "static/console.css", "static/console.js", "vassals/no.example", "nothing"],
)  # fmt: skip
def test_no_answer_lets_a_page_reach_anything_else(emperor: FakeEmperor, path: str) -> None:
    answer = get(emperor, path)
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy.pop("default-src") == "'none'"
    assert (policy.pop("frame-ancestors"), policy.pop("base-uri")) == ("'none'", "'none'")
    assert set(policy.values()) == {"'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] in ("no-store", "no-cache")
    if answer.headers["content-type"].startswith("text/html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)|javascript:", answer.text)
        # Links work below any path of a proxy.
        links = re.findall(r'(?:href|src|action)="([^"]*)"', answer.text)
        assert links
        assert not [link for link in links if link.startswith(("/", "http:", "https:"))]


def test_the_overview_tells_what_needs_a_person(emperor: FakeEmperor) -> None:
    emperor.failing["a.example"] = "exit status 22: ModuleNotFoundError: No module named 'flask'"
    token = get(emperor, "vassals/a.example").token
    failed = order(emperor, "vassals/a.example/start", token)
    assert failed.status == 502
    assert 'vassals/a.example">a.example</a>' in failed.text
    answer = get(emperor, "")
    troubles = answer.part("troubles")
    assert "broken.example.ini not served cannot read it: binary; write text" in troubles
    assert "ModuleNotFoundError: No module named 'flask'" in troubles
    assert re.search("a.example failed; the next visitor after [0-9]s starts it again", troubles)
    assert " failed 1 1 - parked 3 - -" in answer.part("states")


def test_all_that_is_not_served_is_on_pages_of_its_own(emperor: FakeEmperor) -> None:
    for number in range(150):
        emperor.refuse(f"r{number:03}.example", f"line {number}: no app")
    assert "142 more inis are not served" in get(emperor, "").part("troubles")
    first, second = get(emperor, "refused"), get(emperor, "refused?page=2")
    assert "152 inis. Each is read again" in first.part("list")
    assert "r097.example.ini not served line 97: no app" in first.part("list")
    assert "r098.example.ini" in second.part("list")
    assert get(emperor, "refused?page=9").part("list") == second.part("list")


def test_a_page_of_a_vassal_has_its_state_and_its_orders(emperor: FakeEmperor) -> None:
    answer = get(emperor, "vassals/a.example")
    assert answer.status == 200
    assert "parked" in answer.part("now")
    assert 'action="../vassals/a.example/start"' in answer.text
    assert 'href="../vassals/a.example/maintenance-on#ask"' in answer.text


@pytest.mark.parametrize(
    ("found", "told"), [([], "There is no remark"), ([_BAD], "The remarks are about its text")]
)
def test_an_ini_is_shown_with_remarks_and_without(
    emperor: FakeEmperor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: list[Finding],
    told: str,
) -> None:
    monkeypatch.setattr("emperor.web.console.ini_view.findings", lambda *_: found)
    ini = tmp_path / "shown.example.ini"
    ini.write_text("[uwsgi]\nfile = a.py\n")
    emperor.serve("shown.example", ini=str(ini))
    answer = get(emperor, "vassals/shown.example")
    assert (answer.status, told in answer.part("ini")) == (200, True)


def test_the_fleet_page_tells_which_domains_belong_here(emperor: FakeEmperor) -> None:
    assert "emperord does not know" in get(emperor, "fleet").text
    asked: list[Sequence[tuple[str, ...]]] = []

    async def share(served: Sequence[tuple[str, ...]]) -> Share:
        asked.append(served)
        foreign = [Elsewhere(f"<{number}>.example", "192.0.2.12") for number in range(101)]
        return Share(7, "192.0.2.11", 1024, 4096, 2, 0, tuple(foreign))

    emperor.share = share
    text = get(emperor, "fleet").text
    assert "1024 of 4096 slots name this machine, 192.0.2.11" in text
    assert "2 belong to it, and 101 to other backends." in text
    assert "The first 100 of them." in text
    assert "&lt;99&gt;.example</a></th><td>192.0.2.12" in text
    assert not re.search(r"<99>|100&gt;", text)
    assert list(asked[0])[:2] == [("a.example",), ("b.example",)]


def test_the_fleet_page_tells_why_nobody_knows_what_is_here(emperor: FakeEmperor) -> None:
    async def share(_: Sequence[tuple[str, ...]]) -> Share:
        raise NoShare("the registry has not answered for 2 seconds")

    emperor.share = share
    told = "Nobody can tell now which domains belong here: the registry has not answered for 2 sec"
    assert told in get(emperor, "fleet").text


@pytest.mark.parametrize("path", ["", "vassals", "vassals/mallory.example"])
def test_a_tenant_sees_nothing_of_another(emperor: FakeEmperor, path: str) -> None:
    emperor.caller = Caller(MALLORY, is_administrator=False)
    answer = get(emperor, path)
    assert answer.status == 200
    assert "mallory.example" in answer.text or "parked 1" in answer.part("states")
    for secret in ("alice", "a.example", "b.example", "broken", str(ALICE)):
        assert secret not in answer.text.replace("mallory.example", "")


def test_a_tenant_is_told_how_many_of_its_requests_wait(emperor: FakeEmperor) -> None:
    for name in ("alice.example", "mallory.example"):
        order(emperor, f"vassals/{name}/start", get(emperor, f"vassals/{name}").token)
    with emperor.admission.holding("alice.example"), emperor.admission.holding("mallory.example"):
        for caller, held in ((emperor.caller, 2), (Caller(ALICE, is_administrator=False), 1)):
            emperor.caller = caller
            assert f"requests waiting: {held} ." in get(emperor, "").part("summary")


def test_a_tenant_is_told_of_others_as_of_nobody(emperor: FakeEmperor) -> None:
    emperor.caller = Caller(MALLORY, is_administrator=False)
    token = get(emperor, "vassals/mallory.example").token
    for path in ("", "/log", "/restart"):
        others = get(emperor, f"vassals/alice.example{path}")
        nobodys = get(emperor, f"vassals/xxxxx.example{path}")
        assert others.status == nobodys.status == 404
        assert _same(others.text) == _same(nobodys.text.replace("xxxxx", "alice"))
    for name in ("start", "restart", "maintenance-on"):
        assert order(emperor, f"vassals/alice.example/{name}", token).status == 404
    assert order(emperor, "vassals/mallory.example/maintenance-on", token).status == 403
    assert get(emperor, "fleet").status == 403
    assert get(emperor, "drain").status == order(emperor, "drain", token).status == 403
    assert emperor.governor.vassals["alice.example"].starts == 0


def _same(page: str) -> str:
    """Without the moment of the page."""
    return re.sub(r'<time.*?</time>|data-now="[^"]*"', "", page)


def test_a_stranger_sees_an_empty_console(emperor: FakeEmperor) -> None:
    emperor.caller = Caller(NOBODY, is_administrator=False)
    assert "There is no vassal." in get(emperor, "").text
    assert "No app matches." in get(emperor, "vassals").text


def test_what_others_write_is_shown_as_text(emperor: FakeEmperor) -> None:
    emperor.refuse("broken.example", HOSTILE)
    emperor.failing["a.example"] = HOSTILE
    order(emperor, "vassals/a.example/start", get(emperor, "vassals/a.example").token)
    pages = ["", "vassals", "vassals/a.example", "vassals/broken.example", "vassals/%3Cscript%3E"]
    for path in pages:
        text = get(emperor, path).text
        assert "<script>alert" not in text
        assert "<script>" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
    for path in pages[:4]:
        assert VISIBLE in get(emperor, path).text.replace("&#39;", "'"), path


def test_a_log_without_line_breaks_is_answered_in_part(emperor: FakeEmperor) -> None:
    log = Path(emperor.reporter.log_of(emperor.governor.vassals["a.example"]))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"x" * 300_000)
    answer = get(emperor, "vassals/a.example/log?lines=200")
    assert (answer.status, len(answer.text)) == (200, 65_536)
    assert get(emperor, "vassals/b.example/log").status == 404


def test_the_pages_have_one_word_for_a_start(emperor: FakeEmperor) -> None:
    """They call it neither a boot nor, where nobody waits for it, a wake; a limit is reached, and a
    hit is a request."""
    emperor.governor.vassals["a.example"].boots = (3.0,)
    order(emperor, "vassals/a.example/start", get(emperor, "vassals/a.example").token)
    for path in ("", "vassals", "vassals/a.example", "vassals/b.example"):
        page = get(emperor, path).text
        main = unescape(re.sub("<[^>]*>", " ", page[page.index("<main") : page.index("</main")]))
        assert not re.search(r"\bboot", main, re.IGNORECASE), path
        assert {*re.findall(r"(\w+) hits?\b", main)} <= {"Last", "last", "a", "next"}, path
        assert "woken emperorctl" not in " ".join(main.split()), path


def test_a_newer_version_on_the_disk_changes_no_page(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(emperor, "").status == 200
    monkeypatch.setattr("jinja2.loaders.os.path.getmtime", lambda path: 0.0)
    monkeypatch.setattr("jinja2.PackageLoader.get_source", lambda *args: ("newer", None, None))
    for path in ("", "vassals", "vassals/a.example", "vassals/a.example/restart", "fleet", "no"):
        assert "emperord</title>" in get(emperor, path).text, path


def test_a_file_of_the_pages_is_kept_by_the_browser(emperor: FakeEmperor) -> None:
    link = re.search(r'href="\./(static/console\.css\?v=\w+)"', get(emperor, "").text)
    assert link
    assert "immutable" in get(emperor, link[1]).headers["cache-control"]


def test_events_arrive_as_server_sent_events(emperor: FakeEmperor) -> None:
    connection = UnixConnection(emperor.run_dir / "control.sock")
    connection.request("GET", "/console/events?past=0&domain=a.example")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Content-Security-Policy"]
    token = get(emperor, "vassals/a.example").token
    order(emperor, "vassals/b.example/start", token)
    order(emperor, "vassals/a.example/start", token)
    lines = iter(response.readline, b"")
    first = next(line for line in lines if line.startswith(b"data: "))
    assert b'"name": "a.example"' in first
    connection.close()


@pytest.mark.parametrize(("uid", "lines"), [(0, 1), (MALLORY, 0)])
def test_the_events_of_a_vassal_tell_that_it_prints(
    emperor: FakeEmperor, uid: int, lines: int
) -> None:
    """So its page needs one connection, and none for the log; another tenant is told nothing."""
    emperor.caller = Caller(uid, is_administrator=uid == 0)
    connection = UnixConnection(emperor.run_dir / "control.sock")
    connection.request("GET", "/console/events?past=0&log=1&domain=a.example")
    response = connection.getresponse()
    eventually(lambda: emperor.reporter.printed.count("a.example"))
    emperor.loop.call_soon_threadsafe(emperor.reporter.printed.notify, "a.example")
    end = emperor.control.end_streams(web.Application())
    asyncio.run_coroutine_threadsafe(end, emperor.loop)
    assert response.read().count(b"event: printed\n") == lines
    connection.close()


def test_a_console_that_does_not_fit_the_daemon_says_so(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str) -> None:
        raise ImportError("cannot import name 'x'")

    monkeypatch.setattr("emperor.web.console.import_module", fail)
    answer = get(emperor, "")
    assert answer.status == 500
    assert "cannot import name 'x'; if emperord was installed anew" in answer.text
    monkeypatch.undo()
    assert get(emperor, "").status == 200


def test_a_history_that_hangs_keeps_nobody_from_the_pages(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    for name in ("pulse", "of_vassal", "stats"):
        monkeypatch.setattr(emperor.history, name, hang)
    monkeypatch.setattr("emperor.web.console.history.PATIENCE_SECONDS", 0.01)
    assert "There is no history: it does not answer" in get(emperor, "").part("plots")
    assert get(emperor, "vassals?sort=wakes").status == 200
    assert "it does not answer" in get(emperor, "vassals/a.example").part("story")


def test_a_head_of_a_page_is_that_of_the_page(emperor: FakeEmperor) -> None:
    answer = ask(emperor, "HEAD", "vassals")
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "vassals", "GET, HEAD"), ("POST", "vassals/a.example", "GET, HEAD"),
     ("DELETE", "vassals/a.example/start", "GET, HEAD, POST"), ("HEAD", "events", "GET")],
)  # fmt: skip
def test_another_method_is_told_those_of_the_page(
    emperor: FakeEmperor, method: str, path: str, allowed: str
) -> None:
    answer = ask(emperor, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_a_path_of_slashes_alone_makes_no_long_page(emperor: FakeEmperor) -> None:
    answer = get(emperor, "/" * 4000)
    assert answer.status == 404
    assert "There is no such page" in answer.text
    assert len(answer.text) < 12_000


def test_a_log_is_parted_into_lines_as_in_the_script(emperor: FakeEmperor) -> None:
    log = Path(emperor.reporter.log_of(emperor.governor.vassals["a.example"]))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes("one\u2028\x0b\x85more\r\ntwo\n".encode())
    shown = re.search(
        r'<pre id="log-lines".*?>(.*?)</pre>', get(emperor, "vassals/a.example").text, re.DOTALL
    )
    assert shown
    assert shown[1] == "one\\u2028\\x0b\\x85more\ntwo\n"


@pytest.mark.parametrize(
    "path",
    ["vassals?q=%ff", "vassals?q=%ED%A0%80&sort=hit", "vassals?q=%00", "vassals?page=-1",
     "vassals/%ff", "vassals/%00", "vassals/%2e%2e", "vassals/a%2Fb", "static/..%2fsite.py",
     "vassals/a.example/log?lines=x", "events?past=x", "%ff", f"vassals/{'x' * 5000}"],
)  # fmt: skip
def test_no_request_is_a_fault(emperor: FakeEmperor, path: str) -> None:
    assert get(emperor, path).status in (200, 400, 404)


def test_nobody_pays_for_a_console_that_is_not_opened() -> None:
    script = (
        "import sys; from emperor import process;"
        "print([name for name in sys.modules if name.startswith('emperor.web.console.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
