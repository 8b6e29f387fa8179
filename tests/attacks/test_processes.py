"""What a tenant starts must not outlive its app, wherever it has hidden it."""

import os
import signal

import pytest

from tests.attacks.tenants import ALICE, MALLORY, Tenants, groups
from tests.eventually import eventually

ESCAPES = {
    "by setsid": "setsid {job} &",
    "by a double fork": "(setsid {job} &) & wait",
    "without an environment": "(env -i /usr/bin/setsid {job} &) & wait",
    "without an open file": "(env -i /usr/bin/setsid {job} 0<&- 1>&- 2>&- 3>&- 4>&- &) & wait",
}
DEAF = "trap '' TERM INT QUIT HUP; while :; do sleep 0.2; done"


@pytest.fixture(params=list(ESCAPES))
def job(request: pytest.FixtureRequest, tenants: Tenants) -> str:
    """A site of mallory's whose app has started a job that has left its process group."""
    job = tenants.program("job", DEAF)
    starter = tenants.program("starter", ESCAPES[request.param].format(job=job))
    tenants.host(MALLORY, "mallory.example", hook_post_app=f"exec:{starter} &")
    assert tenants.get("mallory.example").status == 200
    eventually(lambda: tenants.processes(job), what="the job runs")
    return job


def test_a_job_does_not_outlive_its_ini(tenants: Tenants, job: str) -> None:
    tenants.host(ALICE, "alice.example")
    assert tenants.get("alice.example").status == 200
    before = tenants.leader("alice.example")
    tenants.remove("mallory.example")
    tenants.until("mallory.example", None)
    eventually(lambda: not tenants.processes(job), what="the job is gone")
    assert tenants.leader("alice.example") == before
    assert tenants.get("alice.example").status == 200
    tenants.remove("alice.example")
    eventually(lambda: not groups(tenants.folder), what="the groups are gone")


def test_a_job_does_not_outlive_a_nap_or_a_crash(tenants: Tenants, job: str) -> None:
    tenants.expect("mallory.example: running .* killed by SIGKILL")
    assert tenants.call("POST", "/v1/vassals/mallory.example/sleep")[0] == 200
    eventually(lambda: not tenants.processes(job), what="the job is gone")
    assert tenants.get("mallory.example").status == 200
    eventually(lambda: tenants.processes(job), what="the job runs")
    os.kill(tenants.leader("mallory.example"), signal.SIGKILL)
    eventually(lambda: not tenants.processes(job), what="the job is gone")
    tenants.remove("mallory.example")
    tenants.until("mallory.example", None)


def test_a_job_does_not_outlive_a_failed_start(tenants: Tenants) -> None:
    tenants.expect("mallory.example: ")
    job = tenants.program("job", DEAF)
    starter = tenants.program("starter", ESCAPES["without an open file"].format(job=job))
    slow = {"hook_pre_app": f"exec:{starter} &", "env": "BOOT_SECONDS=100"}
    tenants.host(MALLORY, "mallory.example", emperor="start-timeout = 2", **slow)
    assert tenants.get("mallory.example").status == 503
    eventually(lambda: not tenants.processes(job), what="the job is gone")
    tenants.remove("mallory.example")
    tenants.until("mallory.example", None)
