"""Which specs of one vassal may run side by side."""

from dataclasses import replace

import pytest

from emperor.model.spec import InheritedSocket, OnChange, Spec
from tests.supervisor.world import SPEC

PORT = InheritedSocket("127.0.0.1:3031", "127.0.0.1:3031", 2)
ANY_HOST = InheritedSocket("0.0.0.0:3031", ":3031", 2)
PATH = InheritedSocket("/srv/a.sock", "a.sock", 3)
ABSOLUTE = InheritedSocket("/srv/a.sock", "/srv/a.sock", 3)


def having(*sockets: InheritedSocket, on_change: OnChange = OnChange.OVERLAP) -> Spec:
    addresses = tuple(socket.address for socket in sockets)
    return replace(SPEC, foreign_sockets=addresses, inherited=sockets, on_change=on_change)


@pytest.mark.parametrize(
    ("new", "running", "expected"),
    [
        (having(), having(), True),
        (having(), having(PORT), True),
        (having(PORT), having(), True),
        (having(PORT), having(replace(PORT, line=7)), True),
        (having(PORT, PATH), having(PORT), True),
        (having(PORT), having(ANY_HOST), False),
        (having(PATH), having(ABSOLUTE), False),
        (having(PORT), having(PORT, on_change=OnChange.RESTART), False),
        (having(), having(PORT, on_change=OnChange.RESTART), True),
        (having(PORT), replace(having(), foreign_sockets=(PORT.address,)), False),
        (having(PATH), replace(having(), foreign_sockets=(PATH.address,)), False),
        (having(on_change=OnChange.RESTART), having(), False),
    ],
)
def test_a_successor_needs_sockets_that_it_can_have(
    new: Spec, running: Spec, expected: bool
) -> None:
    assert new.can_boot_beside(running) is expected
