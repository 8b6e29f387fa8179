"""The root folders of other releases, in which `make test-on` and tests/systemd run.

debootstrap makes each once. A note beside it, ROOTS/SUITE.made, says by which command and when. A
root without the note of its command is made anew.
"""

import hashlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
ROOTS = ROOT / "build" / "roots"
# Where a root has this checkout.
PLACE = "/srv/emperord"
# What a machine of a continuous integration has: git and make, and what minbase leaves out.
_PACKAGES = ("ca-certificates", "dbus", "git", "kmod", "make", "systemd-sysv")
_CERTIFICATES = "usr/local/share/ca-certificates"
# A mirror that is some weeks behind has lists of Debian's testing that have expired. Their
# signature counts all the same.
_APT = "etc/apt/apt.conf.d/90-of-any-age"
_OF_ANY_AGE = 'Acquire::Check-Valid-Until "false";\n'
_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_SECONDS_FOR_KEYS = 60


class NoRoot(Exception):
    """The root folder of a release cannot be made: cause and cure."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an archive that Debian has no package of: the archive's own package at `url`,
    with this SHA-256, and the file in it. A machine of that archive has the same file."""

    url: str
    sha256: str
    file: Path


@dataclass(frozen=True, slots=True)
class Suite:
    """A release: its name in the archive at `mirror`, with these components. `script` is the one of
    debootstrap, which may not know the release by name. Without `keys` it finds them itself."""

    name: str
    mirror: str
    components: str
    script: str
    keys: Keys | None = None


_DEBIAN = "http://deb.debian.org/debian"
_UBUNTU = "http://archive.ubuntu.com/ubuntu"
_KEYS_OF_UBUNTU = Keys(
    f"{_UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb",
    "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8",
    Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
)
SUITES = (
    Suite("bookworm", _DEBIAN, "main", "sid"),
    Suite("trixie", _DEBIAN, "main", "sid"),
    Suite("forky", _DEBIAN, "main", "sid"),
    Suite("noble", _UBUNTU, "main,universe", "gutsy", _KEYS_OF_UBUNTU),
)


def say(text: str) -> None:
    """Print a line of progress at once, before what other programs print."""
    print(text, file=sys.stderr, flush=True)


def bootstrap(suite: Suite, root: Path, options: Sequence[str]) -> list[str]:
    """The command that makes the root folder of a release."""
    return [
        "debootstrap", "--variant=minbase", f"--components={suite.components}",
        f"--include={','.join(_PACKAGES)}", *options,
        suite.name, str(root), suite.mirror, str(_SCRIPTS / suite.script),
    ]  # fmt: skip


def made_root(suite: Suite, roots: Path, options: Sequence[str]) -> Path:
    """The root folder of a release. It is made if it is not there, or was made by another command.

    Raises NoRoot, OSError.
    """
    root, note = roots / suite.name, roots / f"{suite.name}.made"
    # Without the path, so that a root may be moved.
    command = shlex.join(bootstrap(suite, Path(suite.name), options))
    if is_made(root) and note.read_text(encoding="utf-8").splitlines()[0] == command:
        return root
    roots.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    draft = root.with_suffix(".new")
    for old in (draft, root):
        shutil.rmtree(old, ignore_errors=True)
    say(f"Making a root of {suite.name} in {root} by debootstrap (some minutes, 400 MB)")
    _make(suite, draft, [*_keyring(suite, roots), *options])
    draft.rename(root)
    note.write_text(f"{command}\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n", encoding="utf-8")
    return root


def is_made(root: Path) -> bool:
    """Whether the root folder is there, whole."""
    return root.is_dir() and root.with_suffix(".made").is_file()


def _make(suite: Suite, draft: Path, options: Sequence[str]) -> None:
    """Run debootstrap. Raises NoRoot."""
    log = draft.with_suffix(".log")
    with log.open("wb") as output:
        command = bootstrap(suite, draft, options)
        made = subprocess.run(command, stdout=output, stderr=output, check=False)
    if made.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        complaints = [line for line in lines if line.startswith(("E: ", "W: "))] or lines
        raise NoRoot(
            f"cannot make a root of {suite.name}: debootstrap exited {made.returncode}:"
            f" {' '.join(complaints[-2:])}; is {suite.mirror} in reach, and is there space?"
            f" {log} has the whole"
        )


def _keyring(suite: Suite, roots: Path) -> list[str]:
    """The option that names the keys, where this machine's debootstrap would not find them."""
    keys = suite.keys
    if keys is None or keys.file.exists():
        return []
    folder = roots / "keys"
    file = folder / keys.file.relative_to("/")
    if not file.exists():
        _fetch(keys, folder, suite.name)
    return [f"--keyring={file}"]


def _fetch(keys: Keys, folder: Path, suite: str) -> None:
    say(f"Fetching the keys of {suite}'s archive")
    cure = f"fetch {keys.url} by hand, and install it"
    try:
        with urlopen(keys.url, timeout=_SECONDS_FOR_KEYS) as reply:
            package: bytes = reply.read()
    except (URLError, OSError) as error:
        raise NoRoot(f"cannot fetch the keys of {suite}'s archive: {error}; {cure}") from error
    if hashlib.sha256(package).hexdigest() != keys.sha256:
        raise NoRoot(f"cannot trust the keys of {suite}'s archive: {keys.url} was changed; {cure}")
    folder.mkdir(exist_ok=True)
    subprocess.run(["dpkg-deb", "--extract", "/dev/stdin", folder], input=package, check=True)


def put_checkout(root: Path) -> None:
    """Put this checkout and this machine's own certificates into a root, and have its apt take old
    lists. What the checkout there has built stays: its wheels and its virtual environment.

    Raises OSError, subprocess.CalledProcessError.
    """
    place = root / PLACE.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    for path in place.iterdir():
        if path.name not in (".venv", "build"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    export(place)
    # Tests ask git for the files of the checkout.
    subprocess.run(["git", "init", "--quiet", place], check=True)
    shutil.copytree(f"/{_CERTIFICATES}", root / _CERTIFICATES, dirs_exist_ok=True)
    (root / _APT).parent.mkdir(parents=True, exist_ok=True)
    (root / _APT).write_text(_OF_ANY_AGE, encoding="utf-8")


def export(place: Path) -> None:
    """Copy this checkout, without what git ignores.

    Raises OSError, subprocess.CalledProcessError.
    """
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    for name in files.stdout.split("\0"):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


def made_roots() -> list[Path]:
    """The roots that are there."""
    return sorted(root for root in ROOTS.glob("*") if is_made(root))


def has_our_wheels(root: Path) -> bool:
    """Whether this checkout can be installed there without a network: `make test-on` has run there
    since the wheels of this checkout were chosen."""
    there, here = (place / "build/wheels/.made" for place in (root / PLACE.lstrip("/"), ROOT))
    # The first line is the version of Python.
    return (
        there.exists() and there.read_text().splitlines()[1:] == here.read_text().splitlines()[1:]
    )
