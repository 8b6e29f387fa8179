"""Programs of tenants that connect to the daemon's own sockets."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attacks.tenants import UIDS
from tests.eventually import PATIENCE_SECONDS

# By the interpreter alone: a tenant cannot enter a checkout below /root.
_ASK = """\
import http.client, socket, sys
path, method, target = sys.argv[1:]
client = http.client.HTTPConnection("emperord")
client.sock = socket.socket(socket.AF_UNIX)
client.sock.connect(path)
client.request(method, target)
answer = client.getresponse()
print(answer.status)
print(answer.read().decode())
"""
# Several commands in one process, since the imports take long. All that emperorctl imports is
# imported before, for the same reason as above.
_AS_USER = """\
import contextlib, importlib, io, json, os, sys
from emperor.cli import main
for name in ("orders", "drain", "logs", "status", "why"):
    importlib.import_module(f"emperor.cli.{name}")
uid, run_dir, *lines = sys.argv[1:]
os.setgroups([])
os.setresgid(int(uid), int(uid), int(uid))
os.setresuid(int(uid), int(uid), int(uid))
"""
_EMPERORCTL = f"""\
{_AS_USER}
results = []
for line in lines:
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main.run([f"--run-dir={{run_dir}}", *line.split()])
    results.append((status, *(each.buffer.getvalue().decode() for each in (out, err))))
print(json.dumps(results))
"""
_FOLLOW = f"""\
{_AS_USER}
sys.exit(main.run([f"--run-dir={{run_dir}}", "logs", "-f", *lines]))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a command of emperorctl."""

    status: int
    out: str
    err: str


def as_tenant(tenant: str, *command: str, groups: Sequence[int] = ()) -> list[str]:
    """A command that runs as that tenant, in these further groups."""
    more = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    uid = UIDS[tenant]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", more, "--", *command]


def ask(
    tenant: str, socket: Path, method: str, target: str, groups: Sequence[int] = ()
) -> tuple[int, str]:
    """What that socket answers a tenant: the status and the body. Raises PermissionError."""
    command = ["/usr/bin/python3", "-c", _ASK, str(socket), method, target]
    result = subprocess.run(
        as_tenant(tenant, *command, groups=groups),
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    if "PermissionError" in result.stderr:
        raise PermissionError(socket)
    assert result.returncode == 0, result.stderr
    status, _, body = result.stdout.partition("\n")
    return int(status), body


def ask_json(tenant: str, socket: Path, target: str, groups: Sequence[int] = ()) -> Any:
    """The record that a GET gives a tenant."""
    status, body = ask(tenant, socket, "GET", target, groups)
    assert status == 200, body
    return json.loads(body)


def emperorctl(tenant: str, run_dir: Path, *lines: str) -> list[Ended]:
    """Commands of a tenant's, one after the other."""
    result = subprocess.run(
        [sys.executable, "-c", _EMPERORCTL, str(UIDS[tenant]), str(run_dir), *lines],
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return [Ended(*each) for each in json.loads(result.stdout)]


@contextmanager
def following(tenant: str, run_dir: Path, domain: str) -> Iterator["subprocess.Popen[str]"]:
    """`emperorctl logs -f` of a tenant's, until the block is left."""
    command = [sys.executable, "-c", _FOLLOW, str(UIDS[tenant]), str(run_dir), "-n1000", domain]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
