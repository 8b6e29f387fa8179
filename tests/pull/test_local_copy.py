"""What was pulled, as the daemon has it."""

from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from emperor.pull.local_copy import LocalCopy
from tests.pull.pulled_folder import Backend, ini, order


class _Folder:
    """Reads no ini."""

    def read_now(self, file: str) -> None:
        pass

    def changed(self, files: Iterable[str]) -> None:
        pass

    def read_anew(self, files: Collection[str]) -> None:
        pass


async def test_inis_are_pulled_after_a_fault_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty() -> set[str]:
        raise ZeroDivisionError

    backend = Backend(tmp_path)
    copy = LocalCopy(backend.inis, backend.journal, _Folder())
    monkeypatch.setattr(backend.inis, "load", faulty)
    assert await copy.load() == set()
    await copy.carry_out([order(ini(1))])
    assert "serial = 1" in (backend.text() or "")
    assert "cannot look at the inis that were pulled: a fault in emperord" in caplog.text
    copy.close()
