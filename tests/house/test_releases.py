"""The commands of `make test-on`, which runs the tests on other releases."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.releases import enter, main
from tests.roots import PLACE, SUITES, Keys, NoRoot, bootstrap, is_made, made_root, put_checkout

DEBIAN = "http://deb.debian.org/debian"
TRIXIE = next(suite for suite in SUITES if suite.name == "trixie")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of debootstrap that were run, by a program that makes a folder alone."""
    made: list[list[str]] = []

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[bytes]":
        made.append(command)
        Path(command[-3]).mkdir()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return made


def test_a_root_folder_has_what_a_fresh_machine_has() -> None:
    commands = {suite.name: bootstrap(suite, Path("/r"), ["--option"]) for suite in SUITES}
    assert list(commands) == ["bookworm", "trixie", "forky", "noble"]
    assert commands["trixie"][-5:-1] == ["--option", "trixie", "/r", DEBIAN]
    assert "--components=main" in commands["trixie"]
    assert "--components=main,universe" in commands["noble"], "nginx's Lua module is in universe"
    for command in commands.values():
        [packages] = [word for word in command if word.startswith("--include=")]
        assert {"make", "git", "systemd-sysv"} <= set(
            packages.removeprefix("--include=").split(",")
        )


def test_a_root_folder_is_made_once_for_each_command(
    runs: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made_root(TRIXIE, tmp_path, [])
    assert (root, is_made(root)) == (tmp_path / "trixie", True)
    assert f"Making a root of trixie in {root} by debootstrap" in capsys.readouterr().err
    made_root(TRIXIE, tmp_path, [])
    assert len(runs) == 1
    made_root(TRIXIE, tmp_path, ["--arch=i386"])
    assert "--arch=i386" in runs[1]
    note = (tmp_path / "trixie.made").read_text()
    assert note.startswith("debootstrap --variant=minbase ")
    assert "--arch=i386" in note


def test_a_root_folder_that_was_half_made_is_made_again(
    runs: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "trixie").mkdir()
    (tmp_path / "trixie.new").mkdir()
    assert not is_made(tmp_path / "trixie")
    assert is_made(made_root(TRIXIE, tmp_path, []))
    assert len(runs) == 1


def test_a_failure_of_debootstrap_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "debootstrap"
    program.write_text("#!/bin/sh\necho I: Retrieving\necho E: Failed getting release file\nexit 1")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NoRoot) as refused:
        made_root(TRIXIE, tmp_path / "roots", [])
    assert str(refused.value) == (
        "cannot make a root of trixie: debootstrap exited 1: E: Failed getting release file; is"
        f" {DEBIAN} in reach, and is there space? {tmp_path}/roots/trixie.log has the whole"
    )
    assert not is_made(tmp_path / "roots/trixie")


def test_keys_that_were_changed_on_the_way_are_not_trusted(
    runs: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "keys.deb").write_bytes(b"others")
    url = (tmp_path / "keys.deb").as_uri()
    keys = Keys(url, "0" * 64, Path("/usr/share/keyrings/of-nobody.gpg"))
    with pytest.raises(NoRoot, match=r"cannot trust the keys of trixie's archive: .* was changed"):
        made_root(replace(TRIXIE, keys=keys), tmp_path / "roots", [])
    with pytest.raises(NoRoot, match=r"cannot fetch the keys .* No such file .*; fetch .* by hand"):
        lost = replace(keys, url=f"{url}.lost")
        made_root(replace(TRIXIE, keys=lost), tmp_path / "roots", [])
    assert runs == []


def test_the_tests_get_proxies_and_no_other_secrets() -> None:
    environment = {"PYTEST_ADDOPTS": "-x", "https_proxy": "http://proxy", "TOKEN": "secret"}
    command = enter(Path("/r"), "box", environment, "make test")
    assert {"--setenv=PYTEST_ADDOPTS=-x", "--setenv=https_proxy=http://proxy"} <= set(command)
    assert "secret" not in " ".join(command)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("jessie", "v2"), "'jessie': SUITE is one of bookworm, trixie, forky, noble"),
        (("trixie", "v3"), "'v3': CGROUP is one of v1, v2"),
    ],
)
def test_another_suite_or_version_is_refused(arguments: tuple[str, str], refusal: str) -> None:
    with pytest.raises(SystemExit, match=refusal):
        main([*arguments, "/nowhere"])


def test_what_is_not_installed_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit) as refused:
        main(["trixie", "v2", "/nowhere"])
    assert str(refused.value) == (
        "cannot test on trixie: there is no debootstrap and no systemd-nspawn;"
        " run `apt install debootstrap systemd-container`"
    )


def test_the_checkout_of_a_root_is_one_for_git(tmp_path: Path) -> None:
    put_checkout(tmp_path)
    listing = ["git", "ls-files", "--others", "--exclude-standard"]
    place = tmp_path / PLACE.lstrip("/")
    found = subprocess.run(listing, cwd=place, stdout=subprocess.PIPE, text=True, check=True)
    assert "setup.cfg" in found.stdout.splitlines()


def test_the_apt_of_a_root_takes_lists_that_have_expired(tmp_path: Path) -> None:
    put_checkout(tmp_path)
    folder = tmp_path / "etc/apt/apt.conf.d"
    shown = subprocess.run(
        ["apt-config", "-o", f"Dir::Etc::parts={folder}", "dump", "Acquire::Check-Valid-Until"],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == 'Acquire::Check-Valid-Until "false";\n'
