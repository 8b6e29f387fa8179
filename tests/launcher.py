"""Which bases the daemons of this run of the tests have, by the variable BASES, and thereby how
nearly all of their apps start. A test that asks for something else gets that."""

import os
from enum import StrEnum

import pytest


class Launcher(StrEnum):
    """The ways. `AUTO` is the default of emperord, in a daemon that keeps nothing: apps are forked
    from the base of the standard library. `OFF`: each starts by exec. `HOME`: the daemon has a
    STATE_DIRECTORY too, so that virtual environments can have bases: those of apps that do not run
    as root, and have one in common."""

    AUTO = "auto"
    OFF = "off"
    HOME = "home"


LAUNCHER = Launcher(os.environ.get("BASES") or Launcher.AUTO)


def skip_others(item: pytest.Item) -> None:
    """Skip the test if it is about bases, and this run has none."""
    if item.get_closest_marker("bases") is not None and LAUNCHER is Launcher.OFF:
        item.add_marker(pytest.mark.skip(reason="it is about bases, and BASES=off has none"))
