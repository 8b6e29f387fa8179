"""Whatever happens to a domain, and wherever the daemon is killed, the disk is as the registry."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.linux import placed_file, pulled_journal
from emperor.model.pulled import Occasion
from emperor.model.registration import Entry, RegisteredIni, RegisteredRemoval
from emperor.pull import pulled_inis
from tests.pull.pulled_folder import A, Backend, ini


class Killed(BaseException):
    """The daemon is killed at this point."""


# What happens to a domain. A put and a removal have the next serial; an old entry has a lower one.
EVENTS = st.lists(
    st.sampled_from(["put", "remove", "old", "restart", "reboot", "forget", "hit"]), max_size=12
)


_STEPS = (
    (placed_file.Draft, "__init__"), (placed_file.Draft, "place"), (pulled_inis, "remove"),
    (pulled_inis, "set_aside"), (pulled_journal.Journal, "append"),
    (pulled_journal.Journal, "advance"),
)  # fmt: skip


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Each step counts twice: the daemon is killed before or after it."""
    left = step

    def count() -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1

    def counted(work: Callable[..., object]) -> Callable[..., object]:
        def do(*arguments: object) -> object:
            count()
            result = work(*arguments)
            count()
            return result

        return do

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _STEPS:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        yield


@contextmanager
def story() -> Iterator["Story"]:
    with TemporaryDirectory() as place, closing(Backend(Path(place))) as backend:
        yield Story(backend)


class Story:
    """A registry with one domain, and a backend that follows it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.now: Entry | None = None
        self.serial = 0

    def happen(self, event: str) -> None:
        match event:
            case "put":
                self.serial += 1
                self.now = ini(self.serial)
                self._told(self.now)
            case "remove":
                self.serial += 1
                self.now = RegisteredRemoval(A, self.serial)
                self._told(self.now)
            case "old":
                kept = self.backend.journal.domains.get(A)
                if kept and kept.serial > 1:
                    self.backend.follow(ini(kept.serial - 1, "old = 1\n"))
            case "restart":
                self.backend.start()
            case "reboot":
                self.backend.boot += "+"
                self.backend.start()
            case "forget":
                self.backend.inis.forget([A])
            case "hit" if self.now:
                self.backend.follow(self.now)

    def _told(self, entry: Entry) -> None:
        """A watch tells of a domain that is held, and then how far it has come."""
        kept = self.backend.journal.domains.get(A)
        if kept and kept.is_used:
            self.backend.follow(entry, Occasion.CHANGE)
        self.backend.inis.advance(entry.serial * 10)

    def recover(self) -> None:
        """Another daemon, to which the watch tells what the last one has missed."""
        self.backend.start()
        if self.now and self.now.serial * 10 > self.backend.journal.revision:
            self._told(self.now)

    def check(self) -> None:
        text = self.backend.text()
        assert text is None or text == f"serial = {self.serial}\n", "half, old or removed"
        assert text is None or isinstance(self.now, RegisteredIni)
        kept = self.backend.journal.domains.get(A)
        assert (text is not None) == bool(kept and kept.is_held)
        assert not [path for path in self.backend.folder.iterdir() if path.name != f"{A}.ini"]
        if self.now:
            self.backend.follow(self.now)
            expected = f"serial = {self.serial}\n" if isinstance(self.now, RegisteredIni) else None
            assert self.backend.text() == expected


@given(events=EVENTS)
def test_whatever_happens_the_disk_is_as_the_registry_says(events: list[str]) -> None:
    with story() as told:
        for event in events:
            told.happen(event)
        told.check()


@given(events=EVENTS, step=st.integers(0, 60))
def test_a_daemon_may_be_killed_between_any_two_steps(events: list[str], step: int) -> None:
    with story() as told:
        with killed_at(step):
            try:
                for event in events:
                    told.happen(event)
            except Killed:
                pass
        told.recover()
        told.check()


@given(events=EVENTS, at=st.integers(0, 12), step=st.integers(0, 60))
def test_an_administrators_file_outlasts_all(events: list[str], at: int, step: int) -> None:
    mine = "mine = 1\n"
    with story() as told:
        for event in events[:at]:
            told.happen(event)
        told.backend.place(mine)
        with killed_at(step):
            try:
                for event in events[at:]:
                    told.happen(event)
            except Killed:
                pass
        told.recover()
        assert told.backend.text() == mine
