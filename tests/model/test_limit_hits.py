"""What people are told of a limit that was reached."""

import pytest

from emperor.model.limit_hits import Hit, Reached, deadliest


@pytest.mark.parametrize(
    ("hit", "said"),
    [
        (Hit(Reached.MEMORY, 100 << 20), "cannot get more memory: memory-max = 100M is reached, "),
        (Hit(Reached.MEMORY), "cannot get more memory: memory-max is reached, and the kernel "),
        (Hit(Reached.TENANT_MEMORY, 2 << 30), "memory: tenant-memory-max = 2G is reached, and"),
        (Hit(Reached.MACHINE_MEMORY), "cannot get more memory: the machine has no more, and the "),
        (Hit(Reached.PIDS, 40), "cannot start a process: pids-max = 40 is reached, and a fork"),
        (Hit(Reached.MACHINE_PIDS), "cannot start a process: a control group around all apps is "),
        (Hit(Reached.TENANT_PIDS, 400), "process: tenant-pids-max = 400 is reached, and a fork"),
    ],
)  # fmt: skip
def test_a_sentence_names_the_limit_its_value_and_the_cure(hit: Hit, said: str) -> None:
    assert said in str(hit)
    assert "; " in str(hit)


def test_a_process_that_is_gone_died_by_a_limit_that_kills() -> None:
    memory, pids, of_tenant = Hit(Reached.MEMORY), Hit(Reached.PIDS), Hit(Reached.TENANT_MEMORY)
    assert deadliest([pids, memory]) == deadliest([memory, pids]) == memory
    assert deadliest([memory, of_tenant, pids]) == of_tenant
    assert deadliest([pids]) == pids
