"""What `emperorctl doctor` reads in nginx's configuration."""

import pytest

from docs.examples.backend import SHIPPED
from emperor.model.nginx_conf import Directive, directives, nginx_facts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user www-data;", [Directive(("user", "www-data"), ())]),
        ("# user a;\nuser b; # c;", [Directive(("user", "b"), ())]),
        (
            "http { log_format a 'x; {' \"y }\"; }",
            [Directive(("http",), ()), Directive(("log_format", "a", "x; {", "y }"), (("http",),))],
        ),
        ("set $a ${b}c;", [Directive(("set", "$a", "${b}c"), ())]),
        ("} } user a;", [Directive(("user", "a"), ())]),
        ("user a", []),
    ],
)
def test_a_configuration_is_read_in_directives(text: str, expected: list[Directive]) -> None:
    assert list(directives(text)) == expected


def test_the_shipped_files_tell_how_long_nginx_waits() -> None:
    files = [SHIPPED / "backend.conf", SHIPPED / "emperord" / "journey.conf"]
    facts = nginx_facts("\n".join(file.read_text() for file in files))
    assert (facts.user, facts.asks_seconds, facts.trusted) == ("www-data", 300, ())


@pytest.mark.parametrize(
    ("time", "seconds"), [("90", 90), ("300s", 300), ("5m", 300), ("1h30m", 5400), ("800ms", 0.8)]
)
def test_a_duration_is_read_as_nginx_does(time: str, seconds: float) -> None:
    text = f"http {{ location @fallback {{ proxy_read_timeout {time}; }} }}"
    assert nginx_facts(text).asks_seconds == seconds


def test_the_shortest_wait_counts() -> None:
    locations = [f"location @fallback {{ proxy_read_timeout {time}s; }}" for time in (9, 8)]
    facts = nginx_facts("set_real_ip_from ::1; " * 2 + " ".join(locations))
    assert (facts.asks_seconds, facts.trusted) == (8, ("::1",))


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        (("", ""), False),
        (("auth_basic ", "# auth_basic "), True),
        (('auth_basic "emperord";', "auth_basic off;"), True),
        (("limit_req_status 429;", "satisfy any;"), True),
        (("auth_basic ", "ssl_verify_client on; # "), False),
        (("auth_basic ", "ssl_verify_client optional; # "), True),
    ],
)
def test_a_console_for_everybody_is_seen(change: tuple[str, str], shows: bool) -> None:
    text = (SHIPPED / "console.conf").read_text()
    assert change[0] in text
    other = "server { auth_basic secret; ; listen 80; }"
    assert nginx_facts(f"http {{ {other} {text.replace(*change)} }}").shows_console is shows
