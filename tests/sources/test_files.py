"""An ini is opened once, and never waited for, whatever somebody puts there meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from emperor.model.definition import BrokenIni
from emperor.sources.files import read_ini
from tests.traces import public_folder

TENANT = 65534


def swap_before_the_open(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> None:
    """Have `swap` done once, between the look at the name and the open."""
    look = os.stat

    def stat(path: str | int, **more: bool) -> os.stat_result:
        info = look(path, **more)
        monkeypatch.undo()
        swap()
        return info

    monkeypatch.setattr("emperor.sources.files.os.stat", stat)


def test_a_pipe_that_takes_the_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini = tmp_path / "a.example.ini"
    ini.write_text("[uwsgi]\n")

    def swap() -> None:
        ini.unlink()
        os.mkfifo(ini)

    swap_before_the_open(monkeypatch, swap)
    with pytest.raises(BrokenIni, match="it is not a file"):
        read_ini(str(ini))


def test_a_link_that_takes_the_place_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    with public_folder() as folder:
        ini, home = folder / "a.example.ini", folder / "home"
        ini.write_text("[uwsgi]\n")
        home.mkdir()
        (home / "a.ini").write_text("[uwsgi]\n")
        os.chown(home, TENANT, TENANT)

        def swap() -> None:
            ini.unlink()
            ini.symlink_to(home / "a.ini")

        swap_before_the_open(monkeypatch, swap)
        with pytest.raises(BrokenIni, match=f"others may change {home}, which leads to it"):
            read_ini(str(ini))
