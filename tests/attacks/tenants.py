"""Two tenants of one backend: `mallory` attacks, `alice` wants her site to go on."""

import os
import re
from pathlib import Path

import psutil

from tests.backend import Backend
from tests.eventually import eventually

# Users of Debian that own nothing else here, and that every machine has.
MALLORY, ALICE = "games", "lp"
UIDS = {MALLORY: 5, ALICE: 7, "root": 0, "bin": 2, "www-data": 33}


class Tenants(Backend):
    """A backend whose inis belong to tenants."""

    def host(self, tenant: str, domain: str, app: str = "plain.py", **options: str) -> None:
        """Drop an ini of that tenant's, and return when its socket listens. `emperor` has the lines
        of its section [emperor]."""
        self.drop_of(tenant, domain, app, **options)
        self.until(domain, "parked")

    def drop_of(self, tenant: str, domain: str, app: str = "plain.py", **options: str) -> None:
        """Drop an ini as `host` does, without the wait for its socket."""
        more = options.pop("emperor", "")
        draft = self.folder / f"{domain}.draft"
        draft.write_text(f"{self.ini(domain, app, **options)}\n[emperor]\n{more}\n")
        os.chown(draft, UIDS[tenant], -1)
        draft.rename(self.vassals / f"{domain}.ini")

    def refuse(self, tenant: str, domain: str, text: str, error: str, mode: int = 0o644) -> None:
        """Drop an ini of that tenant's, see that it is refused with that error, and remove it."""
        draft = self.folder / f"{domain}.draft"
        draft.write_text(text)
        os.chown(draft, UIDS[tenant], -1)
        draft.chmod(mode)
        draft.rename(self.vassals / f"{domain}.ini")
        assert error in str(eventually(lambda: self.refusals().get(domain)))
        self.remove(domain)
        eventually(lambda: domain not in self.refusals())

    def refusals(self) -> dict[str, str]:
        """The inis that are not served, each with its sentence."""
        report = self.call("GET", "/v1/status")[1]
        return {refusal["domain"]: refusal["error"] for refusal in report["refused"]}

    def program(self, name: str, script: str) -> str:
        """A program of a tenant's: a shell script."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def processes(self, word: str) -> list[int]:
        """The pids of the live processes with that word in their command line."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline", "status"])
            if word in " ".join(process.info["cmdline"] or [])
            and process.info["status"] != psutil.STATUS_ZOMBIE
            and process.pid != os.getpid()
        ]


def hits(tenants: Tenants, limit: str) -> int:
    """How often mallory's apps have reached that limit, by the metrics."""
    _, metrics = tenants.call("GET", "/metrics")
    name = re.escape(f'emperord_limit_hits_total{{limit="{limit}",tenant="{MALLORY}"}}')
    found = re.search(rf"^{name} ([\d.]+)$", metrics, re.MULTILINE)
    return int(float(found[1])) if found else 0


def groups(folder: Path) -> list[Path]:
    """The control groups that the daemon of that folder has made for tenants."""
    return [
        Path(at, name)
        for at, names, _ in os.walk("/sys/fs/cgroup")
        if folder.name in at
        for name in names
        if name.startswith("uid-")
    ]


def groups_of_mallory(tenants: Tenants) -> list[Path]:
    """The control groups of mallory, one in each hierarchy."""
    return [group for group in groups(tenants.folder) if group.name == f"uid-{UIDS[MALLORY]}"]
