"""When the record of a vassal is kept for the next daemon, and what comes of it if that fails."""

import pytest

from emperor.model.snapshot import decoder
from emperor.model.spec import Stamp
from tests.supervisor.world import World


def test_a_full_store_is_logged_once_and_all_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.store.problem = "cannot keep the state of a.example: the queue is full"
    world.run()
    assert world.state == "running"
    assert [message for message in caplog.messages if "queue is full" in message] == [
        "cannot keep the state of a.example: the queue is full; a crash of emperord would cost its "
        "running processes"
    ]
    assert world.governor.checkpoint.missing == {"a.example"}
    world.store.problem = None
    world.governor.checkpoint.retry(world.governor.vassals)
    assert not world.governor.checkpoint.missing
    world.crash()
    assert world.state == "running"


def test_vassals_that_come_together_are_kept_in_one_message() -> None:
    world = World()
    sizes: list[int] = []
    write = world.store.write
    world.store.write = lambda entries: sizes.append(len(entries)) or write(entries)  # type: ignore
    with world.governor.checkpoint.batch():
        for number in range(5):
            world.add(f"app{number}.example")
        assert sizes == []
    assert sizes == [5]
    world.crash()
    assert len(world.governor.vassals) == 6


def test_an_entry_that_says_nothing_new_is_not_written() -> None:
    world = World()
    world.run()
    writes = world.store.writes
    world.governor.checkpoint.save(world.vassal)
    assert world.store.writes == writes
    world.governor.revise(world.vassal.spec, Stamp(1, 2, 3, 0, 0))
    assert world.store.writes == writes + 2, "before the spawn of the successor, and after it"


def test_an_entry_that_was_not_kept_is_written_again() -> None:
    world = World()
    world.run()
    world.store.problem = "the queue is full"
    world.governor.checkpoint.save(world.vassal)
    world.vassal.starts += 1
    world.governor.checkpoint.save(world.vassal)
    world.store.problem = None
    world.governor.checkpoint.save(world.vassal)
    assert not world.governor.checkpoint.missing
    [kept] = world.store.left
    assert decoder(world.runtimes)(kept.payload).starts == world.vassal.starts


def test_a_record_that_cannot_be_encoded_costs_its_vassal_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.vassal.last_error = "\udcff"
    with world.governor.checkpoint.batch():
        world.governor.checkpoint.save(world.vassal)
        world.add("b.example")
    assert world.governor.checkpoint.missing == {"a.example"}
    assert "b.example" in world.store.entries
    assert "cannot keep the state of a.example" in caplog.text
    world.hit()
    assert world.state == "starting"
