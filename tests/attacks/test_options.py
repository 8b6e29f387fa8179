"""What a tenant's ini asks of uWSGI is refused, or done with the tenant's rights alone."""

import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.backend import APPS
from tests.eventually import eventually

HERS = "alice.example"
DENIED, HOOKED = "Permission denied", "root/made': Permission denied"
# Name, lines of [uwsgi], and why it is refused or does not start. Without a reason it runs: uWSGI
# skips the option, or the option gains nothing. ROOT and HOME are folders of root's and mallory's.
# HOOK is a program that notes its user in HOME and tries to write in ROOT.
OPTIONS = {
    "hook-as-root": ("hook-as-root = exec:HOOK", ""),
    "hook-asap": ("hook-asap = exec:HOOK", HOOKED),
    "hook-pre-jail": ("hook-pre-jail = exec:HOOK", HOOKED),
    "hook-post-jail": ("hook-post-jail = exec:HOOK", ""),
    "hook-as-user": ("hook-as-user = exec:HOOK", ""),
    "hook-as-emperor": ("hook-as-emperor = exec:HOOK", ""),
    "hook-as-vassal": ("hook-as-vassal = exec:HOOK", ""),
    "hook-write": ("hook-asap = write:ROOT/kept changed", DENIED),
    "hook-chmod": ("hook-asap = chmod:ROOT/kept 777", "Operation not permitted"),
    "hook-mount": ("hook-asap = mount:tmpfs none ROOT", "Operation not permitted"),
    "mount-as-root": ("mount-as-root = tmpfs none ROOT", ""),
    "exec-asap": ("exec-asap = HOOK", HOOKED),
    "exec-as-root": ("exec-as-root = HOOK", ""),
    "exec-scheme": ("set = a=@(exec://HOOK)", "would act when uWSGI reads the ini"),
    "attach-daemon": ("attach-daemon = HOOK", ""),
    "uid": ("uid = root\ngid = root\nhook-as-user = exec:HOOK", ""),
    "immediate-uid": ("immediate-uid = root\nexec-asap = HOOK", "invalid uid 0"),
    "master-as-root": ("master-as-root = true\nuid = lp\nhook-as-root = exec:HOOK", ""),
    "cap": ("cap = setuid,sys_admin\nexec-asap = HOOK", HOOKED),
    "uid-of-root": (
        "[emperor]\nuid = root",
        "cannot run with uid = root, since the ini is not root's",
    ),
    "uid-of-hers": ("[emperor]\nuid = lp", "cannot run with uid = lp, since the ini is not root's"),
    "emperor": ("emperor = VASSALS", "with emperor this is no app that serves a socket of its own"),
    "plugin": ("plugin = ROOT/kept", ""),
    "pidfile": ("pidfile = ROOT/pid", DENIED),
    "safe-pidfile2": ("safe-pidfile2 = ROOT/kept", DENIED),
    "logto": ("logto = ROOT/kept", DENIED),
    "logto2": ("logto2 = LOGS/alice.example.log", DENIED),
    "logger": ("logger = file:ROOT/kept", ""),
    "daemonize": ("daemonize = ROOT/kept", DENIED),
    "stats": ("stats = RUN/control.sock", "Address already in use"),
    "stats-of-hers": (
        "stats = SOCKETS/alice.example/socket",
        "cannot bind a socket: Permission denied",
    ),
    "master-fifo": ("master-fifo = ROOT/fifo", DENIED),
    "spooler": ("spooler = ROOT", "cannot use the folder of spooler"),
    "cache": ("cache2 = name=a,items=10,store=ROOT/kept", "invalid cache store file"),
    "socket": ("socket = SOCKETS/alice.example/socket", "claims the socket of alice.example"),
    "dots": (
        "socket = SOCKETS/dots.example/../alice.example/socket",
        "claims the socket of alice.example",
    ),
    "http-socket": ("http-socket = RUN/activate.sock", "Address already in use"),
    "chown-socket": ("socket = HOME/s\nchown-socket = root", "Operation not permitted"),
    "chroot": ("chroot = HOME", "cannot chroot() as non-root user"),
    "include-shadow": ("include = /etc/shadow", "unable to load configuration from /etc/shadow"),
    "shadow": ("env = SHADOW=@(/etc/shadow)", "cannot open /etc/shadow: Permission denied"),
    "include-of-hers": (
        "include = VASSALS/alice.example.ini",
        "claims the socket of alice.example",
    ),
}

