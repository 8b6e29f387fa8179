"""Who could have written what uWSGI loads with an ini of root's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.model.definition import BrokenIni
from emperor.model.spec import Identity
from emperor.uwsgi.ini import LOADERS
from emperor.uwsgi.loaded import refuse_untrusted, who_may_change
from tests.traces import public_folder
from tests.uwsgi.written import write

ROOT, TENANT, OTHER = 0, 7, 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def who(folder: Path, text: str, user: int = ROOT) -> str | None:
    return who_may_change(write(folder, text), str(folder), user)


def test_a_file_that_others_can_write_is_found(folder: Path) -> None:
    base = folder / "base.ini"
    base.write_text("[uwsgi]\nidle = 1\n")
    assert who(folder, "include = base.ini") is None
    base.chmod(0o666)
    assert who(folder, "include = base.ini") == str(base)
    assert who(folder, "include = base.ini", TENANT) == str(base)
    base.chmod(0o644)
    os.chown(folder, OTHER, OTHER)
    assert who(folder, "include = base.ini") == str(folder)


def test_the_user_of_the_app_may_write_what_it_includes(folder: Path) -> None:
    base = folder / "base.ini"
    base.write_text("[uwsgi]\ninclude = deeper.ini\n")
    os.chown(base, TENANT, TENANT)
    assert who(folder, "include = base.ini", TENANT) is None
    assert who(folder, "include = base.ini") == str(base)
    os.chown(base, OTHER, OTHER)
    assert who(folder, "include = base.ini", TENANT) == str(base)


@pytest.mark.parametrize(
    "text",
    [
        "include = middle.ini", "set = include=base.ini", "inherit = base.ini:more",
        "inject-after = base.ini", "for-readline = base.ini", "set = x=1\nmotd = a @(base.ini)",
        "declare-option = mine=include=$1\nmine = base.ini",
    ],
)  # fmt: skip
def test_each_way_to_load_a_file_is_seen(folder: Path, text: str) -> None:
    (folder / "middle.ini").write_text("[uwsgi]\ninclude = base.ini\n")
    (folder / "base.ini").write_text("[uwsgi]\nidle = 1\n")
    os.chown(folder / "base.ini", OTHER, OTHER)
    assert who(folder, text) == f"{folder}/base.ini"


@pytest.mark.parametrize("name", ["%(name).ini", "$(NAME).ini", "missing.ini"])
def test_root_reads_no_file_that_may_come_yet(folder: Path, name: str) -> None:
    assert who(folder, f"include = {name}") == f"{folder}/{name}"
    assert who(folder, f"include = {name}", TENANT) is None


def test_a_long_chain_is_not_trusted_to_its_end(folder: Path) -> None:
    for index in range(70):
        (folder / f"{index}.ini").write_text(f"[uwsgi]\ninclude = {index + 1}.ini\n")
    (folder / "70.ini").write_text("[uwsgi]\n")
    assert who(folder, "include = 0.ini") == f"{folder}/63.ini"


def test_the_refusal_names_the_file_and_the_cure(folder: Path) -> None:
    base = folder / "base.ini"
    base.write_text("[uwsgi]\n")
    os.chown(base, OTHER, OTHER)
    with pytest.raises(BrokenIni) as broken:
        reader = Identity(TENANT, TENANT, "lp")
        refuse_untrusted(write(folder, "include = base.ini"), str(folder), reader, LOADERS)
    assert str(broken.value) == (
        f"line 2: others than root and lp, as which uWSGI reads it, can change {base};"
        " have root or lp own it, and nobody else write there"
    )
