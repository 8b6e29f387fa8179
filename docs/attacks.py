"""The table of attacks on emperord and its rivals in security.md, from docs/attacks.json.

`make attacks` runs the attacks and writes that file.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from docs.folding import folded_item

DOCS = Path(__file__).parent
ATTACKS = DOCS / "attacks.json"
_BLOCK = re.compile(r"(?s)(?<=<!-- attacks -->\n).*?(?=<!-- end of attacks -->)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack on one host; `has_succeeded` is None if it was not run. `told` is
    what was seen, or why not."""

    has_succeeded: bool | None
    told: str


def held(told: str) -> Outcome:
    return Outcome(False, told)


def succeeded(told: str) -> Outcome:
    return Outcome(True, told)


def not_run(why: str) -> Outcome:
    return Outcome(None, why)


@dataclass(frozen=True, slots=True)
class Attacked:
    """One host: how it was set up, and the outcome of each attack by its name."""

    version: str
    setup: str
    date: str
    outcomes: dict[str, Outcome]


@dataclass(frozen=True, slots=True)
class Attacks:
    """The whole file: the hosts by name, emperord first."""

    machine: str
    hosts: dict[str, Attacked] = field(default_factory=dict)


def read(path: Path) -> Attacks:
    """The record in a file. Raises msgspec.ValidationError for one of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Attacks)


def write(path: Path, attacks: Attacks) -> None:
    text = msgspec.json.format(msgspec.json.encode(attacks), indent=1)
    path.write_bytes(text + b"\n")


def filled(page: Path) -> str:
    """The text of a page with the table as it should be."""
    attacks = read(ATTACKS)
    return _BLOCK.sub(lambda _: f"\n{rendered(attacks)}\n\n", page.read_text(encoding="utf-8"))


def rendered(attacks: Attacks) -> str:
    """How each host was set up, the table, and what was seen."""
    hosts = attacks.hosts
    names = list(dict.fromkeys(name for host in hosts.values() for name in host.outcomes))
    setups = [
        f"- **{name}** ({host.version}, run on {host.date}): {host.setup}."
        for name, host in hosts.items()
    ]
    rows = [
        f"| {' | '.join(['what mallory is after', *hosts])} |",
        f"|{'---|' * (1 + len(hosts))}",
        *(
            f"| {' | '.join([name, *(_word(host, name) for host in hosts.values())])} |"
            for name in names
        ),
    ]
    seen = [f"- **{name}**: {_seen(hosts, name)}." for name in names]
    return "\n".join([*map(folded_item, setups), "", *rows, "", "What was seen:", "",
                      *map(folded_item, seen)])  # fmt: skip


def _word(host: Attacked, name: str) -> str:
    outcome = host.outcomes.get(name)
    if outcome is None or outcome.has_succeeded is None:
        return "not run"
    return "**succeeds**" if outcome.has_succeeded else "fails"


def _seen(hosts: dict[str, Attacked], name: str) -> str:
    """What was told, with the names of all hosts of which the same is told."""
    by_told: dict[str, list[str]] = {}
    for host, attacked in hosts.items():
        if name in attacked.outcomes:
            by_told.setdefault(attacked.outcomes[name].told, []).append(host)
    return "; ".join(f"{', '.join(names)}: {told}" for told, names in by_told.items())
