"""The uWSGI that `.ci/wheels` builds."""

import subprocess
import sys
from pathlib import Path

import pytest

UWSGI = Path(sys.executable).with_name("uwsgi")


@pytest.fixture(scope="module")
def options() -> frozenset[str]:
    """The options of the uWSGI that is beside this Python."""
    printed = subprocess.run(
        [UWSGI, "--dump-options"], check=True, capture_output=True, text=True
    )  # fmt: skip
    return frozenset(printed.stdout.split())


@pytest.mark.parametrize("option", ["route", "log-route", "static-expires"])
def test_our_uwsgi_is_built_with_pcre(option: str, options: frozenset[str]) -> None:
    assert option in options


def test_our_uwsgi_is_built_with_openssl(options: frozenset[str]) -> None:
    assert "https-socket" in options
