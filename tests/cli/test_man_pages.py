"""The man pages say what the programs can do, and groff has nothing to complain of."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from emperor.cli.commands import Commands
from emperor.cli.main import COMMANDS, emperorctl
from emperor.daemon import command_line
from emperor.model.settings import KEYS, Key
from emperor.model.snapshot import FORMAT
from emperor.uwsgi.spec import EMPEROR_KEYS

MAN = Path(__file__).parents[2] / "docs" / "man"
PAGES = (MAN / "emperord.8", MAN / "emperorctl.1")


def _rendered(page: Path, width: int = 80) -> str:
    """The page as groff sets it, without its warnings, which must not be."""
    result = subprocess.run(
        [
            "groff", "-man", "-ww", "-Tutf8", f"-rLL={width}n",
            "-rHY=0",  # no hyphenation, so that a name is found as it is
            "-P-c", "-P-b", "-P-o", "-P-u",  # no escape sequences, no overstriking
            page,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stderr == ""
    return result.stdout


def _has_option(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("width", [80, 120])
def test_a_page_renders_without_a_warning_and_fits(page: Path, width: int) -> None:
    assert max(map(len, _rendered(page, width).splitlines())) <= width


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_synopsis_of_a_page_is_closed(page: Path) -> None:
    """Without that the next one is set beside it; only newer versions of groff complain."""
    lines = page.read_text(encoding="utf-8").splitlines()
    opened_and_closed = [line[:3] for line in lines if line.startswith((".SY", ".YS"))]
    assert opened_and_closed == [".SY", ".YS"] * (len(opened_and_closed) // 2)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_setting_stands_in_the_page_with_its_default(key: Key) -> None:
    line = rf"^ +{key.name} = ?{re.escape(key.default)}$"
    assert re.search(line, _rendered(PAGES[0]), re.MULTILINE)


def test_every_key_of_a_vassals_own_section_stands_in_the_page() -> None:
    section = _rendered(PAGES[0]).split("SETTINGS OF ONE VASSAL")[1].split("SIGNALS")[0]
    for key in EMPEROR_KEYS:
        assert _has_option(section, key), key


def test_the_format_of_the_snapshots_stands_in_the_pages() -> None:
    assert f"The format of this version is {FORMAT}." in " ".join(_rendered(PAGES[0]).split())
    operations = (MAN.parent / "operations.md").read_text(encoding="utf-8")
    assert re.findall(r"--prove (\d+)", operations) == [str(FORMAT)]


def test_every_other_option_of_emperord_stands_in_the_page() -> None:
    text = _rendered(PAGES[0])
    settings = {f"--{key.name}" for key in KEYS}
    others = {*re.findall(r"--[a-z-]+", command_line().format_help())} - settings
    assert {"--config", "--help", "--prove", "--version"} <= others
    for name in others:
        assert _has_option(text, name), name


def _commands() -> dict[str, click.Command]:
    """All commands by their names, also those of groups: "registry put"."""
    found: dict[str, click.Command] = {}
    context = click.Context(emperorctl)
    for name in COMMANDS:
        command = emperorctl.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, Commands):
            inner = {each: command.get_command(context, each) for each in command.table}
            found |= {f"{name} {each}": of for each, of in inner.items() if of}
    return found


@pytest.mark.parametrize(("name", "command"), _commands().items(), ids=_commands())
def test_every_command_stands_in_the_page_with_its_options(
    name: str, command: click.Command
) -> None:
    text = _rendered(PAGES[1])
    section = re.search(rf"^   {name}\n(.*?)(?=^ {{0,3}}\S)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for option in parameter.opts:
                assert _has_option(section[1], option), option


def test_every_option_of_emperorctl_itself_stands_in_the_page() -> None:
    section = _rendered(PAGES[1]).split("\nOPTIONS\n")[1]
    for parameter in emperorctl.params:
        for option in parameter.opts:
            assert _has_option(section, option), option
