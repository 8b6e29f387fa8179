"""What the daemon tells a tenant is the same, whatever happens to the sites of others meanwhile."""

import re
from pathlib import Path

from tests.attacks.peers import ask
from tests.attacks.tenants import ALICE, MALLORY, Tenants
from tests.eventually import eventually

MINE, HERS, FAILS, BROKEN = "mallory.example", "alice.example", "fails.example", "broken.example"
PATHS = [
    "/v1/status", "/v1/activity", f"/v1/activity?match=alice&measure={HERS}", "/v1/settings",
    "/v1/bases", "/v1/stats", f"/v1/stats?domain={HERS}", "/v1/events?follow=0", "/metrics",
    f"/v1/events?follow=0&domain={HERS}", "/console/", "/console/vassals", "/console/refused",
    "/console/vassals?q=alice", "/console/vassals?tenant=lp", "/console/vassals?sort=memory",
    "/console/fleet",
    *(f"{place}/{domain}{what}"
      for place in ("/v1/vassals", "/console/vassals")
      for domain in (MINE, HERS, FAILS, BROKEN)
      for what in ("", "/history", "/log", "/start")),
    *(f"/v1/hosts/{domain}" for domain in (MINE, HERS, FAILS, BROKEN)),
]  # fmt: skip
# Times, and how long ago they were.
CLOCK = re.compile(
    r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:\+00:00|Z)?|>[\dhms]+</time>|^process_\S+ .*$", re.M
)


def seen(control: Path) -> dict[str, tuple[int, str]]:
    """What mallory is told, without times."""
    told = {path: ask(MALLORY, control, "GET", path) for path in PATHS}
    return {path: (status, CLOCK.sub("", body)) for path, (status, body) in told.items()}


def test_nothing_of_others_changes_what_a_tenant_is_told(tenants: Tenants) -> None:
    tenants.expect(f"{FAILS}|{BROKEN}")
    control = tenants.run_dir / "control.sock"
    tenants.host(MALLORY, MINE)
    before = seen(control)
    tenants.host(ALICE, HERS)
    tenants.host(ALICE, FAILS, "shouting.py")
    tenants.drop_of(ALICE, BROKEN, emperor="idle = soon")
    eventually(lambda: BROKEN in tenants.refusals())
    assert tenants.get(HERS, "/secret?token=hers").status == 200
    assert tenants.get(FAILS).status == 503
    assert tenants.get("nobody.example").status == 404
    assert tenants.call("POST", f"/v1/vassals/{HERS}/maintenance-on")[0] == 200
    after = seen(control)
    assert {path for path in before if before[path] != after[path]} == set()
    assert tenants.call("POST", f"/v1/vassals/{HERS}/maintenance-off")[0] == 200
    for domain in (MINE, HERS, FAILS, BROKEN):
        tenants.remove(domain)
        tenants.until(domain, None)
