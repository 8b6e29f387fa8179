"""The Python of a dropped app is byte-compiled in the background, as the owner of the code."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from pwd import getpwnam

from tests.backend import Backend
from tests.eventually import eventually

_TENANT = getpwnam("games")
_TAG = sys.implementation.cache_tag


def _code(folder: Path, owner: int) -> Path:
    """A folder with a module and a package of that user's, in a folder of root's."""
    (folder / "package").mkdir(parents=True)
    for file in (folder / "app.py", folder / "package" / "inner.py"):
        file.write_text("def application(_environ, _start):\n    return []\n")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, owner)
    return folder


def _compiled(folder: Path) -> dict[str, int]:
    """The owners of the byte code below the folder, by its names."""
    return {path.name: path.stat().st_uid for path in folder.rglob("*.pyc")}


def _all_as(uid: int) -> dict[str, int]:
    return {f"app.{_TAG}.pyc": uid, f"inner.{_TAG}.pyc": uid}


def test_an_app_is_compiled_as_the_owner_of_its_code(
    start: Callable[..., Backend], folder: Path
) -> None:
    backend = start(byte_compile="true")
    theirs, roots = _TENANT.pw_uid, 0
    # The owner of the code and that of the ini, and who compiles it. The app runs as the tenant.
    # The first ones are done with when the last ones are.
    cases = {
        "foreign.localhost": (roots, theirs, {}),
        "off.localhost": (theirs, theirs, {}),
        "own.localhost": (theirs, theirs, _all_as(theirs)),
        "named.localhost": (theirs, roots, _all_as(theirs)),
        "shared.localhost": (roots, roots, _all_as(roots)),
    }
    for domain, (of_code, of_ini, _) in cases.items():
        code = _code(folder / domain, of_code)
        os.mkfifo(code / "pipe.py")
        lines = f"[uwsgi]\nchdir = {code}\nmodule = app\n[emperor]\n"
        lines += "uid = games\n" if of_ini == roots else ""
        lines += "byte-compile = false\n" if domain.startswith("off") else ""
        draft = folder / f"{domain}.draft"
        draft.write_text(lines)
        os.chown(draft, of_ini, of_ini)
        draft.rename(backend.vassals / f"{domain}.ini")
    done = [domain for domain, (_, _, expected) in cases.items() if expected]
    line = "byte-compiled 2 files in"
    eventually(lambda: len(backend.lines(line)) == len(done), alive=[backend.process])
    for domain, (_, _, expected) in cases.items():
        assert _compiled(folder / domain) == expected, domain
        assert bool(backend.lines(f"{domain}: {line}")) == bool(expected)
        shutil.rmtree(folder / domain)
