"""The list of backends: what it may contain, and what nginx does with a wrong one."""

import asyncio
import ipaddress
import re
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.examples.balancer import render
from tests.balancer.backends import Backend
from tests.balancer.fleet import Balancer, Fleet, Listed, running
from tests.balancer.lua import Lua
from tests.balancer.wrong_lists import WRONG
from tests.eventually import eventually, eventually_async
from tests.http_client import Request, ask
from tests.nginx_server import NginxServer, free_ports


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
    result = subprocess.run(nginx.command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    path = re.escape(str(list_of(nginx.conf)))
    message = rf"cannot use the backends of {path}: .*{complaint}"
    assert re.search(message, result.stderr), result.stderr
    assert any(re.search(message, line) for line in nginx.error_lines())


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


async def test_a_balancer_in_its_own_list_sends_a_request_once(folder: Path) -> None:
    async with running(
        folder, [Backend("127.0.0.11")], listed=Listed(also=("127.0.0.1",))
    ) as fleet:
        [backend] = fleet.backends
        hosts = [f"app{number}.example" for number in range(40)]
        replies = [await fleet.ask(Request(host)) for host in hosts]
        assert {reply.status for reply in replies} <= {200, 508}
        lines = fleet.balancer.access_lines
        await eventually_async(lambda: len(lines()) >= 40 + [r.status for r in replies].count(508))
        assert len([line for line in lines() if "-emperord-" not in line]) <= 80
        # Its own probe comes back as well: it is used for no domain as long as a backend is well.
        await eventually_async(lambda: fleet.balancer.marks == ["127.0.0.1 unwell"])
        for host in hosts[:10]:
            assert fleet.by(await fleet.ask(Request(host))) is backend


async def test_a_request_with_the_mark_of_a_balancer_is_508(fleet: Fleet) -> None:
    marked = Request("app.example", headers={"X-Emperord-Balancer": "1"})
    for method in ("GET", "POST"):
        for tls in (False, True):
            assert (await fleet.ask(replace(marked, method=method), tls)).status == 508
    assert [backend.heard for backend in fleet.backends] == [[], [], []]
    [heard] = fleet.by(await fleet.ask(Request("app.example"))).heard
    assert heard.headers["x-emperord-balancer"] == "1"


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
            # Python 3.13 and later write an IPv4 address in IPv6 with dots, which no Lua takes.
            st.ip_addresses(v=6, network="2000::/3").map(lambda address: f"[{address}]"),
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
    """Whether Python takes it for an address."""
    try:
        ipaddress.ip_address(entry.strip("[]"))
    except ValueError:
        return False
    return True
