"""Faults strike one after the other, under load, and every request is accounted for."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from random import Random

from tests.faults.outcome import Outcome
from tests.faults.schedule import FIXED_SEEDS, FIXED_STRIKES, drawn
from tests.faults.site import Site
from tests.faults.table import FAULTS, Fault

_STRIKES = int(os.environ.get("FAULT_STRIKES", FIXED_STRIKES))
_ONLY = os.environ.get("FAULT_ONLY", "")
_ROWS = [fault for fault in FAULTS if _ONLY in fault.name]


def strike(site: Site, faults: Sequence[Fault], chance: Random) -> None:
    """Let them happen at the same time, and wait until all is well again."""
    print(" while ".join(fault.name for fault in faults))
    for fault in faults:
        site.backend.expect(fault.warning)
        site.log.expect(fault.warning)
        site.backend.nginx.expect(fault.nginx)
    allowed = frozenset[Outcome]().union(*(fault.allows for fault in faults))
    with site.spell(allowed), ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault.strike(site, chance))
        site.traffic.goes_on(30)
    site.until_upgraded()
    site.check_processes()
    site.check_log()


def test_the_fixed_seeds_draw_every_fault() -> None:
    strikes = [strike for seed in FIXED_SEEDS for strike in drawn(seed, FAULTS, FIXED_STRIKES)]
    assert {fault.name for faults, _ in strikes for fault in faults} == {f.name for f in FAULTS}


def test_each_request_is_accounted_for_whatever_happens(site: Site, seed: int) -> None:
    with site.traffic.flowing():
        for faults, chance in drawn(seed, _ROWS, _STRIKES):
            strike(site, faults, chance)
    site.check_account()
