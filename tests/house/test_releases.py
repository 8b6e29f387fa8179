"""The commands of `make test-on`, which runs the tests on other releases."""

from pathlib import Path

import pytest

from tests.releases import SUITES, bootstrap, enter, main

DEBIAN = "http://deb.debian.org/debian"


def test_a_root_folder_has_what_a_fresh_machine_has() -> None:
    commands = {suite.name: bootstrap(suite, Path("/r"), ["--option"]) for suite in SUITES}
    assert list(commands) == ["bookworm", "trixie", "noble"]
    assert commands["trixie"][-5:-1] == ["--option", "trixie", "/r", DEBIAN]
    assert "--components=main" in commands["trixie"]
    assert "--components=main,universe" in commands["noble"], "nginx's Lua module is in universe"
    for command in commands.values():
        [packages] = [word for word in command if word.startswith("--include=")]
        assert {"make", "git", "systemd-sysv"} <= set(
            packages.removeprefix("--include=").split(",")
        )


def test_the_tests_get_proxies_and_no_other_secrets() -> None:
    environment = {"PYTEST_ADDOPTS": "-x", "https_proxy": "http://proxy", "TOKEN": "secret"}
    command = enter(Path("/r"), "box", environment)
    assert {"--setenv=PYTEST_ADDOPTS=-x", "--setenv=https_proxy=http://proxy"} <= set(command)
    assert "secret" not in " ".join(command)
    assert command[-1].endswith("exec make test")


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("jessie", "v2"), "'jessie': SUITE is one of bookworm, trixie, noble"),
        (("trixie", "v3"), "'v3': CGROUP is one of v1, v2"),
    ],
)
def test_another_suite_or_version_is_refused(arguments: tuple[str, str], refusal: str) -> None:
    with pytest.raises(SystemExit, match=refusal):
        main([*arguments, "/nowhere"])