# The master opens these at about the time when the app accepts.
LATE = {"stats", "stats-of-hers", "master-fifo"}


@dataclass(frozen=True, slots=True)
class Place:
    """The folders that the inis name."""

    tenants: Tenants
    root: Path
    home: Path

    def filled(self, lines: str) -> str:
        """Lines of an ini with the real paths."""
        words = {
            "ROOT": self.root, "HOME": self.home, "HOOK": self.home / "hook",
            "VASSALS": self.tenants.vassals, "LOGS": self.tenants.logs,
            "RUN": self.tenants.run_dir, "SOCKETS": self.tenants.sockets,
        }  # fmt: skip
        for word, path in words.items():
            lines = lines.replace(word, str(path))
        return lines


@pytest.fixture(scope="module")
def place(tenants: Tenants) -> Place:
    place = Place(tenants, tenants.folder / "root", tenants.folder / "home")
    for folder in (place.root, place.home):
        folder.mkdir()
    os.chown(place.home, UIDS[MALLORY], 60)
    (place.root / "kept").write_text("kept")
    hook = place.home / "hook"
    hook.write_text(place.filled("#!/bin/sh\nid -u >>HOME/users\ntouch ROOT/made\n"))
    hook.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def outcomes(tenants: Tenants, place: Place) -> Iterator[Mapping[str, str]]:
    """Why each ini is refused or does not start; nothing for one that runs. All are there at once,
    and started."""
    tenants.expect(r"(cannot serve \S+\.ini: |(starting|running) → throttled: )")
    tenants.host(ALICE, HERS)
    domains = {f"{name}.example": lines for name, (lines, _) in OPTIONS.items()}
    for domain, lines in domains.items():
        draft = tenants.folder / "draft"
        draft.write_text(place.filled(f"[uwsgi]\nfile = {APPS}/plain.py\n{lines}\n"))
        os.chown(draft, UIDS[MALLORY], -1)
        draft.rename(tenants.vassals / f"{domain}.ini")

    def known() -> set[str]:
        status = tenants.call("GET", "/v1/status")[1]
        return tenants.refusals().keys() | {vassal["name"] for vassal in status["vassals"]}

    eventually(lambda: known() >= domains.keys(), what="all inis are read")

    def outcome(domain: str) -> str:
        if (refusal := tenants.refusals().get(domain)) is not None:
            return refusal
        status, answer = tenants.call("POST", f"/v1/vassals/{domain}/start")
        return "" if status == 200 else str(answer["detail"])

    with ThreadPoolExecutor(8) as pool:
        yield dict(zip(OPTIONS, pool.map(outcome, domains), strict=True))
    for domain in (*domains, HERS):
        tenants.remove(domain)
    eventually(lambda: not known(), what="all are gone")


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_does_what_its_tenant_may(
    tenants: Tenants, outcomes: Mapping[str, str], name: str
) -> None:
    reason = OPTIONS[name][1]
    if name in LATE and not outcomes[name]:
        vassal = f"{name}.example"
        eventually(lambda: reason in str((tenants.vassal(vassal) or {})["last_error"]))
        return
    assert reason in outcomes[name]
    assert bool(reason) == bool(outcomes[name])


@pytest.mark.usefixtures("outcomes")
def test_no_option_is_done_by_root(tenants: Tenants, place: Place) -> None:
    users = (place.home / "users").read_text().split()
    assert len(users) >= 4
    assert set(users) == {str(UIDS[MALLORY])}
    assert [path.name for path in place.root.iterdir()] == ["kept"]
    kept = (place.root / "kept").stat()
    assert (kept.st_mode, kept.st_uid, kept.st_size) == (stat.S_IFREG | 0o644, 0, 4)
    owners = {uid for process in tenants.children() for uid in process.uids()}
    assert owners == {UIDS[MALLORY]}


@pytest.mark.usefixtures("outcomes")
def test_no_option_costs_alice_her_site(tenants: Tenants) -> None:
    assert not (tenants.logs / f"{HERS}.log").exists(), "nobody has written to it"
    reply = tenants.get(HERS)
    assert (reply.status, reply.text.split()[1]) == (200, HERS)
