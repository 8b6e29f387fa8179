"""`emperorctl route`: the load balancer's own Lua says where a host belongs."""

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.cli import placement
from emperor.cli.failure import Failed
from emperor.cli.placement import Placement, Rule
from emperor.cli.route import route_of
from emperor.model.domain import canonical_host
from tests.balancer.vectors import VECTORS, stock_hash
from tests.balancer.wrong_lists import WRONG
from tests.cli.conftest import Ctl, listing
from tests.cli.program import ENVIRONMENT, command
from tests.eventually import PATIENCE_SECONDS, eventually

LUA = Path(__file__).parents[2] / "lua"
THREE = ("192.0.2.11", "192.0.2.12", "192.0.2.13")

# In nginx's spelling: what else the vectors have, emperorctl takes for another spelling of a name.
HASHES = {host: value for host, value in VECTORS.items() if canonical_host(host) == host}


@pytest.fixture(scope="module")
def placements(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Placement]:
    """The stock placement on fleets of each size."""
    folder = tmp_path_factory.mktemp("lists")
    fleets = {size: [f"192.0.2.{n}:8080" for n in range(size)] for size in range(1, 17)}
    return {
        size: Placement(listing(folder / f"{size}.lua", *entries), Rule.STOCK)
        for size, entries in fleets.items()
    }


@pytest.mark.parametrize("host", HASHES)
def test_a_host_belongs_where_the_slide_says(placements: dict[int, Placement], host: str) -> None:
    for size, balancer in placements.items():
        assert route_of(host, balancer).number == HASHES[host] % size + 1


LABELS = st.lists(st.text("abcXYZ019_-", min_size=1, max_size=30), min_size=1, max_size=6)


@given(LABELS.map(".".join), st.data())
def test_all_other_backends_stand_in_for_any_host(
    placements: dict[int, Placement], host: str, data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from(sorted(placements)))
    route = route_of(host, placements[size])
    entries = placements[size].entries
    assert route.backend == entries[stock_hash(host) % size] == entries[route.number - 1]
    assert sorted((route.backend, *route.substitutes)) == sorted(entries)
    assert route == route_of(host.upper(), placements[size])


def test_a_fleet_of_one_has_no_substitutes(ctl: Ctl, tmp_path: Path) -> None:
    result = ctl("route", "a.example", "--backends", str(listing(tmp_path / "one.lua", "[::1]:80")))
    assert result.out == "a.example: [::1]:80 (1 of 1)\n"


def test_each_host_has_its_backend_and_substitutes(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "init_backends.lua", *THREE)
    result = ctl("route", "WWW.Example.com.:8080", "s40832659.com", "--backends", str(backends))
    assert result.status == 0
    balancer = Placement(backends, Rule.STOCK)
    for line, host in zip(
        result.out.splitlines(), ("www.example.com", "s40832659.com"), strict=True
    ):
        backend = THREE[HASHES[host] % 3]
        others = ", ".join(balancer.substitutes(host, backend))
        assert line == f"{host}: {backend} ({HASHES[host] % 3 + 1} of 3), then {others}"


def test_a_host_has_a_slot_and_each_substitute_once(ctl: Ctl, tmp_path: Path) -> None:
    slots = [THREE[number % 4 % 3] for number in range(4096)]
    backends = listing(tmp_path / "list.lua", *slots)
    slot = HASHES["example.com"] % 4096
    result = json.loads(ctl("route", "example.com", "--backends", str(backends), "--json").out)
    (route,) = result["routes"]
    assert result["backends"] == list(THREE)
    assert (route["slot"], route["backend"]) == (slot + 1, slots[slot])
    assert sorted([route["backend"], *route["substitutes"]]) == sorted(THREE)
    text = ctl("route", "example.com", "--backends", str(backends)).out
    assert text.startswith(
        f"example.com: {slots[slot]} ({route['number']} of 3; slot {slot + 1} of 4096), then "
    )
    rendezvous = ("--placement", "rendezvous")
    text = ctl("route", "example.com", "--backends", str(backends), *rendezvous).out
    assert " of 3), then " in text


def test_json_has_the_same_and_the_files_that_it_comes_from(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "list.lua", *THREE)
    result = json.loads(ctl("route", "example.com", "--backends", str(backends), "--json").out)
    assert result["backends"] == list(THREE)
    assert result["placement"] == "stock"
    (route,) = result["routes"]
    assert route["host"] == "example.com"
    assert route["backend"] == THREE[route["number"] - 1] == THREE[HASHES["example.com"] % 3]
    assert len(route["substitutes"]) == 2
    assert [Path(file).name for file in result["files"]] == [
        "get_backend_ip.lua", "backends.lua", "order.lua",
    ]  # fmt: skip


