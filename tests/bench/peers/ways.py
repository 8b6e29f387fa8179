"""All ways of hosting that the comparison knows. A new one is a class here, and a line below."""

from tests.bench.peers.activated import ActivatedGunicorn, ActivatedUwsgi
from tests.bench.peers.emperors import Emperor, Emperord, EmperordAtHome, EmperordByExec
from tests.bench.peers.floors import BareExec, BareImport
from tests.bench.peers.passenger import Passenger
from tests.bench.peers.peer import Peer

# The first is emperord, to which the others are compared.
PEERS: tuple[type[Peer], ...] = (
    Emperord,
    Emperor,
    ActivatedUwsgi,
    ActivatedGunicorn,
    Passenger,
)
# Where it matters how an app starts.
BY_START: tuple[type[Peer], ...] = (Emperord, EmperordAtHome, EmperordByExec, *PEERS[1:])
WITH_BARE: tuple[type[Peer], ...] = (*PEERS, BareExec)
STARTS_AND_BARE: tuple[type[Peer], ...] = (*BY_START, BareExec)
WITH_FLOORS: tuple[type[Peer], ...] = (*STARTS_AND_BARE, BareImport)
