"""A base of a virtual environment runs a tenant's code: it harms nobody but that tenant."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.slow_files import slow_files
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.backend import with_state
from tests.eventually import eventually
from tests.nginx_server import Nginx
from tests.virtualenv import add_package, make_virtualenv

pytestmark = pytest.mark.bases

ONE, OTHER, HERS = "one.example", "other.example", "alice.example"
# Runs in the base, before all of its modules, and has it and its spares do something else.
TAKES_OVER = """\
import json, os, sys
{}
frame = sys._getframe()
while frame is not None:
    if frame.f_globals.get("__name__") == "emperor.bases.inside.forking":
        frame.f_globals.update({})
    frame = frame.f_back
"""
HANGS = """\
def fault_in(pages, channel):
    os.open({!r}, os.O_RDONLY | os.O_CLOEXEC)
    os.execv("/bin/sleep", ["sleep", "600"])
"""
APP = """\
import extra
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
"""
# Tells the groups of its process.
GROUPS = """\
import extra, grp, os
def application(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(grp.getgrgid(each).gr_name for each in os.getgroups()).encode()]
"""


@pytest.fixture(scope="module")
def tenants(folder: Path) -> Iterator[Tenants]:
    """A daemon that makes bases of virtual environments. alice has an app."""
    with Nginx(folder) as nginx:
        tenants = Tenants(folder, nginx)
        tenants.under = with_state(folder)
        with tenants:
            tenants.until_base_is_ready()
            tenants.host(ALICE, HERS)
            yield tenants


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Path:
    """A virtual environment of mallory's, one for each test."""
    home = folder / tmp_path.name
    packages = make_virtualenv(home)
    add_package(packages, "extra", "")
    (packages / "own.pth").write_text("import own\n")
    (packages / "own.py").write_text("")
    (folder / "app.py").write_text(APP)
    return home


def take_over(home: Path, lines: str) -> None:
    """Have its base use the function of these lines in the place of its own."""
    [own] = home.glob("lib/python3*/site-packages/own.py")
    name = lines.partition("def ")[2].partition("(")[0]
    own.write_text(TAKES_OVER.format(lines, f"{name}={name}"))


@pytest.mark.parametrize(
    "said",
    ["b''", "b'no JSON'", "b'{\"x\":' + b'[' * 100_000",
     "json.dumps(dict(modules=(), left_out={}, problem='x\\n\\x1b[2J' * 20_000)).encode()"],
    ids=["nothing", "no JSON", "lists in lists", "a long problem"],
)  # fmt: skip
def test_what_a_base_says_is_the_word_of_a_tenant(
    tenants: Tenants, folder: Path, home: Path, said: str
) -> None:
    told = f"cannot fork apps from a base of {home}"
    tenants.expect(told)
    take_over(home, f"def answer(imported):\n    return {said}\n")
    domains = [f"{name}-{home.name}" for name in (ONE, OTHER)]
    for domain in domains:
        tenants.host(MALLORY, domain, file=f"{folder}/app.py", home=str(home))
        assert tenants.get(domain).status == 200
    [line] = eventually(lambda: tenants.lines(told), what="the base is given up")
    assert len(line) < 1000
    assert "\x1b" not in line
    for domain in domains:
        tenants.remove(domain)
        tenants.until(domain, None)


@pytest.fixture
def group_file(folder: Path) -> Iterator[Path]:
    """What is /etc/group for this process and all that it starts."""
    own = folder / "group"
    own.write_text(Path("/etc/group").read_text())
    own.chmod(0o644)
    subprocess.run(["mount", "--bind", own, "/etc/group"], check=True)
    yield own
    subprocess.run(["umount", "/etc/group"], check=True)


def test_mallory_keeps_no_group_by_her_base(
    tenants: Tenants, folder: Path, home: Path, group_file: Path
) -> None:
    """Root has taken her out of a group, and her apps start again."""
    (folder / "app.py").write_text(GROUPS)
    text = group_file.read_text()
    group_file.write_text(re.sub(r"^(audio:.*:)(.*)$", rf"\1{MALLORY}", text, flags=re.MULTILINE))
    for domain in (ONE, OTHER):
        tenants.host(MALLORY, domain, file=f"{folder}/app.py", home=str(home))
        assert "audio" in tenants.get(domain).text
    eventually(lambda: len(tenants.call("GET", "/v1/bases")[1]["bases"]) == 2, what="her base")
    for is_member in (True, False):
        sleep(tenants, ONE)
        if not is_member:
            group_file.write_text(text)
        assert ("audio" in tenants.get(ONE).text) == is_member
        way = f" of {home}" if is_member else f", and not from one of {home}: groups or libraries"
        assert tenants.started(ONE).startswith(f"forked from a base{way}")
    for domain in (ONE, OTHER):
        tenants.remove(domain)
        tenants.until(domain, None)


def sleep(tenants: Tenants, domain: str) -> None:
    assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    tenants.until(domain, "parked")


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="nobody has such a file system here")
def test_a_spare_within_execve_holds_nobody_up(tenants: Tenants, folder: Path, home: Path) -> None:
    tenants.expect("did not stop within|cannot fork apps from a base of")
    with slow_files(folder / "slow") as closing:
        take_over(home, HANGS.format(f"{folder}/slow/file"))
        for domain in (ONE, OTHER):
            options = {"file": f"{folder}/app.py", "home": str(home)}
            tenants.host(MALLORY, domain, **options, emperor="stop-timeout = 1s")
            assert tenants.get(domain).status == 200
        assert closing.wait(60), "mallory has a base, whose spares hang"
        assert tenants.call("POST", f"/v1/vassals/{ONE}/sleep")[0] == 200
        with socket.create_connection(("127.0.0.1", tenants.nginx.port)) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {ONE}\r\n\r\n".encode())
            tenants.until(ONE, "starting")
            assert tenants.get(HERS).status == 200
            assert tenants.call("GET", "/v1/bases")[0] == 200
    # Only now does the kernel end them.
    for domain in (ONE, OTHER):
        tenants.remove(domain)
        tenants.until(domain, None)


