"""The processes of an app have the rights of its user, and neither more nor what the daemon has."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.eventually import eventually
from tests.nginx_server import Nginx

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
def strict(folder: Path) -> Iterator[Tenants]:
    """A daemon that lets no app run as root, nor as an account of the system."""
    place = folder / "strict"
    place.mkdir()
    with Nginx(place) as nginx:
        nginx.expect(".*")
        with Tenants(place, nginx, allow_root="false", min_uid=str(UIDS[MALLORY])) as tenants:
            yield tenants


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


def test_no_app_runs_as_root_or_nginx_or_a_service(strict: Tenants) -> None:
    strict.expect("its app would run as")
    app = strict.ini("evil.example")
    for owner, text, error in (
        ("root", app, "names no user, so its app would run as root; set uid in a section"),
        ("root", f"{app}uid = root\n", "line 5: with uid = root its app would run as root"),
        ("root", f"{app}[emperor]\nuid = 0\n", "line 6: with uid = 0 its app would run as root"),
        ("root", f"{app}uid = www-data\n", "www-data (uid 33) with nginx's group www-data"),
        ("root", f"{app}uid = games\ngid = www-data\n", "with nginx's group www-data"),
        ("root", f"{app}[emperor]\nuid = 33\ngid = 60\n", "with nginx's group www-data"),
        ("root", f"{app}[emperor]\nuid = games\ngid = root\n", "with the group root"),
        ("root", f"{app}[emperor]\nuid = bin\n", "bin (uid 2), and min-uid = 5 keeps"),
        ("www-data", app, "www-data (uid 33) with nginx's group"),
        ("bin", app, "bin (uid 2), and min-uid = 5 keeps"),
    ):
        strict.refuse(owner, "evil.example", text, error)


def test_uwsgi_follows_no_link_of_mallorys_as_root(strict: Tenants, folder: Path) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, UIDS[MALLORY], -1)
    secret = folder / "secret"
    secret.write_text("of root")
    (theirs / "app.log").symlink_to(secret)
    (theirs / "app.pid").symlink_to(secret)
    ini = strict.ini("own.example", logto=f"{theirs}/app.log", pidfile=f"{theirs}/app.pid")
    strict.expect("own.example")
    strict.drop("own.example", f"{ini}uid = {MALLORY}\n")
    strict.until("own.example", "parked")
    strict.get("own.example")
    assert secret.read_text() == "of root"
    assert secret.stat().st_uid == 0


def test_uwsgis_own_user_brings_its_own_group(strict: Tenants) -> None:
    strict.drop("group.example", f"{strict.ini('group.example', 'rights.py')}uid = {MALLORY}\n")
    strict.until("group.example", "parked")
    status = rights(strict, "group.example")["status"]
    assert set(status["Gid"].split()) | set(status["Groups"].split()) == {"60"}


def test_a_member_of_nginxs_group_does_not_start(
    strict: Tenants,
) -> None:
    """The daemon and its apps see another file of groups."""
    strict.expect("cannot start an app as games, who is in www-data")
    strict.host(MALLORY, "member.example")
    groups = Path("/etc/group").read_text()
    changed = strict.folder / "group"
    changed.write_text(groups.replace("www-data:x:33:", f"www-data:x:33:{MALLORY}"))
    subprocess.run(["mount", "--bind", changed, "/etc/group"], check=True)
    try:
        assert strict.get("member.example").status == 503
        error = strict.detail("member.example")["status"]["last_error"]
        assert "gpasswd -d games www-data" in error
    finally:
        subprocess.run(["umount", "/etc/group"], check=True)


def test_root_writes_into_no_folder_of_a_tenants(tenants: Tenants, folder: Path) -> None:
    tenants.expect("as root, and others can change")
    theirs = folder / "hers"
    theirs.mkdir()
    os.chown(theirs, UIDS[MALLORY], -1)
    for key in ("logto", "logto2", "daemonize", "pidfile", "pidfile2", "safe-pidfile", "stats"):
        ini = tenants.ini("led.example", **{key: f"{theirs}/file"})
        for user in ("", f"uid = {MALLORY}\ngid = {MALLORY}\nmaster-as-root = true\n"):
            text = f"{ini}{user}[emperor]\nuid = root\n"
            if user and key in ("daemonize", "safe-pidfile", "stats"):
                continue  # uWSGI has changed its user by then
            tenants.refuse("root", "led.example", text, f"and others can change {theirs}; name a")
    ini = tenants.ini("led.example", logto="/tmp/led.log")
    tenants.refuse("root", "led.example", ini, "and others can change /tmp; name a file")


@contextmanager
def users(folder: Path, pattern: str, line: str) -> Iterator[None]:
    """The daemon and its apps see another file of users, with `line` in place of that pattern."""
    changed = folder / "passwd"
    changed.write_text(re.sub(pattern, line, Path("/etc/passwd").read_text(), flags=re.MULTILINE))
    subprocess.run(["mount", "--bind", changed, "/etc/passwd"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/passwd"], check=True)


@pytest.fixture
def of_alice(tenants: Tenants, mine: str) -> Iterator[str]:
    """A site that runs beside mallory's, of an ini of root's that names alice."""
    assert tenants.get(mine).status == 200
    domain = "named.example"
    tenants.drop(domain, f"{tenants.ini(domain, 'rights.py')}\n[emperor]\nuid = {ALICE}\n")
    tenants.until(domain, "parked")
    assert rights(tenants, domain)["status"]["Uid"].split()[0] == str(UIDS[ALICE])
    yield domain
    tenants.remove(domain)
    tenants.until(domain, None)


def wake_fails(tenants: Tenants, domain: str) -> str:
    """Have a site that runs sleep, and wake it in vain: the sentence of `status`."""
    assert tenants.get(domain).status == 200, "what runs goes on"
    assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    assert tenants.get(domain).status == 503
    assert tenants.get(MINE).status == 200, "the neighbour goes on"
    return str(tenants.detail(domain)["status"]["last_error"])


def test_an_account_that_is_gone_is_named(tenants: Tenants, folder: Path, of_alice: str) -> None:
    tenants.expect("there is no user with uid 7 any more")
    with users(folder, f"^{ALICE}:.*\n", ""):
        error = wake_fails(tenants, of_alice)
    assert "there is no user with uid 7 any more; make the user again, or name" in error
    tenants.call("POST", f"/v1/vassals/{of_alice}/start")
    assert tenants.get(of_alice).status == 200, "the account is there again"


def test_an_account_with_another_uid_is_named(
    tenants: Tenants, folder: Path, of_alice: str
) -> None:
    tenants.expect(f"cannot start the app: {ALICE} has uid 4711 now, and had 7")
    other = f"{ALICE}:x:4711:4711::/:/bin/sh\nbob:x:7:7::/:/bin/sh"
    with users(folder, f"^{ALICE}:.*", other):
        error = wake_fails(tenants, of_alice)
        assert error == f"cannot start the app: {ALICE} has uid 4711 now, and had 7; touch its ini"
        (tenants.vassals / f"{of_alice}.ini").touch()
        eventually(lambda: tenants.get(of_alice).status == 200, what="its ini is read anew")
        assert rights(tenants, of_alice)["status"]["Uid"].split()[0] == "4711"
    tenants.expect(f"cannot start the app: {ALICE} has uid 7 now, and had 4711")
    (tenants.vassals / f"{of_alice}.ini").touch()
    eventually(lambda: tenants.detail(of_alice)["status"]["uid"] == UIDS[ALICE])
