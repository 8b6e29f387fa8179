"""docs/registry.md: each block of commands, and each file, on three members of etcd that are set up
by the page."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.program import COMMAND, ENVIRONMENT
from tests.eventually import eventually
from tests.traces import public_folder

PAGE = (Path(__file__).parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")
PASSWORD = "a password"


def blocks(kind: str, section: str) -> list[str]:
    """The blocks of that kind in a section of the page."""
    found = re.search(rf"(?ms)^## {section}.*?\n(.*?)(?=^## |\Z)", PAGE)
    assert found
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```", found[1])


class Machine:
    """Where the commands of the page run. Its files and addresses stand for those of the page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shim = folder / "bin" / "emperorctl"
        shim.parent.mkdir()
        shim.write_text(f"#!/bin/sh\nexec {COMMAND[0]} -c '{COMMAND[2]}' \"$@\"\n")
        # It asks for passwords on a terminal.
        real = subprocess.run(["which", "etcdctl"], capture_output=True, text=True, check=True)
        asks = shim.with_name("etcdctl")
        asks.write_text(
            f'#!/bin/bash\n[ "$1 $2" != "user add" ] || set -- user add "$3:{PASSWORD}"\n'
            f'exec {real.stdout.strip()} "$@"\n'
        )
        for program in (shim, asks):
            program.chmod(0o755)
        (folder / "emperord.ini").write_text("[emperord]\nmin-uid = 1\n")
        (folder / "www.example.com.ini").write_text(f"[uwsgi]\nwsgi-file = {folder}/app.py\n")
        (folder / "app.py").write_text(
            "def application(e, s):\n    s('200 OK', [])\n    return []\n"
        )
        self.environment = ENVIRONMENT | {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "EMPERORD_REGISTRY": f"{folder}/registry.ini",
        }

    def here(self, text: str) -> str:
        """The text of the page, for this machine."""
        text = text.replace("10.0.0.", "127.0.0.").replace("/etc/etcd/", f"{self.folder}/")
        text = text.replace("/etc/uwsgi/", f"{self.folder}/")
        settings = f"--config {self.folder}/emperord.ini"
        return text.replace("--owner shop", f"--owner daemon {settings}")

    def run(self, script: str, **more: str) -> str:
        """What the commands print, all of which succeed."""
        result = subprocess.run(
            ["bash", "-euc", self.here(script)], cwd=self.folder, env=self.environment | more,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{script}{result.stdout}{result.stderr}"
        return result.stdout


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """With a running cluster."""
    with public_folder() as folder:
        machine = Machine(folder)
        certificates, *_ = blocks("sh", "Setting up etcd")
        machine.run(certificates)
        (settings,) = blocks("ini", "Setting up etcd")
        members = [start(machine, settings, number) for number in (1, 2, 3)]
        try:
            eventually(lambda: is_healthy(machine), alive=members, what="a quorum")
            yield machine
        finally:
            for member in members:
                member.kill()
                member.wait()


def start(machine: Machine, settings: str, number: int) -> "subprocess.Popen[bytes]":
    """A member with the page's /etc/default/etcd."""
    own = settings.replace("NAME=r1", f"NAME=r{number}").replace("/r1.", f"/r{number}.")
    lines = [
        line
        if line.startswith("ETCD_INITIAL_CLUSTER=")
        else line.replace("0.0.1:", f"0.0.{number}:")
        for line in own.splitlines()
    ]
    variables = dict(line.split("=", 1) for line in machine.here("\n".join(lines)).splitlines())
    with (machine.folder / f"r{number}.log").open("wb") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "etcd", f"--data-dir={machine.folder}/r{number}"],
            env=ENVIRONMENT | variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def is_healthy(machine: Machine) -> bool:
    with suppress(AssertionError):
        machine.run(exports() + "etcdctl endpoint health")
        return True
    return False


def exports() -> str:
    return blocks("sh", "Setting up etcd")[1].splitlines()[0] + "\n"


