"""Finds the backend of a host by running the load balancer's own Lua files outside of nginx.

There is no second copy of the hash here. The Lua code cannot reach Python, files, processes or C,
and can load no module but the balancer's. It can run without end, until Ctrl-C.
"""

import importlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from emperor.cli.failure import Failed
from emperor.model.weight import MOST_WEIGHT

# nginx has LuaJIT 2.1. Any other gives the same results, only later.
_LUAS = ("lupa.luajit21", "lupa.luajit20", "lupa.lua51", "lupa")

# Where a Lua file is looked for that does not stand beside the list: as installed for nginx, in a
# checkout, as installed by pip.
_INSTALLED = (
    Path("/etc/nginx/lua"),
    Path(__file__).parents[2] / "lua",
    Path(sys.prefix) / "share" / "emperord" / "lua",
)
_MODULES = ("fleet.backends", "fleet.order")

# `modules` are compiled, and so is whatever else runs: as text, since byte code could do anything.
_SANDBOX = b"""
local modules, var = ...
local allowed, loaded = {}, {}
for name in ([[_G _VERSION assert error getmetatable ipairs math next pairs pcall rawequal rawget
    rawset select setmetatable string table tonumber tostring type unpack xpcall]]):gmatch("%S+") do
    allowed[name] = true
end
local globals, error, next, tostring, rawget, rawset = _G, error, next, tostring, rawget, rawset
for name in next, globals do
    if not allowed[name] then
        globals[name] = nil
    end
end
string.dump = nil
ngx = { var = var }
function print()
end
function require(name)
    local run = modules[name] or error("module '" .. tostring(name) .. "' not found", 2)
    loaded[name] = loaded[name] or run(name)
    return loaded[name]
end
local require = require
return {
    complaint = function(list)
        return require("fleet.backends").complaint(list or web_server_ips, web_backend_ports)
    end,
    problem = function(entry)
        local address, reason = require("fleet.backends").parse(entry)
        return not address and reason or nil
    end,
    ports = function()
        return web_backend_ports
    end,
    weights = function()
        return web_server_weights
    end,
    file = function()
        return web_server_file
    end,
    entry = function(i)
        return rawget(web_server_ips, i)
    end,
    place = function(host, run)
        rawset(var, "route_host", host)
        rawset(var, "backend_ip", "")
        run()
        return rawget(var, "backend_ip")
    end,
    slot = function(host, run)
        local list, numbers = web_server_ips, {}
        for i = 1, #list do
            numbers[i] = tostring(i)
        end
        rawset(globals, "web_server_ips", numbers)
        rawset(var, "route_host", host)
        local done, problem = pcall(run)
        rawset(globals, "web_server_ips", list)
        return done and rawget(var, "backend_ip") or error(problem, 0)
    end,
    substitutes = function(host, first)
        local fleet = require("fleet.backends").of(web_server_ips, web_backend_ports)
        return require("fleet.order").substitutes(host, first, fleet.entries, fleet.shares)
    end,
}
"""


class Rule(Enum):
    """The hash that places a host."""

    STOCK = "stock"
    RENDEZVOUS = "rendezvous"


_FILE = {Rule.STOCK: "get_backend_ip.lua", Rule.RENDEZVOUS: "get_backend_ip_rendezvous.lua"}


