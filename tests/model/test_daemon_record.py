"""What a daemon leaves the next one: whether that one must read all inis again."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from emperor.model.daemon_record import _NOT_IN_SPECS, TAKEN, Outdated, outdated, record_of
from emperor.model.settings import Settings
from tests.supervisor.world import settings

NAMES = [field.name for field in fields(Settings)]
READERS = Path(__file__).parents[2] / "emperor" / "uwsgi"


@pytest.mark.parametrize("name", NAMES)
def test_inis_are_read_again_where_a_spec_may_differ(name: str) -> None:
    before = settings()
    another: dict[str, Any] = {name: "another value"}
    other = replace(before, **another)
    changed = outdated(record_of("1.0", before), "1.0", other)
    assert (changed is Outdated.NOTHING) == (name in _NOT_IN_SPECS)
    assert (changed is Outdated.TAKEN) == (name in TAKEN)


def test_another_version_reads_all_inis_again() -> None:
    record = record_of("1.0", settings())
    assert outdated(record, "1.0", settings()) is Outdated.NOTHING
    assert outdated(record, "2.0", settings()) is Outdated.ALL
    assert outdated(None, "1.0", settings()) is Outdated.ALL


def test_no_runtime_uses_a_setting_that_no_spec_depends_on() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in READERS.glob("*.py"))
    used = set(re.findall(r"settings\.(\w+)\b(?!\()", text))
    assert used <= set(NAMES) - _NOT_IN_SPECS
