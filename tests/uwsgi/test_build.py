"""The uWSGI that `.ci/wheels` builds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UWSGI = Path(sys.executable).with_name("uwsgi")


@pytest.fixture(scope="module")
def options() -> frozenset[str]:
    """The options of the uWSGI that is beside this Python."""
    printed = subprocess.run(
        [UWSGI, "--dump-options"], check=True, capture_output=True, text=True
    )  # fmt: skip
    return frozenset(printed.stdout.split())


@pytest.mark.parametrize(
    "option",
    [
        "route",
        "log-route",
        "static-expires",
        "https-socket",
        "xml",
        "cap",
        "load-file-in-cache-gzip",
    ],
)
def test_our_uwsgi_is_built_with_all_libraries(option: str, options: frozenset[str]) -> None:
    assert option in options


def test_our_uwsgi_is_built_alike_where_more_is_installed(options: frozenset[str]) -> None:
    assert "json" not in options


def test_a_build_without_headers_names_their_packages_first(tmp_path: Path) -> None:
    for name in (".ci/wheels", "setup.cfg", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    gcc = tmp_path / "bin/gcc"
    gcc.parent.mkdir()
    gcc.write_text("#!/bin/sh\n! grep --quiet -e zlib.h -e sys/capability.h\n")
    gcc.chmod(0o755)
    built = subprocess.run(
        [tmp_path / ".ci/wheels"],
        env=os.environ | {"PATH": f"{gcc.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "it needs what is not installed; run `apt install libcap-dev zlib1g-dev`\n"
    assert (built.returncode, built.stdout) == (1, "")
    assert built.stderr == f"cannot build uWSGI: {expected}"
