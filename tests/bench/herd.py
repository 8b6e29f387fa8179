"""Thousands of requests at the same moment to an app that takes three seconds to boot."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from docs.figures import Limit
from tests.bench.apps import TELLING, ini
from tests.bench.load import Client, load
from tests.bench.ours import Ours
from tests.bench.place import place
from tests.bench.report import Row, row
from tests.bench.rivals import Incumbent, PlainNginx
from tests.bench.rounds import Bench

_SIZES = (2_000, 5_000)
_BOOT_SECONDS = 3
# A round of all sides takes half a minute.
_ROUNDS = 3
_DOMAINS = len(_SIZES) * (_ROUNDS + 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The number of answers other than 200, the starts of the app, and the seconds until the last
    answer."""

    failed: int
    starts: int
    seconds: float


class Side:
    """Sends herds to one domain after the other on `port`. Each app counts its boots in a file."""

    def __init__(self, folder: Path, name: str, port: int) -> None:
        self._folder = folder
        self._name = name
        self._port = port
        self._numbers = count()

    def domains(self) -> list[str]:
        """The domains of all herds."""
        return [self._domain(number) for number in range(_DOMAINS)]

    def options(self, domain: str) -> tuple[str, ...]:
        """The lines for the app's environment in the ini of a domain."""
        return (f"env = BOOTS={self._boots(domain)}", f"env = BOOT_SECONDS={_BOOT_SECONDS}")

    def herd(self, size: int) -> Outcome:
        """Send `size` requests at once to an unused domain."""
        domain = self._domain(next(self._numbers))
        answers = load(self._port, domain, Client(size, 0.0))
        boots = self._boots(domain).read_text().splitlines()
        return Outcome(
            failed=sum(answer.status != 200 for answer in answers),
            starts=len(boots),
            seconds=max(answer.sent + answer.seconds for answer in answers),
        )

    def _domain(self, number: int) -> str:
        return f"{self._name}{number}.example"

    def _boots(self, domain: str) -> Path:
        return self._folder / f"{domain}.boots"


def herd(bench: Bench) -> Iterator[Row]:
    """Compare both kinds of activation with uWSGI's Emperor, with a short and a long queue."""
    with place() as folder, ExitStack() as stack:
        ours = stack.enter_context(Ours(folder))
        sides = {
            "fallback": _ours(folder, ours, "fallback"),
            "socket": _ours(folder, ours, "socket"),
            "Emperor": _theirs(folder, stack, "usual", 100),
            "Emperor, listen=4096": _theirs(folder, stack, "long", 4096),
        }
        for size in _SIZES:
            what = f"{size:,} at once to a cold app, {_BOOT_SECONDS} s boot"
            outcomes = bench.paired(what, _herds(sides, size), _ROUNDS)
            for mode in ("fallback", "socket"):
                yield from _rows(f"{what}, {mode}", mode, outcomes)


def _ours(folder: Path, ours: Ours, activation: str) -> Side:
    side = Side(folder, activation, ours.port)
    for domain in side.domains():
        lines = (*side.options(domain), "[emperor]", f"activation = {activation}", "")
        ours.drop(domain, ours.ini(domain, str(TELLING)) + "\n".join(lines))
    ours.until(side.domains()[-1], "parked")
    return side


def _theirs(folder: Path, stack: ExitStack, name: str, backlog: int) -> Side:
    own = folder / name
    own.mkdir()
    own.chmod(0o755)
    incumbent = Incumbent(own, backlog)
    plain = stack.enter_context(PlainNginx(own, incumbent.sockets))
    side = Side(folder, name, plain.port)
    for domain in side.domains():
        # On demand the Emperor binds the socket, but uWSGI refuses a queue longer than its listen.
        listen = f"listen = {backlog}"
        incumbent.drop(domain, ini(TELLING, *side.options(domain), listen))
    stack.enter_context(incumbent)
    incumbent.until_listening(side.domains()[-1])
    return side


def _herds(sides: dict[str, Side], size: int) -> dict[str, Callable[[], Outcome]]:
    return {name: partial(side.herd, size) for name, side in sides.items()}


def _rows(what: str, mode: str, outcomes: dict[str, list[Outcome]]) -> Iterator[Row]:
    theirs = {name: each for name, each in outcomes.items() if name.startswith("Emperor")}
    seen = {mode: outcomes[mode]} | (theirs if mode == "fallback" else {})
    # The worst round, since a median would hide a failed round.
    failed = {name: [float(max(o.failed for o in each))] * len(each) for name, each in seen.items()}
    starts = {name: [float(max(o.starts for o in each))] * len(each) for name, each in seen.items()}
    seconds = {name: [o.seconds for o in each] for name, each in seen.items()}
    yield row(f"{what}: failed, at worst", "", failed, Limit(0))
    yield row(f"{what}: starts, at worst", "", starts, Limit(1))
    yield row(f"{what}: first → last answer", "s", seconds)
