"""All ways of hosting that the comparison knows. A new one is a class here, and a line below."""

from tests.bench.peers.activated import ActivatedGunicorn, ActivatedUwsgi
from tests.bench.peers.emperors import Emperor, Emperord
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
WITH_BARE: tuple[type[Peer], ...] = (*PEERS, BareExec)
WITH_FLOORS: tuple[type[Peer], ...] = (*WITH_BARE, BareImport)
