"""Which requests of a browser `emperorctl console` forwards."""

from dataclasses import replace

import pytest

from emperor.model.console_policy import (
    BrowserPolicy,
    BrowserRequest,
    Handling,
    NginxPolicy,
    Refused,
)

HOST = "127.0.0.1:8000"
READ = BrowserRequest("GET", "/console/", HOST, cookie="session")
ORDER = replace(READ, method="POST", path="/console/vassals/a.example/restart")
TEAM = BrowserRequest("GET", "/console/events", "ops.example", user="ada")
LINK = BrowserRequest("GET", "/", HOST, token="token")


@pytest.fixture
def policy() -> BrowserPolicy:
    return BrowserPolicy("token", "session")


def status(judged: Handling | Refused) -> Handling | int:
    return judged.status if isinstance(judged, Refused) else judged


def test_a_link_lets_one_browser_in_once(policy: BrowserPolicy) -> None:
    assert status(policy.judge(replace(LINK, token="guess"))) == 403
    assert policy.judge(LINK) is Handling.ENTER
    again = policy.judge(LINK)
    assert isinstance(again, Refused)
    assert "was used before" in again.why
    assert policy.judge(replace(LINK, cookie="session")) is Handling.HOME, (
        "it has loaded the page again"
    )


def test_a_program_that_only_looks_at_a_link_uses_it_not_up(policy: BrowserPolicy) -> None:
    assert status(policy.judge(replace(LINK, method="HEAD"))) == 403
    assert policy.judge(LINK) is Handling.ENTER


@pytest.mark.parametrize(
    ("visit", "outcome"),
    [
        (READ, Handling.FORWARD),
        (replace(READ, path="/"), Handling.HOME),
        (replace(READ, host="localhost:9999"), Handling.FORWARD),
        (replace(READ, host="[::1]:8000"), Handling.FORWARD),
        (replace(READ, path="/console/%C3%A9"), Handling.FORWARD),
        # other sites
        (replace(READ, cookie=""), 403),
        (replace(READ, cookie="guéss\udcff"), 403),
        (replace(READ, host="evil.example:8000"), 421),
        (replace(READ, host="127.0.0.1.evil.example"), 421),
        (replace(READ, host="[::1"), 421),
        (replace(READ, host=""), 421),
        # what is not the console
        (replace(READ, path="/v1/status"), 404),
        (replace(READ, path="/metrics"), 404),
        (replace(READ, path="/consoles"), 404),
        (replace(READ, path="/console/../v1/upgrade"), 404),
        (replace(READ, path="/console/%2e%2E/v1/upgrade"), 404),
        (replace(READ, path="/console/..%2fv1/upgrade"), 404),
        (replace(READ, path="/console/..%5cv1/upgrade"), 404),
        (replace(READ, path="/console/vassals/a%2Fb/log"), 404),
        (replace(READ, method="PUT"), 405),
        (replace(ORDER, path="/v1/vassals/a.example/restart"), 404),
        # orders
        (ORDER, Handling.FORWARD),
        (replace(ORDER, fetch_site="same-origin", origin="null"), Handling.FORWARD),
        (replace(ORDER, origin=f"http://{HOST}"), Handling.FORWARD),
        (replace(ORDER, fetch_site="cross-site"), 403),
        (replace(ORDER, fetch_site="same-site", origin=f"http://{HOST}"), 403),
        (replace(ORDER, origin="http://127.0.0.1:9999"), 403),
        (replace(ORDER, origin="null"), 403),
        (replace(ORDER, origin="http://[::1"), 403),
    ],
)
def test_a_request_has_to_come_from_the_persons_own_browser(
    policy: BrowserPolicy, visit: BrowserRequest, outcome: Handling | int
) -> None:
    assert status(policy.judge(visit)) == outcome


@pytest.mark.parametrize(
    ("visit", "outcome"),
    [
        (BrowserRequest("GET", "/console/", "ops.example", user="ada"), Handling.FORWARD),
        (BrowserRequest("GET", "/", "ops.example", user="ada"), Handling.HOME),
        (replace(TEAM, fetch_site="same-origin", fetch_dest="empty"), Handling.FORWARD),
        (replace(TEAM, fetch_site="cross-site", fetch_dest="document"), Handling.FORWARD),
        (replace(TEAM, fetch_site="cross-site", fetch_dest="image"), 403),
        (replace(TEAM, fetch_site="same-site", fetch_dest="iframe"), 403),
        (BrowserRequest("GET", "/console/", "ops.example"), 403),
        (BrowserRequest("GET", "/?token=x", "ops.example", user="ada"), 404),
        (BrowserRequest("POST", "/console/drain", "ops.example", "https://ops.example", user="ada"),
         Handling.FORWARD),
        (replace(TEAM, method="POST", path="/console/drain", origin="https://evil.example"), 403),
        (BrowserRequest("POST", "/v1/drain", "ops.example", user="ada"), 404),
    ],
)  # fmt: skip
def test_nginx_has_to_tell_who_visits(visit: BrowserRequest, outcome: Handling | int) -> None:
    assert status(NginxPolicy().judge(visit)) == outcome
