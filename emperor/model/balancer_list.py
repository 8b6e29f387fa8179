"""The list of backends as a file for nginx: its text, and the table of a file that
emperord-balancer has written.

The file is Lua, so that `emperorctl route` and people read it as any other list. nginx, where
emperord-balancer writes it, takes it for data (lua/fleet/written.lua): it runs nothing of it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from emperor.model.slot_table import BrokenTable, SlotTable, table_problem
from emperor.model.weight import parse_weight, spelled_weight

# The beginning of a file that emperord-balancer may replace.
MARK = "-- emperord-balancer writes this file"
_PER_LINE = 4
_HEAD = f"""\
{MARK}: table {{serial}}, {{count}} slots of {{backends}} backends.
--
-- A domain belongs to one slot, which `emperorctl route` shows, and the slot names its backend.
-- `emperorctl fleet` changes the table; what is changed here is lost.
"""
_WEIGHTS = """\
-- How large backends are, for `emperorctl rebalance`; others have 1.
web_server_weights = {{ {weights} }}
"""
_FIRST_LINE = re.compile(
    re.escape(MARK) + r": table ([0-9]{1,18}), ([0-9]{1,6}) slots of [0-9]{1,6} backends\."
)
_ENTRIES = re.compile(r"^web_server_ips = \{([^}]*)\}$", re.MULTILINE)
_PORTS = re.compile(
    r"^web_backend_ports = \{ http = ([0-9]{1,5}), https = ([0-9]{1,5}) \}$", re.MULTILINE
)
_WEIGHTS_LINE = re.compile(r"^web_server_weights = \{ (.*) \}$", re.MULTILINE)
_WEIGHT = re.compile(r'\["([^"]*)"\] = ([0-9.]+)')


def lua(
    head: str,
    slots: Sequence[str],
    weights: Mapping[str, Fraction],
    ports: tuple[int, int] | None,
) -> str:
    """The text of a list that begins with the comment `head`. `ports` are those of
    web_backend_ports, http and https."""
    text = head
    heavy = [(each, weight) for each, weight in weights.items() if weight != 1]
    if heavy:
        pairs = (f"[{json.dumps(each)}] = {spelled_weight(weight)}" for each, weight in heavy)
        text += _WEIGHTS.format(weights=", ".join(pairs))
    if ports:
        text += f"web_backend_ports = {{ http = {ports[0]}, https = {ports[1]} }}\n"
    lines = ["web_server_ips = {"]
    for begin in range(0, len(slots), _PER_LINE):
        some = slots[begin : begin + _PER_LINE]
        entries = " ".join(f"{json.dumps(each)}," for each in some)
        lines.append(f"    {entries} -- {begin + 1} to {begin + len(some)}")
    return text + "\n".join([*lines, "}", ""])


def written(table: SlotTable) -> str:
    """The file of a table."""
    count = len(table.slots)
    head = _HEAD.format(serial=table.serial, count=count, backends=len(table.backends))
    return lua(head, table.slots, table.weights, table.ports)


def read(text: str) -> SlotTable:
    """The table of such a file. Raises BrokenTable."""
    first = _FIRST_LINE.match(text)
    entries = _ENTRIES.search(text)
    if first is None or entries is None:
        raise BrokenTable("it is no list of this version of emperord-balancer")
    slots = tuple(re.findall('"([^"]*)"', entries[1]))
    if len(slots) != int(first[2]):
        raise BrokenTable(f"it has {len(slots)} slots, and its first line says {first[2]}")
    ports = _PORTS.search(text)
    line = _WEIGHTS_LINE.search(text)
    try:
        weights = (
            {each: parse_weight(weight) for each, weight in _WEIGHT.findall(line[1])}
            if line
            else {}
        )
    except ValueError as error:
        raise BrokenTable(str(error)) from error
    table = SlotTable(
        int(first[1]), slots, weights, (int(ports[1]), int(ports[2])) if ports else None
    )
    if problem := table_problem(table):
        raise BrokenTable(problem)
    return table