def test_rendezvous_is_another_placement(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "list.lua", *THREE)
    hosts = [f"site{n}.example" for n in range(60)]
    stock, rendezvous = (
        [
            route["backend"]
            for route in json.loads(
                ctl("route", *hosts, "--json", "--backends", str(backends), "--placement", rule).out
            )["routes"]
        ]
        for rule in ("stock", "rendezvous")
    )
    assert stock != rendezvous
    assert set(rendezvous) == set(THREE)


def test_lua_files_beside_the_list_win_one_by_one(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "init_backends.lua", *THREE)
    last = 'ngx.var.backend_ip = ngx.var.scheme .. "://" .. web_server_ips[#web_server_ips]\n'
    (tmp_path / "get_backend_ip.lua").write_text(last)
    result = json.loads(ctl("route", "a.example", "--backends", str(backends), "--json").out)
    assert result["routes"][0]["number"] == 3
    assert [Path(file).parent == tmp_path for file in result["files"]] == [True, False, False]
    (tmp_path / "fleet").mkdir()
    shutil.copy(LUA / "fleet" / "backends.lua", tmp_path / "fleet")
    result = json.loads(ctl("route", "a.example", "--backends", str(backends), "--json").out)
    assert result["files"][1] == str(tmp_path / "fleet" / "backends.lua")


def test_a_missing_lua_file_is_named_with_its_places(
    ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_INSTALLED", (Path("/etc/nginx/lua-of-nobody"),))
    result = ctl("route", "a.example", "--backends", str(listing(tmp_path / "list.lua", *THREE)))
    assert result.status == 1
    assert result.err == (
        "emperorctl: cannot find get_backend_ip.lua in any of"
        f" {tmp_path}, /etc/nginx/lua-of-nobody\n"
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("web_server_ips = = 1", "list.lua:1: unexpected symbol near '='"),
        ("\n\nerror('no\\nway')", "list.lua:3: no"),
        ("error({})", "an error without a message"),
        ("", "web_server_ips is not set to a list"),
        ("web_server_ips = {}", "web_server_ips is empty"),
        ("web_server_ips = { '192.0.2.1', nil, '192.0.2.2' }", "has a hole: entry 2 is nil"),
        ("web_server_ips = { '192.0.2.1', 'web2.example' }", 'entry 2 of web_server_ips, "web2'),
        ("web_server_ips = { '[::1]', '[0::1]' }", "are the same backend in two spellings"),
        ("web_server_ips = { '192.0.2.\xff' }", "is neither an IPv4 address nor"),
        ("\x1bLua", "list.lua:"),
    ],
)
def test_a_list_that_nginx_would_refuse_is_told_with_its_cause(
    ctl: Ctl, tmp_path: Path, text: str, cause: str
) -> None:
    backends = tmp_path / "list.lua"
    backends.write_bytes(text.encode("latin-1"))
    result = ctl("route", "a.example", "--backends", str(backends))
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"emperorctl: cannot use the backends of {backends}: ")
    assert cause in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "complaint"), [case for case in WRONG.values() if case[0] is not None]
)
def test_a_list_that_nginx_refuses_is_refused(
    ctl: Ctl, tmp_path: Path, text: str, complaint: str
) -> None:
    backends = tmp_path / "init_backends.lua"
    backends.write_text(text)
    result = ctl("route", "a.example", "--backends", str(backends))
    assert (result.status, result.out) == (1, "")
    assert re.search(complaint, result.err)


@pytest.mark.parametrize(
    ("trick", "cause"),
    [
        ("setmetatable(ngx.var, { __newindex = error, __index = error })", None),
        ("setmetatable(web_server_ips, { __index = function() return '192.0.2.9' end })", None),
        ("web_server_ips[2] = '192.0.2.1\27]0;x'; string.match = string.gsub", "list.lua"),
        ("function type() return 'string' end", "web_server_ips is not set to a list"),
    ],
)
def test_a_list_that_tampers_with_lua_ends_in_order(
    ctl: Ctl, tmp_path: Path, trick: str, cause: str | None
) -> None:
    backends = listing(tmp_path / "list.lua", *THREE)
    backends.write_text(f"{backends.read_text()}{trick}\n")
    result = ctl("route", "a.example", "--backends", str(backends))
    if cause is None:
        assert result.out.startswith("a.example: 192.0.2.1")
        assert "of 3)" in result.out
    else:
        assert result.status == 1
        assert cause in result.err
    assert "\x1b" not in result.out + result.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_list_that_never_ends_is_ended_by_a_signal(tmp_path: Path, number: int) -> None:
    backends = tmp_path / "list.lua"
    backends.write_text("while true do end")
    arguments = command(tmp_path, "route", "a.example", "--backends", str(backends))
    with subprocess.Popen(arguments, env=ENVIRONMENT) as process:
        eventually(lambda: _is_in_lua(process.pid), alive=[process], what="Lua runs")
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) == -number


