"""The processes of an app have the rights of its user, and neither more nor what the daemon has."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.attacks.tenants import MALLORY, UIDS, Tenants

MINE, TRUSTED = "rights.example", "trusted.example"
NO_CAPABILITIES = "0" * 16


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """A program of root's with setuid that prints the user that it runs as. Many machines mount
    /tmp with nosuid."""
    places = ("/tmp", "/var/tmp", "/usr/local/bin")
    place = next(each for each in places if not os.statvfs(each).f_flag & os.ST_NOSUID)
    with TemporaryDirectory(dir=place) as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "whoami")
        shutil.copy("/usr/bin/id", path)
        path.chmod(0o4755)
        yield path


@pytest.fixture(scope="module")
def mine(tenants: Tenants) -> str:
    tenants.host(MALLORY, MINE, "rights.py")
    return MINE


def rights(tenants: Tenants, domain: str, path: str = "/") -> dict[str, Any]:
    reply = tenants.get(domain, path)
    assert reply.status == 200, reply.text
    found: dict[str, Any] = json.loads(reply.text)
    return found


def test_an_app_has_no_capability_and_its_own_group(tenants: Tenants, mine: str) -> None:
    status = rights(tenants, mine)["status"]
    kinds = ("Inh", "Prm", "Eff", "Bnd", "Amb")
    assert [status[f"Cap{kind}"] for kind in kinds] == [NO_CAPABILITIES] * 5
    assert status["NoNewPrivs"] == "1"
    assert set(status["Uid"].split()) == {str(UIDS[MALLORY])}
    assert set(status["Gid"].split()) | set(status["Groups"].split()) == {"60"}


def test_a_setuid_program_gives_an_app_nothing(tenants: Tenants, mine: str, program: Path) -> None:
    assert "euid=0" not in rights(tenants, mine, str(program))["printed"]


def test_root_can_except_an_app_whose_mail_needs_setgid(tenants: Tenants, program: Path) -> None:
    ini = tenants.ini(TRUSTED, "rights.py")
    tenants.drop(TRUSTED, f"{ini}\n[emperor]\nuid = {MALLORY}\nno-new-privs = false\n")
    tenants.until(TRUSTED, "parked")
    found = rights(tenants, TRUSTED, str(program))
    assert "euid=0" in found["printed"]
    assert found["status"]["CapEff"] == NO_CAPABILITIES


def test_a_tenant_cannot_except_itself(tenants: Tenants) -> None:
    tenants.expect("may stand in an ini of root's alone")
    text = f"{tenants.ini('greedy.example')}\n[emperor]\nno-new-privs = false\n"
    tenants.refuse(MALLORY, "greedy.example", text, "no-new-privs = false may stand in an ini of")


def test_an_app_sees_nothing_of_the_daemons_environment(tenants: Tenants, mine: str) -> None:
    found = rights(tenants, mine)
    variables = found["environment"]
    user = (variables["HOME"], variables["USER"], variables["LOGNAME"])
    assert user == ("/usr/games", MALLORY, MALLORY)
    others = set(found["initial"]) - {"HOME", "USER", "LOGNAME", "LANG", "PATH"}
    assert not {name for name in others if not name.startswith(("UWSGI_", "EMPERORD_"))}
