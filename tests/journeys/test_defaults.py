"""`vassal-defaults`: a file that uWSGI reads before each ini."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.backend import Backend
from tests.eventually import eventually

NOBODY = 65534


@pytest.fixture
def defaults(folder: Path) -> Path:
    """The file, with two variables."""
    path = folder / "defaults.ini"
    path.write_text("[uwsgi]\nenv = COLOUR=red\nenv = SIZE=small\n")
    return path


@pytest.fixture
def backend(start: Callable[..., Backend], defaults: Path) -> Backend:
    """A backend with this file."""
    return start(vassal_defaults=str(defaults))


def environment(backend: Backend, host: str) -> Any:
    """The environment of an app."""
    reply = backend.get(host)
    assert reply.status == 200, reply.text
    return json.loads(reply.text)["environment"]


def colour(backend: Backend, host: str = "a.example") -> str:
    """The variable of an app that the file sets."""
    value: str = environment(backend, host)["COLOUR"]
    return value


def replaced(path: Path, text: str) -> None:
    """`mv` a new version over the file."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)


def test_each_ini_is_read_after_the_defaults_and_wins(backend: Backend) -> None:
    backend.add("a.example", "importer.py")
    backend.add("b.example", "importer.py", env="COLOUR=blue")
    assert (colour(backend), colour(backend, "b.example")) == ("red", "blue")
    assert environment(backend, "b.example")["SIZE"] == "small"


def test_an_ini_of_a_tenant_that_needs_uwsgi_gets_them_too(backend: Backend) -> None:
    ini = backend.ini("a.example", "importer.py") + "if-env = PATH\nenv = SEEN=1\nendif =\n"
    backend.drop("a.example", ini)
    os.chown(backend.vassals / "a.example.ini", NOBODY, NOBODY)
    backend.until("a.example", "parked")
    assert colour(backend) == "red"


def test_emperord_acts_on_options_of_the_defaults(
    start: Callable[..., Backend], defaults: Path
) -> None:
    defaults.write_text("[uwsgi]\nidle = 1\n")
    backend = start(vassal_defaults=str(defaults))
    backend.drop("a.example", backend.ini("a.example").replace("idle = 93600", "; no idle"))
    backend.until("a.example", "parked")
    assert backend.get("a.example").status == 200
    backend.until("a.example", "parked")


def test_changed_defaults_reload_what_runs_not_what_sleeps(
    backend: Backend, defaults: Path
) -> None:
    backend.add("a.example", "importer.py")
    backend.add("b.example", "importer.py")
    assert colour(backend) == "red"
    first = backend.leader("a.example")
    replaced(defaults, "[uwsgi]\nenv = COLOUR=green\n")
    eventually(lambda: colour(backend) == "green")
    assert backend.leader("a.example") != first
    assert backend.state("b.example") == "parked"
    assert colour(backend, "b.example") == "green"


def test_touched_defaults_reload_nothing(backend: Backend, defaults: Path) -> None:
    backend.add("a.example", "importer.py")
    assert colour(backend) == "red"
    first = backend.leader("a.example")
    replaced(defaults, defaults.read_text())
    backend.call("POST", "/v1/rescan")
    assert (backend.leader("a.example"), colour(backend)) == (first, "red")


def test_broken_defaults_are_told_of_and_take_nothing_down(
    backend: Backend, defaults: Path
) -> None:
    backend.expect("cannot use vassal-defaults = ")
    backend.add("a.example", "importer.py")
    assert colour(backend) == "red"
    replaced(defaults, "[uwsgi]\nsocket = /run/all.sock\n")
    eventually(lambda: backend.lines("socket = /run/all.sock would be the socket of every vassal"))
    assert colour(backend) == "red"
    defaults.unlink()
    eventually(lambda: backend.lines("it is gone, and apps start without it"))
    eventually(lambda: "COLOUR" not in environment(backend, "a.example"))
    replaced(defaults, "[uwsgi]\nenv = COLOUR=green\n")
    eventually(lambda: environment(backend, "a.example").get("COLOUR") == "green")


def test_defaults_that_change_meanwhile_are_noticed_at_start(
    backend: Backend, defaults: Path
) -> None:
    backend.add("a.example", "importer.py")
    assert colour(backend) == "red"
    backend.stop()
    replaced(defaults, "[uwsgi]\nenv = COLOUR=green\n")
    backend.start()
    assert colour(backend) == "green"


def test_an_upgrade_with_broken_defaults_changes_nothing(backend: Backend, defaults: Path) -> None:
    backend.expect("cannot use vassal-defaults = ")
    backend.add("a.example", "importer.py")
    assert colour(backend) == "red"
    replaced(defaults, "[uwsgi]\nsocket = /run/all.sock\n")
    backend.process.send_signal(signal.SIGHUP)
    backend.expect("cannot upgrade: ")
    eventually(lambda: backend.lines("cannot upgrade: .*would be the socket of every vassal"))
    assert colour(backend) == "red"
    replaced(defaults, "[uwsgi]\nenv = COLOUR=green\n")
    backend.process.send_signal(signal.SIGHUP)
    eventually(lambda: backend.lines("took over 1 vassals"))
    eventually(lambda: colour(backend) == "green")