def _is_in_lua(pid: int) -> bool:
    """Whether the list is being run: lupa is there, and Python handles neither signal."""
    proc = Path(f"/proc/{pid}")
    caught = re.search(r"(?m)^SigCgt:\s*(\w+)$", (proc / "status").read_text())
    assert caught
    both = 1 << (signal.SIGINT - 1) | 1 << (signal.SIGTERM - 1)
    return "lupa" in (proc / "maps").read_text() and not int(caught[1], 16) & both


def test_a_list_that_cannot_be_read_is_told(ctl: Ctl, tmp_path: Path) -> None:
    for path, cause in ((tmp_path / "none.lua", "No such file"), (tmp_path, "Is a directory")):
        result = ctl("route", "a.example", "--backends", str(path))
        assert result.status == 1
        assert f"cannot use the backends of {path}: {cause}" in result.err


@pytest.mark.parametrize(
    "attempt",
    [
        'os.execute("touch MARK")',
        'io.open("MARK", "w")',
        'require("ffi").C.system("touch MARK")',
        'require("os").execute("touch MARK")',
        'package.loaded.os.execute("touch MARK")',
        "python.eval(\"open('MARK', 'w')\")",
        'python.builtins.open("MARK", "w")',
        'getfenv(0).io.open("MARK", "w")',
        'debug.getregistry()._LOADED.io.open("MARK", "w")',
        'loadstring("return 1")()',
        'dofile("/dev/null")',
        "string.dump(require)()",
        "os.exit(0)",
    ],
)
def test_a_list_reaches_nothing_but_the_lua_language(
    ctl: Ctl, tmp_path: Path, attempt: str
) -> None:
    mark = tmp_path / "mark"
    backends = listing(tmp_path / "list.lua", *THREE)
    backends.write_text(backends.read_text() + attempt.replace("MARK", str(mark)))
    result = ctl("route", "a.example", "--backends", str(backends))
    assert result.status == 1
    assert "list.lua:2: " in result.err
    assert not mark.exists()


def test_a_list_may_print_as_it_may_within_nginx(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "list.lua", "192.0.2.1")
    backends.write_text(backends.read_text() + "print('loaded')\n")
    assert ctl("route", "a.example", "--backends", str(backends)).out == (
        "a.example: 192.0.2.1 (1 of 1)\n"
    )


def test_a_placement_that_fails_or_leaves_the_list_is_told(ctl: Ctl, tmp_path: Path) -> None:
    backends = listing(tmp_path / "list.lua", *THREE)
    own = tmp_path / "get_backend_ip.lua"
    for text, cause in (
        ("error('broken')", "get_backend_ip.lua:1: broken"),
        ("ngx.var.backend_ip = 'http://192.0.2.99'", "sends a.example to '192.0.2.99', which"),
        ("local x = 1", "sends a.example to '', which"),
    ):
        own.write_text(text)
        result = ctl("route", "a.example", "--backends", str(backends))
        assert result.status == 1
        assert f"cannot run {own}: " in result.err
        assert cause in result.err


@pytest.mark.parametrize(
    ("host", "cause"),
    [
        ("", "nginx answers 400 to it: it is empty"),
        ("a..b", "nginx answers 400 to it: it holds two dots in a row"),
        ("https://www.example.com/", "nginx answers 400 to it: it holds '/'"),
        ("a b", "nginx answers 400 to it: it holds ' '"),
        ("münchen.de", "xn--"),
    ],
)
def test_a_wrong_host_is_told_and_the_others_are_routed(
    ctl: Ctl, tmp_path: Path, host: str, cause: str
) -> None:
    backends = listing(tmp_path / "list.lua", *THREE)
    result = ctl("route", host, "good.example", "--backends", str(backends))
    assert result.status == 1
    assert result.out.startswith("good.example: ")
    assert result.err.startswith("emperorctl: cannot route ")
    assert cause in result.err


@pytest.mark.parametrize("dialect", ["lupa.luajit21", "lupa.lua51", "lupa.lua54"])
def test_every_lua_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dialect: str) -> None:
    importlib.import_module(dialect)
    backends = listing(tmp_path / "list.lua", *THREE)
    usual = Placement(backends, Rule.RENDEZVOUS)
    monkeypatch.setattr(placement, "_LUAS", (dialect,))
    other = Placement(backends, Rule.RENDEZVOUS)
    for host in HASHES:
        backend = usual.backend(host)
        assert other.backend(host) == backend
        assert other.substitutes(host, backend) == usual.substitutes(host, backend)
    bad = tmp_path / "bad.lua"
    bad.write_text("web_server_ips = {}")
    with pytest.raises(Failed, match="web_server_ips is empty"):
        Placement(bad, Rule.STOCK)


def test_without_hosts_or_without_a_list_it_is_wrong_usage(ctl: Ctl) -> None:
    assert ctl("route", "a.example").status == 2
    assert ctl("route", "--backends", os.devnull).status == 2