def test_the_page_works_from_its_beginning_to_its_end(machine: Machine) -> None:
    machine.run(blocks("sh", "Setting up etcd")[1])
    as_root = {"ETCDCTL_USER": f"root:{PASSWORD}"}
    access, _ = blocks("ini", "Each machine")
    (machine.folder / "registry.ini").write_text(machine.here(access))
    (machine.folder / "registry.password").write_text(f"{PASSWORD}\n")
    (machine.folder / "registry.password").chmod(0o600)
    (first,) = blocks("sh", "A first domain")
    assert "serial 1, owner daemon" in machine.run(first)
    change, folder = blocks("sh", "Changing")
    assert "taken out (serial 3)" in machine.run(change)
    (machine.folder / "vassals").mkdir()
    (machine.folder / "vassals" / "a.example.ini").write_text("[uwsgi]\n")
    subprocess.run(["chown", "daemon:", machine.folder / "vassals" / "a.example.ini"], check=True)
    assert "1 put" in machine.run(folder)
    assert (machine.folder / "copy" / "a.example.ini").owner() == "daemon"
    (keys,) = blocks("sh", "Signatures")
    machine.run(keys)
    (tenants,) = blocks("sh", "Tenants")
    assert machine.run(exports() + tenants, **as_root).startswith("/emperord/vassals/")
    backup, restore = blocks("sh", "Backup")
    machine.run(exports() + backup, **as_root)
    assert (machine.folder / "registry.db").stat().st_size > 0
    restored(machine, restore)
    machine.run("emperorctl registry import --replace --serial 1000 copy")
    assert "serial     1000" in machine.run("emperorctl registry get --long a.example")
    limited_to_its_own_names(machine)
    a_limited_signer(machine)


def restored(machine: Machine, script: str) -> None:
    """A member is restored as the page says, into a folder of the test."""
    (settings,) = blocks("ini", "Setting up etcd")
    variables = dict(line.split("=", 1) for line in machine.here(settings).splitlines())
    others = ("set -a", "mv ", "chown ", "systemctl ")
    lines = [line for line in script.splitlines() if not line.startswith(others)]
    assert len(lines) == len(script.splitlines()) - len(others)
    place = machine.folder / "restored"
    machine.run("\n".join(lines).replace("/var/lib/etcd/default", str(place)), **variables)
    assert (place / "member" / "snap" / "db").exists()


def limited_to_its_own_names(machine: Machine) -> None:
    """alice of the page can put her own names, and no other one."""
    access = (
        (machine.folder / "registry.ini").read_text().replace("user = operator", "user = alice")
    )
    (machine.folder / "alice.ini").write_text(access)
    alice = f"EMPERORD_REGISTRY={machine.folder}/alice.ini"
    ini = "www.example.com.ini --owner shop"
    assert "serial 1" in machine.run(f"{alice} emperorctl registry put www.alice.example {ini}")
    told = machine.run(f"{alice} emperorctl registry put www.bob.example {ini} 2>&1 || echo $?")
    assert "user alice may not read /emperord/vassals/" in told
    assert told.endswith("\n1\n")
    assert machine.run("emperorctl registry get www.bob.example 2>&1 || true").endswith(
        "has no www.bob.example\n"
    )


def a_limited_signer(machine: Machine) -> None:
    """The line of the page limits a key to alice's own names and to inis of hers."""
    (line,) = re.findall(r"(?m)^ed25519 BASE64 (alice-ci .*)$", PAGE)
    key = machine.run("emperorctl registry keygen alice-ci alice-ci.key").split()[1]
    signers = line.replace("owners=alice", "owners=daemon")
    (machine.folder / "signers").write_text(f"ed25519 {key} {signers}\n")
    with (machine.folder / "registry.ini").open("a") as file:
        file.write(f"signers-file = {machine.folder}/signers\n")
        file.write(f"signer-key-file = {machine.folder}/alice-ci.key\n")
    put = "emperorctl registry put {} www.example.com.ini --owner {} --force 2>&1 || true"
    assert "signed by alice-ci" in machine.run(put.format("alice.example", "daemon"))
    assert "and not of games" in machine.run(put.format("alice.example", "games"))
    assert "and not for bob.example" in machine.run(put.format("bob.example", "daemon"))
