"""`make test-on`: runs every test on another release of Debian or Ubuntu, in a root folder of that
release with the kernel of this machine.

    python -m tests.releases SUITE v1|v2 ROOTS [OPTION...]

debootstrap makes the root folder ROOTS/SUITE once, with these options (tests/roots.py); .ci/install
does the rest, within. systemd-nspawn shows the release one version of cgroups alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from tests.roots import PLACE, SUITES, NoRoot, Suite, made_root, put_checkout, say
from tests.systemd.cgroups import VERSION_VARIABLE, Cgroups, groups_named

# The programs, and the packages that bring them.
_NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}
# Tests of a full disk mount files, and nspawn makes no loop devices. It mounts the controllers of
# cgroups v1 read-only, and a machine has them writable.
_PREPARE = """\
mknod -m 660 /dev/loop-control c 10 237
for number in $(seq 0 63); do mknod -m 660 /dev/loop$number b 7 $number; done
for place in /sys/fs/cgroup/*; do
  ! mountpoint -q $place || mount -o remount,bind,rw $place
done
"""
_TEST = "update-ca-certificates >/dev/null 2>&1; apt-get update -qq; exec make test"


def enter(root: Path, name: str, environment: Mapping[str, str], script: str) -> list[str]:
    """The command that runs a script of the shell in that folder, in its checkout. Tests make
    machines, networks and control groups themselves, which nspawn forbids otherwise."""
    kept = {key: value for key, value in environment.items() if _is_passed(key)}
    # pip has certificates of its own, and would not trust those that were added to this machine.
    kept["PIP_CERT"] = "/etc/ssl/certs/ca-certificates.crt"
    return [
        "systemd-nspawn", "--quiet", "--as-pid2", f"--directory={root}", f"--machine={name}",
        "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=copy-host",
        "--timezone=off", "--console=pipe", "--capability=all",
        "--system-call-filter=@keyring bpf @mount pidfd_getfd",
        *(f"--setenv={key}={value}" for key, value in sorted(kept.items())),
        f"--chdir={PLACE}", "sh", "-c", _PREPARE + script,
    ]  # fmt: skip


def _is_passed(key: str) -> bool:
    """Proxies, what pip is told, and what pytest is told (PYTEST_ADDOPTS)."""
    return key.lower().endswith("_proxy") or key in ("PIP_INDEX_URL", "PYTEST_ADDOPTS")


def run_in(root: Path, cgroups: Cgroups, script: str = _TEST) -> int:
    """Run a script of the shell, by default every test, in that root folder. Returns its exit
    status."""
    name = f"emperord-{uuid4().hex[:8]}"
    environment = os.environ | {
        VERSION_VARIABLE: cgroups.variable,
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes",
    }
    join = 'for group in $0; do echo $$ > "$group/cgroup.procs"; done; exec "$@"'
    with groups_named(name) as groups:
        entered = enter(root, name, os.environ, script)
        command = ["sh", "-ec", join, " ".join(map(str, groups)), *entered]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, check=False
        ).returncode


def run_tests(suite: Suite, cgroups: Cgroups, roots: Path, options: Sequence[str]) -> int:
    """Run every test on that release. Returns the exit status of make. Raises NoRoot, OSError."""
    root = made_root(suite, roots, options)
    put_checkout(root)
    say(f"Testing on {suite.name} with cgroups {cgroups}, in {root}")
    began = time.monotonic()
    status = run_in(root, cgroups)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    result = "passed" if status == 0 else f"failed ({status})"
    say(f"The tests on {suite.name} with cgroups {cgroups} {result}, after {minutes}:{seconds:02}")
    return status


def main(arguments: Sequence[str]) -> int:
    """Run the command line."""
    name, cgroups, roots, *options = arguments
    suites = {suite.name: suite for suite in SUITES}
    if name not in suites:
        sys.exit(f"cannot test on {name!r}: SUITE is one of {', '.join(suites)}")
    if cgroups not in list(Cgroups):
        sys.exit(f"cannot test with cgroups {cgroups!r}: CGROUP is one of {', '.join(Cgroups)}")
    if os.geteuid() != 0:
        sys.exit(f"cannot test on {name}: a root folder takes root's rights; use sudo")
    lacking = {
        program: package for program, package in _NEEDED.items() if not shutil.which(program)
    }
    if lacking:
        sys.exit(
            f"cannot test on {name}: there is no {' and no '.join(lacking)};"
            f" run `apt install {' '.join(lacking.values())}`"
        )
    try:
        return run_tests(suites[name], Cgroups(cgroups), Path(roots).absolute(), options)
    except NoRoot as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
