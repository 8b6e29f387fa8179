"""Faults strike one after the other, under load, and every request is accounted for."""

import os
from random import Random

from tests.faults.schedule import drawn
from tests.faults.site import Site
from tests.faults.table import FAULTS, Fault

_STRIKES = int(os.environ.get("FAULT_STRIKES", "6"))
_ONLY = os.environ.get("FAULT_ONLY", "")
_ROWS = [fault for fault in FAULTS if _ONLY in fault.name]


def strike(site: Site, fault: Fault, chance: Random) -> None:
    """Let it happen, and wait until all is well again."""
    site.backend.expect(fault.warning)
    site.log.expect(fault.warning)
    site.backend.nginx.expect(fault.nginx)
    with site.spell(fault.allows), fault.strike(site, chance):
        site.traffic.goes_on(30)
    site.check_processes()
    site.check_log()


def test_each_request_is_accounted_for_whatever_happens(site: Site, seed: int) -> None:
    with site.traffic.flowing():
        for fault, chance in drawn(seed, _ROWS, _STRIKES):
            print(fault.name)
            strike(site, fault, chance)
    site.check_account()
