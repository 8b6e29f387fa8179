"""What a base is told: what to import, and how a spare becomes an app or a base.

A base reads this with nothing but the standard library."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Import:
    """The first message to a base: the path of the module pyuwsgi, and what to import."""

    pyuwsgi: str
    modules: Sequence[str]
    oom_score_adj: int


@dataclass(frozen=True, slots=True)
class Imported:
    """The answer: all modules that it has, and those that it must do without, each with the reason.
    `problem` is why it cannot be a base."""

    modules: tuple[str, ...]
    left_out: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Whom an app runs as. `name` is None for a number without an entry in passwd."""

    uid: int
    gid: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """What the process of an app has. `home` is that of Python. `targets` are the numbers of the
    descriptors that come with the order; behind them come the files `entrances`, by which it enters
    its control group. `open_files` are the soft and hard limits, and `folder` is where it
    starts."""

    environment: dict[str, str]
    home: str
    folder: str
    user: User | None
    no_new_privs: bool
    open_files: tuple[int, int]
    nice: int
    targets: Sequence[int]
    entrances: Sequence[str]


@dataclass(frozen=True, slots=True)
class App:
    """What a spare becomes: `binary` is the program uwsgi, and `arguments` are for it."""

    binary: str
    arguments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Order:
    """How a spare becomes an app; without one, a base that imports these `modules` of its home."""

    place: Place
    app: App | None
    modules: Sequence[str] = ()


def answer(imported: Imported) -> bytes:
    """What a base answers, as JSON."""
    return json.dumps(asdict(imported), ensure_ascii=False, separators=(",", ":")).encode()


def import_of(data: bytes) -> Import:
    """The first message to a base, from its bytes."""
    return Import(**json.loads(data))


def order_of(data: bytes) -> Order:
    """Each further message to a base, from its bytes."""
    told = json.loads(data)
    place, user = told["place"], told["place"]["user"]
    place["user"] = User(**user) if user else None
    place["open_files"] = tuple(place["open_files"])
    app = App(**told["app"]) if told["app"] else None
    return Order(Place(**place), app, told["modules"])
