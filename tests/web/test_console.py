"""The console's pages over HTTP, on a governor whose processes are fakes."""

import asyncio
import gc
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from emperor.model.authority import NOBODY, Caller
from emperor.model.lifecycle import State
from emperor.model.share import Elsewhere, NoShare, Share
from emperor.model.spec import Identity
from emperor.model.status import AppHits, LimitHits
from emperor.uwsgi.findings import Finding, Severity
from emperor.web.aiohttp_server import web
from emperor.web.console import ROUTES
from emperor.web.console.site import HANDLERS
from emperor.web.console.tenants import MOST_OFFERED
from tests.backend import UnixConnection
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.eventually import eventually

ALICE, MALLORY = 1001, 1002
ROOT = Caller(0, is_administrator=True)
# What a visitor or a tenant writes, with what it must not become in a page.
HOSTILE = "<script>alert(1)</script>\u202egnp.exe\x1b[31m"
VISIBLE = escape("<script>alert(1)</script>", quote=False) + r"\u202egnp.exe\x1b[31m"

_BAD = Finding(2, Severity.WARNING, "bad", "mend it")


@dataclass(frozen=True)
class Answer:
    """An answer of the console."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def token(self) -> str:
        """The token of its forms."""
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.text)
        assert found, self.text
        return found[1]

    def part(self, name: str) -> str:
        """The section of that id, as text without tags."""
        found = re.search(rf'<section id="{name}".*?</section>', self.text, re.DOTALL)
        assert found, self.text
        text = " ".join(unescape(re.sub("<[^>]*>", " ", found[0])).split())
        return text.replace("\N{EN DASH}", "-")


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    """A daemon with vassals of two tenants and of root's, and inis that are not served."""
    fake = FakeEmperor(tmp_path)
    fake.serve("a.example", "b.example")
    fake.serve("alice.example", identity=Identity(ALICE, ALICE, "alice"))
    fake.serve("mallory.example", identity=Identity(MALLORY, MALLORY, "mallory"))
    fake.refuse("broken.alice.example", "line 3: what alice wrote; drop it", ALICE)
    fake.refuse("broken.example", "cannot read it: binary; write text")
    with listening(fake):
        yield fake


def get(emperor: FakeEmperor, path: str, **headers: str) -> Answer:
    """GET a page below /console/."""
    return ask(emperor, "GET", path, headers=headers)


