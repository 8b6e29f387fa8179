"""The list of backends: what may stand in it, and what nginx does with one that is wrong."""

import asyncio
import ipaddress
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.examples.balancer import render
from tests.balancer.fleet import Balancer, Fleet
from tests.balancer.lua import Lua
from tests.eventually import eventually, eventually_async
from tests.http_client import Request, ask
from tests.nginx_server import NginxServer, free_ports

# What stands in init_backends.lua (None: there is none), and what nginx says of it.
WRONG = {
    "no file": (None, "cannot open"),
    "nothing in it": ("", "web_server_ips is not set to a list"),
    "a syntax error": ('\n\nweb_server_ips = { "', r"init_backends.lua:3: unfinished string"),
    "an error": ('\nerror("what now?")', r"init_backends.lua:2: what now\?"),
    "a string": ('web_server_ips = "192.0.2.1"', "web_server_ips is not set to a list"),
    "an empty list": ("web_server_ips = {}", "web_server_ips is empty"),
    "names for the backends": (
        'web_server_ips = { one = "192.0.2.1" }', 'web_server_ips has the key "one"',
    ),
    "a hole": ('web_server_ips = { "192.0.2.1", nil, "192.0.2.3" }', "has a hole: entry 2 is nil"),
    "a number": ("web_server_ips = { 192 }", 'entry 1 of web_server_ips, "192", is a number'),
    "a host name": (
        'web_server_ips = { "192.0.2.1", "two.example" }',
        'entry 2 of web_server_ips, "two.example", is neither an IPv4 address nor',
    ),
    "a port too large": (
        'web_server_ips = { "192.0.2.1:65536" }',
        'entry 1 of web_server_ips, "192.0.2.1:65536", has no port from 1 to 65535',
    ),
    "the same twice": (
        'web_server_ips = { "192.0.2.1", "192.0.2.2", "192.0.2.1" }',
        "entries 1 and 3 of web_server_ips are the same backend, 192.0.2.1",
    ),
    "the same, spelled differently": (
        'web_server_ips = { "[2001:DB8::1]", "[2001:db8:0:0::1]" }',
        "entries 1 and 2 of web_server_ips are the same backend",
    ),
    "half of the ports": (
        'web_server_ips = { "192.0.2.1" } web_backend_ports = { http = 80 }',
        "web_backend_ports is not set to two ports",
    ),
    "one port for both schemes": (
        'web_server_ips = { "192.0.2.1" } web_backend_ports = { http = 80, https = 80 }',
        "web_backend_ports has 80 for both schemes",
    ),
    "ports for some": (
        'web_server_ips = { "192.0.2.1", "192.0.2.2:8080", "192.0.2.3" }',
        "entry 2 of web_server_ips has a port and entry 1 has none; either all have one or none",
    ),
    "ports for some, the first": (
        'web_server_ips = { "192.0.2.1:8080", "192.0.2.2" }',
        "entry 1 of web_server_ips has a port and entry 2 has none; either all have one or none",
    ),
}  # fmt: skip


def list_of(conf: Path) -> Path:
    """The list of a rendered balancer."""
    return conf.parent / "lua" / "init_backends.lua"


def write(conf: Path, text: str | None) -> None:
    if text is None:
        list_of(conf).unlink()
    else:
        list_of(conf).write_text(text)


@pytest.mark.parametrize(("text", "complaint"), WRONG.values(), ids=WRONG)
def test_nginx_refuses_to_start_with_a_wrong_list(
    folder: Path, text: str | None, complaint: str
) -> None:
    http, https = free_ports(2)
    nginx = NginxServer(render(folder, http, https, ["192.0.2.1"]), "127.0.0.1", http)
    write(nginx.conf, text)
    result = subprocess.run(nginx.command, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode == 1
    path = re.escape(str(list_of(nginx.conf)))
    told = rf"cannot use the backends of {path}: .*{complaint}"
    assert re.search(told, result.stderr), result.stderr
    assert any(re.search(told, line) for line in nginx.error_lines())


def refusals(balancer: Balancer) -> list[str]:
    """The lines of the error log that say why a list was not taken."""
    return [line for line in balancer.error_lines() if "cannot use the backends of" in line]


async def test_a_running_nginx_keeps_its_list_until_a_good_one(fleet: Fleet) -> None:
    balancer, (own, other, _) = fleet.balancer, fleet.backends
    # An error in Lua has a stack on further lines.
    balancer.expect(r"cannot use the backends of|^stack traceback:|^\t")
    [host] = fleet.hosts(own, 1)
    good = list_of(balancer.conf).read_text()
    for times, (text, complaint) in enumerate(WRONG.values(), 1):
        write(balancer.conf, text)
        balancer.reload()
        refused = partial(lambda times: len(refusals(balancer)) == times, times)
        await eventually_async(refused, what=complaint)
        assert re.search(complaint, refusals(balancer)[-1])
        assert fleet.by(await fleet.ask(Request(host))) is own

    write(balancer.conf, re.sub("{.*}", f'{{ "{other.address}" }}', good, count=1))
    balancer.reload()
    answers = partial(ask, balancer.port, Request(host))
    await asyncio.to_thread(eventually, lambda: answers().text == other.address)


@pytest.mark.parametrize(
    ("entry", "meaning"),
    [
        ("192.0.2.1", "192.0.2.1 -"),
        ("192.0.2.1:80", "192.0.2.1 80"),
        ("[2001:db8::1]", "[2001:db8::1] -"),
        ("[2001:db8::1]:65535", "[2001:db8::1] 65535"),
        ("2001:db8::1", "bad"),
        ("[192.0.2.1]", "bad"),
        ("[::ffff:192.0.2.1]", "bad"),
        ("192.0.2.01", "bad"),
        ("192.0.2.1:", "bad"),
        ("192.0.2.1:0", "bad"),
        ("192.0.2.1:1e3", "bad"),
        ("192.0.2.1 ", "bad"),
        ("unix:/run/socket", "bad"),
        ("localhost", "bad"),
        ("", "bad"),
    ],
)
def test_an_entry_is_an_address_and_maybe_a_port(
    luas: dict[str, Lua], entry: str, meaning: str
) -> None:
    assert {name: lua("parse", [entry]) for name, lua in luas.items()} == {
        name: [meaning] for name in luas
    }


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.ip_addresses(v=4).map(str),
            st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){2,4}\Z"),
            st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
            st.from_regex(r"\A\[([0-9a-fA-F]{0,5}:){1,9}[0-9a-f]{0,4}\]\Z"),
        ),
        min_size=1,
        max_size=100,
    )
)
def test_what_python_takes_for_an_address_so_does_every_lua(
    luas: dict[str, Lua], entries: list[str]
) -> None:
    expected = [f"{entry} -" if is_address(entry) else "bad" for entry in entries]
    for name, lua in luas.items():
        assert lua("parse", entries) == expected, name


def is_address(entry: str) -> bool:
    """What Python says."""
    try:
        ipaddress.ip_address(entry.strip("[]"))
    except ValueError:
        return False
    return True
