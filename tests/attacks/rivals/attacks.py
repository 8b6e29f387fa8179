"""The attacks, each on any host. `mallory` has an app and its configuration, and is after `alice`,
after root, or after more than its share."""

from collections.abc import Callable
from dataclasses import dataclass

from docs.attacks import Outcome
from tests.attacks.rivals import logs, rights, shares, visitors
from tests.attacks.rivals.host import Host


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack, whose `name` says what the attacker is after."""

    name: str
    run: Callable[[Host], Outcome]


ATTACKS = (
    Attack("root by a line of his configuration", rights.root_by_configuration),
    Attack("the neighbour by a link to her start-up file", rights.neighbour_by_link),
    Attack("a configuration of mode 0666", rights.open_configuration),
    Attack("the neighbour's socket", visitors.socket),
    Attack("a claim to her socket or host", visitors.claim),
    Attack("her visitors, after the app was given to her", visitors.next_owner),
    Attack("a process that outlives its app", visitors.outlives),
    Attack("variables of the host", rights.environment),
    Attack("rights by a setuid program", rights.setuid),
    Attack("capabilities to get later", rights.capabilities),
    Attack("a command that stops her app", rights.stop),
    Attack("a command that lists her app", rights.listing),
    Attack("to cut or inflate the log", logs.cut_log),
    Attack("to read her log", logs.read_log),
    Attack("to write a line into her log", logs.forge_log),
    Attack("spoofed headers of a visitor", visitors.headers),
    Attack("two answers to one request", visitors.two_answers),
    Attack("a disk, by bodies for a made-up host", visitors.body),
    Attack("memory without end", shares.memory),
    Attack("processes without end", shares.processes),
    Attack("the CPU", shares.cpu),
    Attack("300 requests that hang", shares.hung_requests),
    Attack("touches without end", shares.touches),
    Attack("24 boots that hang", shares.hung_boots),
    Attack("300 MB of log", logs.flood_log),
)
