"""What can be ordered on the console's pages, and which orders another site may not send."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from emperor.model.authority import Caller
from emperor.model.spec import Identity
from tests.cli.fake_emperor import FakeEmperor
from tests.eventually import eventually
from tests.web.console_pages import ALICE, ROOT, ask, get, order, two_tenants


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    with two_tenants(tmp_path) as fake:
        yield fake


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


def test_a_slow_order_does_not_keep_the_browser_waiting(
    emperor: FakeEmperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.web.console.site._PATIENCE_SECONDS", 0.01)
    emperor.hanging.add("a.example")
    token = get(emperor, "vassals/a.example").token
    assert order(emperor, "vassals/a.example/start", token).status == 303
    eventually(lambda: "starting" in get(emperor, "vassals/a.example").part("now"))


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
