"""An ini that root has linked to is a tenant's to replace: no file there gives the tenant more."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.attacks.tenants import MALLORY, UIDS, Tenants
from tests.eventually import eventually


def _sized(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _hard(path: Path) -> None:
    """A file of root's that nobody else reads."""
    secret = path.with_name("secret")
    secret.write_text("[uwsgi]\nfile = /root/secret.py\n")
    secret.chmod(0o600)
    os.link(secret, path)


# What mallory puts in the place of the ini, and why it is refused.
FILES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "it is not a file"),
    "folder": (os.mkdir, "it is not a file"),
    "socket": (_listening, "it is not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is not a file"),
    "huge": (_sized, "it has 1099511627776 bytes"),
    "circle": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "shadow": (lambda path: path.symlink_to("/etc/shadow"), "others may change"),
    "hard-link": (_hard, "others may change"),
}


@pytest.fixture(scope="module")
def refusals(tenants: Tenants) -> Iterator[Mapping[str, str]]:
    tenants.expect(r"cannot (read|serve) \S+\.ini: ")
    home = tenants.folder / "home"
    home.mkdir()
    os.chown(home, UIDS[MALLORY], -1)
    for name, (put, _) in FILES.items():
        put(home / name)
        owner = 0 if name == "hard-link" else UIDS[MALLORY]
        os.chown(home / name, owner, -1, follow_symlinks=False)
        (tenants.vassals / f"{name}.example.ini").symlink_to(home / name)
    eventually(lambda: len(tenants.refusals()) == len(FILES), what="all are refused")
    yield tenants.refusals()
    for name in FILES:
        tenants.remove(f"{name}.example")


@pytest.mark.parametrize("name", FILES)
def test_what_takes_the_place_of_an_ini_is_refused(refusals: Mapping[str, str], name: str) -> None:
    assert FILES[name][1] in refusals[f"{name}.example"]