# Notes whom it runs as, in every Python of that virtual environment.
NOTES = """\
import os
with open({!r}, "a") as file:
    file.write(f"{{os.readlink('/proc/self')}} {{os.getuid()}} {{os.geteuid()}}\\n")
"""
TELLS = """\
import extra, os
def application(environ, start_response):
    start_response("200 OK", [])
    return [f"{extra.PID} {extra.UID} {os.getuid()}".encode()]
"""


def test_a_tenants_module_never_runs_as_another_user(
    tenants: Tenants, folder: Path, home: Path
) -> None:
    """alice and root have apps in her virtual environment, too. That is their choice, and each of
    their processes runs her code as its own user, after it has taken that."""
    [packages] = home.glob("lib/python3*/site-packages")
    (folder / "seen").touch(mode=0o666)
    (folder / "seen").chmod(0o666)
    (packages / "own.py").write_text(NOTES.format(f"{folder}/seen"))
    with (packages / "extra" / "__init__.py").open("a") as file:
        file.write("import os\nPID, UID = os.readlink('/proc/self'), os.getuid()\n")
    (folder / "app.py").write_text(TELLS)
    options = {"file": f"{folder}/app.py", "home": str(home)}
    domains = {"a.example": MALLORY, "b.example": MALLORY, "c.example": ALICE, "d.example": "root"}
    served: set[str] = set()

    def serve(domain: str) -> list[str]:
        tenants.host(domains[domain], domain, **options)
        words = tenants.get(domain).text.split()
        served.add(words[0])
        return words

    def base() -> list[int]:
        _, answer = tenants.call("GET", "/v1/bases")
        return [each["pid"] for each in answer["bases"] if each["home"] == str(home)]

    for domain in ("a.example", "b.example"):
        assert serve(domain)[1:] == [str(UIDS[MALLORY])] * 2
    [pid] = eventually(base, what="mallory has a base")
    users = {line.split()[0]: line.split()[1:] for line in seen(folder)}
    assert users[str(pid)] == [str(UIDS[MALLORY])] * 2
    assert {uid for each in users.values() for uid in each} == {str(UIDS[MALLORY])}
    for domain in ("c.example", "d.example"):
        uid = str(UIDS[domains[domain]])
        importer, *ran_as = serve(domain)
        assert ran_as == [uid, uid]
        assert importer != str(pid)
        assert tenants.started(domain).partition(",")[0] == "forked from a base"
        assert tenants.call("POST", f"/v1/vassals/{domain}/sleep")[0] == 200
    # No process has run it as two users, and no other one than those apps as theirs.
    of_process: dict[str, set[str]] = {}
    for line in seen(folder):
        number, *uids = line.split()
        of_process.setdefault(number, set()).update(uids)
    assert all(len(uids) == 1 for uids in of_process.values())
    others = {number for number, uids in of_process.items() if uids != {str(UIDS[MALLORY])}}
    assert others <= served
    for domain in domains:
        tenants.remove(domain)
        tenants.until(domain, None)


def seen(folder: Path) -> list[str]:
    return (folder / "seen").read_text().splitlines()


# In the place of what a spare does: it claims to be another process, and lets its child say hello.
CLAIMS = """\
def _wait(channel, pages, host, store):
    import socket, struct, time
    for claimed in {!r}:
        try:
            credentials = struct.pack("iII", *claimed)
            channel.sendmsg([b"h"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
            outcome = "taken"
        except PermissionError:
            outcome = "refused"
        with open({!r}, "a") as file:
            file.write(outcome + "\\n")
    if os.fork() == 0:
        channel.send(b"h")
    time.sleep(600)
"""


def test_no_other_process_says_hello_for_a_spare(
    tenants: Tenants, folder: Path, home: Path
) -> None:
    """What emperord moves into a control group, and kills, is known by that."""
    tenants.expect(f"cannot fork apps from a base of {home}|did not stop within")
    claims = folder / "claims"
    claims.touch()
    claims.chmod(0o666)
    assert tenants.get(HERS).status == 200
    hers, alice = tenants.leader(HERS), UIDS[ALICE]
    pretended = [(hers, alice, alice), (hers, 5, 5), (tenants.process.pid, 0, 0), (1, 0, 0)]
    take_over(home, CLAIMS.format(pretended, str(claims)))
    groups = Path(f"/proc/{hers}/cgroup").read_text()
    options = {"file": f"{folder}/app.py", "home": str(home)}
    for domain in (ONE, OTHER):
        tenants.host(MALLORY, domain, **options)
        assert tenants.get(domain).status == 200
    eventually(lambda: len(claims.read_text().split()) >= len(pretended), what="it has claimed")
    assert "taken" not in claims.read_text()
    for _ in range(3):
        assert tenants.call("POST", f"/v1/vassals/{ONE}/sleep")[0] == 200
        tenants.until(ONE, "parked")
        assert tenants.get(ONE).status == 200, "it starts without that base"
    assert tenants.get(HERS).status == 200
    assert tenants.leader(HERS) == hers
    assert Path(f"/proc/{hers}/cgroup").read_text() == groups
    for domain in (ONE, OTHER):
        tenants.remove(domain)
        tenants.until(domain, None)
