"""What a tenant started answers nobody any more once his ini is another tenant's."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.eventually import eventually
from tests.fdstore import FdStore
from tests.nginx_server import Nginx
from tests.traces import public_folder

SOLD = "sold.example"
WITHOUT_GROUPS = ("unshare", "--mount", "sh", "-c", 'umount -R /sys/fs/cgroup && exec "$@"', "sh")
ACTIVATIONS = ("fallback", "socket")


@pytest.fixture
def started() -> Iterator[Callable[..., Tenants]]:
    """Starts a daemon that lets an app take ten minutes to stop, and whose descriptors are kept
    where it is killed. `under` is a command that runs it."""
    with ExitStack() as stack:

        def start(*under: str) -> Tenants:
            folder = stack.enter_context(public_folder())
            tenants = Tenants(folder, stack.enter_context(Nginx(folder)), stop_timeout="600")
            tenants.under = [*under]
            tenants.launch = stack.enter_context(FdStore(folder / "notify")).start
            tenants.expect("cannot make control groups" if under else "killed by SIGKILL")
            return stack.enter_context(tenants)

        yield start


def keep(house: Tenants, activation: str) -> None:
    """Host mallory's app, and have the process that it leaves get what others ask."""
    house.host(
        MALLORY,
        SOLD,
        "keeper.py",
        env=f"KEEPER={UIDS[MALLORY]}",
        emperor=f"activation = {activation}",
    )
    assert house.get(SOLD).text == str(UIDS[MALLORY])
    eventually(lambda: house.get(SOLD).text == "stolen", what="a process of mallory's answers")


def is_alices(house: Tenants) -> bool:
    """Whether the vassal is hers."""
    vassal = house.vassal(SOLD)
    return vassal is not None and vassal["uid"] == UIDS[ALICE] and vassal["state"] == "parked"


def given(house: Tenants) -> None:
    """See that alice's visitors are hers alone, soon."""
    eventually(lambda: is_alices(house), what="the vassal is alice's")
    answers = {house.get(SOLD).text.split()[0] for _ in range(30)}
    assert str(UIDS[MALLORY]) not in answers
    assert "stolen" not in answers
    assert house.get(SOLD).status == 200


def of_mallory(house: Tenants) -> list[int]:
    """The pids of his processes in that house."""
    return [
        process.pid
        for process in psutil.process_iter(["uids", "cmdline"])
        if process.info["uids"].real == UIDS[MALLORY]
        and str(house.folder) in " ".join(process.info["cmdline"] or [])
    ]


def replaced(house: Tenants) -> None:
    house.drop_of(ALICE, SOLD)


def removed_before(house: Tenants) -> None:
    house.remove(SOLD)
    house.until(SOLD, "stopping")
    house.drop_of(ALICE, SOLD)


def chowned(house: Tenants) -> None:
    os.chown(house.vassals / f"{SOLD}.ini", UIDS[ALICE], -1)


def killed_before(house: Tenants) -> None:
    house.process.kill()
    house.process.wait()
    chowned(house)
    house.start()


def upgraded_before(house: Tenants) -> None:
    house.process.send_signal(signal.SIGHUP)
    chowned(house)
    eventually(lambda: house.lines("took over 1 vassals"), what="the upgrade")


WAYS: dict[str, Callable[[Tenants], None]] = {
    "replaced": replaced,
    "removed before": removed_before,
    "chown": chowned,
    "chown while emperord is dead": killed_before,
    "chown while emperord is upgraded": upgraded_before,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("way", list(WAYS))
def test_the_former_tenant_answers_nobody(
    started: Callable[..., Tenants], activation: str, way: str
) -> None:
    house = started()
    keep(house, activation)
    WAYS[way](house)
    given(house)
    eventually(lambda: not of_mallory(house), what="all that he started is dead")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nor_without_control_groups(started: Callable[..., Tenants], activation: str) -> None:
    house = started(*WITHOUT_GROUPS)
    keep(house, activation)
    replaced(house)
    given(house)
