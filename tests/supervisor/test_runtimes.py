"""Two runtimes: each launches and restores its own vassals."""

from dataclasses import replace

import pytest

from tests.supervisor.fake_launcher import OtherOptions
from tests.supervisor.world import SPEC, World

OPTIONS = OtherOptions(interpreter="python3.14")
OTHER = replace(SPEC, runtime=OPTIONS)


def test_a_vassal_is_launched_by_its_runtime() -> None:
    world = World(OTHER)
    world.hit()
    assert [process.spec for process in world.other_launcher.started] == [OTHER]
    assert world.launcher.started == []
    world.other_launcher.last.accepts()
    assert world.state == "running"


def test_a_vassal_is_restored_with_the_options_of_its_runtime() -> None:
    world = World(OTHER)
    world.hit()
    world.other_launcher.last.accepts()
    world.crash()
    assert world.vassal.spec.runtime == OPTIONS
    assert world.vassal.lead
    assert world.vassal.lead.process is world.other_launcher.last
    assert world.state == "running"


def test_a_process_is_restored_by_the_runtime_of_its_launch() -> None:
    world = World()
    world.run()
    world.governor.revise(OTHER)
    world.crash()
    assert world.state == "reloading"
    assert [child.process for child in world.vassal.children] == [
        world.launcher.last, world.other_launcher.last,
    ]  # fmt: skip
    world.other_launcher.last.accepts()
    world.launcher.last.exits()
    assert world.state == "running"


@pytest.mark.parametrize("is_revised", [False, True])
def test_a_vassal_of_an_unknown_runtime_starts_anew(
    is_revised: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(OTHER)
    world.hit()
    if is_revised:  # only the process is of the unknown runtime
        world.governor.revise(SPEC)
    del world.runtimes["other"]
    entry = world.store.entries["a.example"]
    world.store.entries["a.example"] = replace(entry, fds=())  # real descriptors would be closed
    world.crash()
    assert world.governor.vassals.get("a.example") is None
    assert "there is no runtime 'other'" in caplog.text
