"""`make test-on`: runs every test on another release of Debian or Ubuntu, in a root folder of that
release with the kernel of this machine.

    python -m tests.releases SUITE v1|v2 ROOTS [OPTION...]

debootstrap makes the root folder ROOTS/SUITE once, with these options; .ci/install does the rest,
within. systemd-nspawn shows the release one version of cgroups alone.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from tests.systemd.cgroups import groups_named

ROOT = Path(__file__).parents[1]
PLACE = "/srv/emperord"
# What a machine of a continuous integration has: git and make, and what minbase leaves out.
_PACKAGES = ("ca-certificates", "dbus", "git", "kmod", "make", "systemd-sysv")
_CERTIFICATES = "usr/local/share/ca-certificates"
_SCRIPTS = Path("/usr/share/debootstrap/scripts")


class Cgroups(StrEnum):
    """The version of cgroups that the release sees."""

    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Suite:
    """A release: its name in the archive at `mirror`, with these components. `script` is the one of
    debootstrap for releases that this machine's debootstrap does not know."""

    name: str
    mirror: str
    components: str
    script: str


_DEBIAN = "http://deb.debian.org/debian"
_UBUNTU = "http://archive.ubuntu.com/ubuntu"
SUITES = (
    Suite("bookworm", _DEBIAN, "main", "sid"),
    Suite("trixie", _DEBIAN, "main", "sid"),
    Suite("noble", _UBUNTU, "main,universe", "gutsy"),
)


def bootstrap(suite: Suite, root: Path, options: Sequence[str]) -> list[str]:
    """The command that makes the root folder of a release."""
    return [
        "debootstrap", "--variant=minbase", f"--components={suite.components}",
        f"--include={','.join(_PACKAGES)}", *options,
        suite.name, str(root), suite.mirror, str(_SCRIPTS / suite.script),
    ]  # fmt: skip


def enter(root: Path, name: str, environment: Mapping[str, str]) -> list[str]:
    """The command that runs the tests in that folder. They make machines, networks and control
    groups themselves, which nspawn forbids otherwise."""
    kept = {key: value for key, value in environment.items() if _is_passed(key)}
    # pip has certificates of its own, and would not trust those that were added to this machine.
    kept["PIP_CERT"] = "/etc/ssl/certs/ca-certificates.crt"
    script = "update-ca-certificates >/dev/null 2>&1; apt-get update -qq; exec make test"
    return [
        "systemd-nspawn", "--quiet", "--as-pid2", f"--directory={root}", f"--machine={name}",
        "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=copy-host",
        "--capability=all", "--system-call-filter=@keyring bpf @mount", "--console=pipe",
        *(f"--setenv={key}={value}" for key, value in sorted(kept.items())),
        f"--chdir={PLACE}", "sh", "-c", script,
    ]  # fmt: skip


def _is_passed(key: str) -> bool:
    """Proxies, what pip is told, and what pytest is told (PYTEST_ADDOPTS)."""
    return key.lower().endswith("_proxy") or key in ("PIP_INDEX_URL", "PYTEST_ADDOPTS")


def prepare(suite: Suite, roots: Path, options: Sequence[str]) -> Path:
    """The root folder of a release, with this checkout and this machine's own certificates in it.

    Raises OSError, subprocess.CalledProcessError.
    """
    root = roots / suite.name
    if not root.exists():
        draft = root.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        roots.mkdir(parents=True, exist_ok=True)
        subprocess.run(bootstrap(suite, draft, options), check=True)
        draft.rename(root)
    place = root / PLACE.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    for path in place.iterdir():
        if path.name not in (".venv", "build"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    for name in files.stdout.split("\0"):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    shutil.copytree(f"/{_CERTIFICATES}", root / _CERTIFICATES, dirs_exist_ok=True)
    return root


def test(root: Path, cgroups: Cgroups) -> int:
    """Run every test in that root folder. Returns the exit status of make."""
    name = f"emperord-{uuid4().hex[:8]}"
    environment = os.environ | {
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1" if cgroups is Cgroups.V2 else "0",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes",
    }
    join = 'for group in $0; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
    with groups_named(name) as groups:
        command = ["sh", "-ec", join, " ".join(map(str, groups)), *enter(root, name, os.environ)]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, check=False
        ).returncode


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    name, cgroups, roots, *options = arguments
    suites = {suite.name: suite for suite in SUITES}
    if name not in suites:
        sys.exit(f"cannot test on {name!r}: SUITE is one of {', '.join(suites)}")
    if cgroups not in list(Cgroups):
        sys.exit(f"cannot test with cgroups {cgroups!r}: CGROUP is one of {', '.join(Cgroups)}")
    for program in ("debootstrap", "systemd-nspawn"):
        if shutil.which(program) is None:
            sys.exit(f"cannot test on {name}: apt install debootstrap systemd-container")
    return test(prepare(suites[name], Path(roots).absolute(), options), Cgroups(cgroups))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