def ask(
    emperor: FakeEmperor,
    method: str,
    path: str,
    body: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask for a path below /console/."""
    connection = UnixConnection(emperor.run_dir / "control.sock")
    try:
        connection.request(method, f"/console/{path}", body or None, headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read().decode())
    finally:
        connection.close()


def order(
    emperor: FakeEmperor, path: str, token: str, headers: dict[str, str] | None = None
) -> Answer:
    """Send a form of the console."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"token": token})
    return ask(emperor, "POST", path, body, {**kind, **(headers or {})})


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


def test_an_order_is_carried_out_and_the_vassal_shown(emperor: FakeEmperor) -> None:
    token = get(emperor, "vassals/a.example").token
    answer = order(emperor, "vassals/a.example/start", token)
    assert (answer.status, answer.headers["location"]) == (303, "../a.example#now")
    assert "running" in get(emperor, "vassals/a.example").part("now")
    [started, *_] = emperor.events.recent_of(["a.example"])
    assert started.detail.startswith("console start by uid 0")


def test_an_order_that_hurts_is_asked_back(emperor: FakeEmperor) -> None:
    question = get(emperor, "vassals/a.example/maintenance-on")
    assert "visitors get 503" in question.text
    assert order(emperor, "vassals/a.example/maintenance-on", question.token).status == 303
    assert "in maintenance" in get(emperor, "vassals/a.example").part("now")
    over = get(emperor, "vassals/a.example").token
    assert order(emperor, "vassals/a.example/maintenance-off", over).status == 303


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Origin": "https://evil.example"}, {"Origin": "http://localhost:8080"},
     {"Origin": "http://[::1"}, {"Origin": "evil", "Host": ""}],
    ids=str,
)  # fmt: skip
def test_an_order_from_another_site_is_refused(
    emperor: FakeEmperor, headers: dict[str, str]
) -> None:
    token = get(emperor, "vassals/a.example").token
    answer = order(emperor, "vassals/a.example/start", token, headers)
    assert (answer.status, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert emperor.governor.vassals["a.example"].starts == 0


def test_an_order_without_the_token_of_this_user_is_refused(emperor: FakeEmperor) -> None:
    emperor.caller = Caller(ALICE, is_administrator=False)
    alices = get(emperor, "vassals/alice.example").token
    emperor.caller = ROOT
    for token in ("", "0" * 64, "é", alices):
        assert order(emperor, "vassals/a.example/start", token).status == 403
        assert order(emperor, "drain", token).status == 403
    assert ask(emperor, "POST", "vassals/a.example/start").status == 403
    long = ask(emperor, "POST", "vassals/a.example/start", f"token={'x' * 5000}")
    assert long.status == 403
    assert emperor.governor.vassals["a.example"].starts == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_form_that_cannot_be_unpacked_is_refused(emperor: FakeEmperor, encoding: str) -> None:
    token = get(emperor, "vassals/a.example").token
    headers = {"Content-Encoding": encoding}
    assert order(emperor, "vassals/a.example/start", token, headers).status == 403


def test_an_order_writes_no_line_of_its_own_into_the_log(
    emperor: FakeEmperor, caplog: pytest.LogCaptureFixture
) -> None:
    token = get(emperor, "vassals/a.example").token
    with caplog.at_level("INFO", "emperord.site"):
        order(emperor, "vassals/x%0a2026-03-01 ERROR forged/start".replace(" ", "%20"), token)
    told = [each.getMessage() for each in caplog.records if each.name == "emperord.site"]
    assert told == ["there is no vassal x 2026-03-01 ERROR forged"]


def test_a_page_is_read_without_an_effect(emperor: FakeEmperor) -> None:
    for path in ("vassals/a.example/start", "vassals/a.example/maintenance-on", "drain"):
        assert get(emperor, path).status == 200
    assert emperor.control.draining_since is None
    assert emperor.governor.vassals["a.example"].starts == 0


def test_a_drain_is_asked_back_and_ended(emperor: FakeEmperor) -> None:
    question = get(emperor, "drain")
    answer = order(emperor, "drain", question.token)
    assert (answer.status, answer.headers["location"]) == (303, "fleet#drain")
    assert "This machine drains since" in get(emperor, "fleet").text
    assert "This machine drains since" in get(emperor, "").text
    assert order(emperor, "undrain", get(emperor, "fleet").token).status == 303
    assert "This machine takes requests." in get(emperor, "fleet").text


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


def test_a_broken_app_that_sleeps_is_marked_as_failed(emperor: FakeEmperor) -> None:
    """It is parked between two tries, and nothing but the mark tells it from a healthy one."""
    emperor.governor.vassals["a.example"].last_error = "exit status 22"
    assert "failed parked" in get(emperor, "vassals?q=a.example").part("list")
    assert "failed parked" not in get(emperor, "vassals?q=b.example").part("list")
    assert "failed parked" in get(emperor, "vassals/a.example").part("now")
    overview = get(emperor, "")
    assert re.search("With an error Memory failed 1 1 - parked 3 - ", overview.part("states"))
    [link] = re.findall(r'href="\./(vassals\?state=failed[^"]*trouble=1)"', overview.text)
    assert " of 1 (4 in all)" in get(emperor, unescape(link)).part("list")


def test_the_failed_are_found_before_and_after_their_delay(emperor: FakeEmperor) -> None:
    """A filter by `throttled` would lose an app when its delay has passed."""
    vassal = emperor.governor.vassals["a.example"]
    vassal.last_error = "exit status 22"
    for state in (State.THROTTLED, State.PARKED):
        vassal.state = state
        for query in ("state=failed", "state=throttled"):
            found = get(emperor, f"vassals?{query}")
            assert re.findall(r'id="v-([^"]*)"', found.text) == ["a.example"], (state, query)
            assert '<option value="failed" selected>' in found.text
        assert "a.example" not in get(emperor, "vassals?state=parked").part("list")


def test_maintenance_is_counted_as_such(emperor: FakeEmperor) -> None:
    question = get(emperor, "vassals/a.example/maintenance-on")
    assert order(emperor, "vassals/a.example/maintenance-on", question.token).status == 303
    overview = get(emperor, "")
    assert " maintenance 1 - - parked 3 " in overview.part("states")
    closed = get(emperor, "vassals?state=maintenance")
    assert re.findall(r'id="v-([^"]*)"', closed.text) == ["a.example"]
    assert "a.example maintenance -" in closed.part("list")
    # It has slept for longer.
    emperor.governor.vassals["a.example"].since -= 6 * 3600
    now = get(emperor, "vassals/a.example").part("now")
    assert re.match(r"maintenance for \d+s : visitors get 503 ", now)
    assert "parked for 6h" in now
    assert "a.example" not in get(emperor, "vassals?state=parked").part("list")


def test_an_error_is_searched_for_as_a_name_is(emperor: FakeEmperor) -> None:
    emperor.governor.vassals["a.example"].last_error = "cannot read /srv/A.py: no permission"

    def found(query: str) -> str:
        return get(emperor, f"vassals?{urlencode({'q': query})}").part("list")

    for text in ("read /srv/a.PY", "No Permission", "/srv/"):
        assert " of 1 (4 in all)" in found(text), text
        assert "a.example failed parked" in found(text)
    assert 'value="read /srv/a.PY"' in get(emperor, "vassals?q=read+/srv/a.PY").text
    # An ini that is not served has no row, and is told where it is looked for.
    assert "Not served, found too broken.example.ini" in found("BINARY")
    assert "broken.alice.example.ini" in found("broken.alice")
    assert "Not served" not in found("")
    emperor.caller = Caller(MALLORY, is_administrator=False)
    for text in ("binary", "alice", "no permission"):
        assert found(text).startswith("The list 0 (1 in all) No app matches"), text


def test_the_list_is_searched_filtered_and_sorted(emperor: FakeEmperor) -> None:
    order(emperor, "vassals/b.example/start", get(emperor, "vassals/b.example").token)

    def shown(query: str) -> list[str]:
        return re.findall(r'<tr role="row" id="v-([^"]*)"', get(emperor, f"vassals?{query}").text)

    every = ["a.example", "alice.example", "b.example", "mallory.example"]
    assert shown("") == every
    assert shown("q=LIC") == ["alice.example"]
    assert shown("state=running") == ["b.example"]
    assert shown(f"tenant={ALICE}") == ["alice.example"]
    assert shown("tenant=daemon") == ["a.example", "b.example"]
    assert shown("sort=state") == ["b.example", "a.example", "alice.example", "mallory.example"]
    assert shown("reverse=1") == every[::-1]
    assert shown("sort=state&reverse=1")[-1] == "b.example"
    assert shown("q=https://ALICE.example:8443/shop?x") == ["alice.example"]
    exact = get(emperor, "vassals?q=alice.example/").part("list")
    assert exact.startswith("The list The app of exactly this name: alice.example")
    assert "exactly" not in get(emperor, "vassals?q=lice.example").text
    text = get(emperor, "vassals").text
    assert 'aria-sort="ascending"><a href="?sort=name&amp;reverse=1">Domain</a>' in text
    assert '<a href="?sort=memory">Memory</a>' in text
    assert re.search(r'data-label="Tenant">1001</td>', text)
    for sort in ("hit", "wakes", "wake", "memory"):
        assert sorted(shown(f"sort={sort}")) == every
    # What a link cannot mean is left out.
    assert shown("sort=nothing&state=nothing&tenant=%3Cx%3E&page=x") == every
    assert shown("tenant=nobody.has.this.name") == []
    assert shown("page=99999999") == every


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


def test_limits_lead_to_the_apps_that_reached_them(emperor: FakeEmperor) -> None:
    hits = (
        LimitHits("alice", "memory-max", 3, ("alice.example",)),
        LimitHits("alice", "max-held", 1),
    )
    emperor.reporter.limit_hits = lambda _: hits
    own = AppHits("memory-max", 2, datetime.now(UTC))
    emperor.reporter.hits_of = lambda spec: (own,) if spec.domain == "alice.example" else ()
    overview = get(emperor, "")
    assert "alice memory-max 3 alice.example alice max-held 1 " in overview.part("limits")
    assert 'href="./vassals/alice.example"' in overview.text
    assert re.search(
        r"memory-max \S+ \S+ \S+ 2 times, last \d+s ago",
        get(emperor, "vassals/alice.example").part("limits"),
    )
    assert " 0s" not in get(emperor, "vassals/a.example").part("limits")


def test_a_tenant_of_many_is_typed_by_name_or_uid(emperor: FakeEmperor) -> None:
    assert '<select id="tenant"' in get(emperor, "vassals").text
    for uid in range(20_000, 20_000 + MOST_OFFERED):
        emperor.serve(f"site{uid}.example", identity=Identity(uid, uid, f"u{uid}"))
    emperor.serve("nobody.example", identity=Identity(65_534, 65_534, "nobody"))
    assert get(emperor, "vassals").text.count('<option value="20') == MOST_OFFERED - 3
    for typed in ("nobody", "65534"):
        page = get(emperor, f"vassals?tenant={typed}")
        assert re.findall(r'<tr role="row" id="v-([^"]*)"', page.text) == ["nobody.example"]
        assert f'name="tenant" list="tenants" value="{typed}"' in page.text


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


def test_a_slow_order_does_not_keep_the_browser_waiting(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.web.console.site._PATIENCE_SECONDS", 0.01)
    emperor.hanging.add("a.example")
    token = get(emperor, "vassals/a.example").token
    assert order(emperor, "vassals/a.example/start", token).status == 303
    eventually(lambda: "starting" in get(emperor, "vassals/a.example").part("now"))


def test_ten_thousand_vassals_keep_the_loop_free(tmp_path: Path) -> None:
    """The time that the loop itself computes between two turns, whatever else the machine does."""
    fake = FakeEmperor(tmp_path)
    fake.serve(*(f"site{number:05}.example" for number in range(10_000)))
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    with listening(fake):
        for path in ("", "vassals", "vassals/site00001.example"):
            assert get(fake, path).status == 200
        beating = asyncio.run_coroutine_threadsafe(beat(), fake.loop)
        gc.disable()
        try:
            for path in ("", "vassals", "vassals?q=9&sort=hit&page=2", "vassals?sort=wakes"):
                assert get(fake, path).status == 200
        finally:
            gc.enable()
            beating.cancel()
        assert len(re.findall('<tr role="row" id=', get(fake, "vassals?page=100").text)) == 100
    assert longest < 0.01


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


def test_only_the_service_of_nginx_names_a_person(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Identity(997, 997, "emperord-console")
    monkeypatch.setattr("emperor.linux.accounts.SystemAccounts.user", lambda *_: service)
    said = {"X-Forwarded-User": "ada \xad" + "x" * 200}
    orders = []
    for uid in (0, 997):
        emperor.caller = Caller(uid, is_administrator=True)
        token = get(emperor, "vassals/a.example").token
        for name in ("start", "sleep"):
            form = urlencode({"token": token})
            assert ask(emperor, "POST", f"vassals/a.example/{name}", form, said).status == 303
        orders.append(emperor.events.recent_of(["a.example"])[-2].detail)
    assert orders[0] == "console sleep by uid 0"
    assert orders[1].startswith(r"console sleep by uid 997 for ada \udcadxxx")
    assert len(orders[1]) < 150