class Placement:
    """The list of backends in a file, under one rule. Raises Failed if nginx would refuse the list.

    `slots` are the entries of the list, of which several may name the same backend; `entries` are
    the backends, each once, spelled and ordered as in the list; `files` the Lua files that place
    and check them. Hosts are to be in the form of nginx's $host.
    """

    def __init__(self, backends: Path, rule: Rule) -> None:
        folders = (backends.parent, *_INSTALLED)
        self._rule = _find(_FILE[rule], folders)
        modules = {name: _find(f"{name.replace('.', '/')}.lua", folders) for name in _MODULES}
        self.files = (self._rule, *modules.values())
        self._dialect = _dialect()
        # Lua's strings are bytes, of which latin-1 loses none.
        self._lua = self._dialect.LuaRuntime(
            register_eval=False, register_builtins=False, encoding="latin-1"
        )
        compiled = {name: self._compile(file, f"run {file}") for name, file in modules.items()}
        self._place = self._compile(self._rule, f"run {self._rule}")
        var = self._lua.table(scheme="http")
        self._tools = self._lua.execute(_SANDBOX, self._lua.table_from(compiled), var)
        self.slots = self._read(backends)
        self.entries = tuple(dict.fromkeys(self.slots))
        self._is_stock = rule is Rule.STOCK
        self._numbers = {entry: number for number, entry in enumerate(self.entries, 1)}

    def backend(self, host: str) -> str:
        """The entry that the host belongs to. Raises Failed."""
        place = self._tools["place"]
        answer = self._call(f"run {self._rule}", place, host, self._place)
        entry = str(answer).removeprefix("http://")
        if entry not in self._numbers:
            raise Failed(
                f"cannot run {self._rule}: it sends {host} to {entry!r}, which the list has not"
            )
        return entry

    def number(self, entry: str) -> int:
        """The place of a backend among all, from 1 on."""
        return self._numbers[entry]

    @property
    def ports(self) -> tuple[int, int] | None:
        """The list's own ports for http and https of entries without one, if it sets them."""
        ports = self._tools["ports"]()
        return None if ports is None else (int(ports["http"]), int(ports["https"]))

    @property
    def weights(self) -> dict[str, Fraction]:
        """The weights of backends, if the list sets any. Raises Failed."""
        weights = self._tools["weights"]()
        if weights is None:
            return {}
        if self._dialect.lua_type(weights) != "table":
            raise Failed('cannot use web_server_weights: it is no table; { ["192.0.2.11"] = 2 }')
        given: dict[str, Fraction] = {}
        for entry in self.entries:
            weight = weights[entry]
            if weight is None:
                weight = 1
            if isinstance(weight, bool) or not (
                isinstance(weight, int | float) and 0 < weight <= MOST_WEIGHT
            ):
                raise Failed(
                    f"cannot use web_server_weights: {entry} has {weight!r}; "
                    f"a weight is a number above 0, up to {MOST_WEIGHT}"
                )
            given[entry] = Fraction(str(weight))
        return given

    def complaint(self, slots: Sequence[str]) -> str | None:
        """What nginx would find wrong with these slots, with the ports of this list."""
        complaint = self._call(
            "check a list", self._tools["complaint"], self._lua.table_from(slots)
        )
        return None if complaint is None else _text(complaint)

    def problem(self, entry: str) -> str | None:
        """Why `entry` is no backend, as the end of a sentence about it."""
        if not (entry.isascii() and entry.isprintable()):
            return "is no address"
        problem = self._call("check an address", self._tools["problem"], entry)
        return None if problem is None else _text(problem)

    def slot(self, host: str) -> int | None:
        """The place of the host in the list, from 1 on; None under a rule that counts no places.
        Raises Failed."""
        if not self._is_stock:
            return None
        answer = self._call(f"run {self._rule}", self._tools["slot"], host, self._place)
        number = str(answer).removeprefix("http://")
        return int(number) if number.isdecimal() else None

    def substitutes(self, host: str, entry: str) -> tuple[str, ...]:
        """All other entries, in the order in which they stand in for the host's own."""
        substitutes, number = self._tools["substitutes"], self._numbers[entry]
        found = self._call("find substitutes", substitutes, host, number)
        return tuple(self.entries[number - 1] for number in found.values())

    def _read(self, backends: Path) -> tuple[str, ...]:
        doing = f"use the backends of {backends}"
        self._call(doing, self._compile(backends, doing))
        self._follow(self._tools["file"]())
        if complaint := self._call(doing, self._tools["complaint"]):
            raise Failed(f"cannot {doing}: {_text(complaint)}")
        entries: list[str] = []
        while entry := self._tools["entry"](len(entries) + 1):
            if not isinstance(entry, str) or not (entry.isascii() and entry.isprintable()):
                raise Failed(f"cannot {doing}: {entry!r} is no backend")
            entries.append(entry)
        return tuple(entries)

    def _follow(self, written: object) -> None:
        """The list may name a file that emperord-balancer writes: nginx uses it if it is there."""
        if isinstance(written, str) and Path(written).exists():
            doing = f"use the backends of {written}"
            self._call(doing, self._compile(Path(written), doing))

    def _compile(self, file: Path, doing: str) -> Any:
        # Lua cuts a long name, and its own errors begin with it.
        name = file.name.encode("ascii", "backslashreplace").decode()
        try:
            source = file.read_bytes()
        except OSError as error:
            raise Failed(f"cannot {doing}: {error.strerror}") from error
        return self._call(doing, lambda: self._lua.compile(source, name=f"={name}", mode="t"))

    def _call(self, doing: str, function: Any, *arguments: object) -> Any:
        try:
            with _ended_by_signals():
                return function(*arguments)
        except self._dialect.LuaError as error:
            raise Failed(f"cannot {doing}: {_cause(error)}") from error


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Python runs a handler when C returns, which a loop in Lua may never do."""
    before = {n: signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _find(name: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise Failed(f"cannot find {name} in any of {', '.join(map(str, folders))}")


def _dialect() -> Any:
    for name in _LUAS[:-1]:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return importlib.import_module(_LUAS[-1])


def _cause(error: Exception) -> str:
    """The message without the stack; errors need not have one."""
    return _text((str(error).splitlines() or ["an error without a message"])[0])


def _text(answer: object) -> str:
    """What Lua said, which is UTF-8 at best."""
    return str(answer).encode("latin-1").decode("utf-8", "backslashreplace")
