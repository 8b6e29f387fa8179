"""A way of hosting in a box, with what its administrator and its tenants do in the usual course."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import write

HERE = Path(__file__).parent
TENANTS = MALLORY, ALICE = "mallory", "alice"
MINE, HERS = "mallory.example", "alice.example"
PROOFS = "/srv/proofs"  # where everybody can write
STARTUP = "passenger_wsgi.py"  # Passenger's usual name
# A variable that the administrator has given the host, and that is not for apps.
SECRET = "HOST_SECRET"
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a visitor got. The status is 0 if that was nothing."""

    status: int
    body: str
    seconds: float


class Host(ABC):
    """The apps of a domain lie in `home`, and belong to the tenant with all that is there."""

    name: ClassVar[str]
    # How it was set up, in a sentence for the page.
    setup: ClassVar[str]

    def __init__(self, box: Box) -> None:
        self.box = box
        self.tenants: dict[str, str] = {}

    def prepare(self) -> None:
        """Two accounts, a program that is setuid root, and the host with no app."""
        for tenant in TENANTS:
            self.box.must("useradd", "--create-home", tenant)
        self.sh("install -m 4755 /usr/bin/id /usr/local/bin/setuid-id")
        self.sh("install -d -m 1777 /srv/proofs")
        # Boxes of tests have no limit of the journal's.
        write(self.box, "/etc/systemd/journald.conf.d/box.conf", "[Journal]\nStorage=volatile\n")
        self.box.must("systemctl", "restart", "systemd-journald")
        write(self.box, "/srv/visitor.py", (HERE / "visitor.py").read_text())
        self.start()

    @abstractmethod
    def start(self) -> None:
        """Configure the host, and run it."""

    @abstractmethod
    def version(self) -> str:
        """Its name and version, as it says them itself."""

    @abstractmethod
    def configure(self, domain: str, lines: str) -> None:
        """Write the configuration of an app, of which the tenant can write `lines`, and have it
        take effect in the usual way."""

    @abstractmethod
    def config(self, domain: str) -> str:
        """The file by which the host knows the app."""

    @abstractmethod
    def read_again(self, domain: str) -> None:
        """Have the host read that file again, as one does after a change."""

    @abstractmethod
    def remove(self, domain: str) -> None:
        """Take the app away, in the usual way."""

    @abstractmethod
    def log(self, domain: str) -> str:
        """What the administrator reads as the log of that app."""

    # What a tenant adds to its configuration to become root.
    root_lines: ClassVar[str]
    # What somebody who can write `config` adds to it to have a file made as root or its tenant.
    proof_lines: ClassVar[str]
    # The command of the host that stops the neighbour's app, and the one that lists apps.
    orders: ClassVar[Mapping[str, str]]
    # What a tenant can touch to have its app restarted.
    restart_file: ClassVar[str]

    def home(self, domain: str) -> str:
        return f"/srv/{domain}"

    def until_listening(self, domain: str) -> None:
        """Wait until a visitor can ask for a new app: at once, unless a host says otherwise."""
        assert domain in self.tenants

    def put(self, tenant: str, domain: str, lines: str = "", boot: str = "") -> None:
        """An app of that tenant's; `boot` is code that it runs when it starts."""
        self.tenants[domain] = tenant
        home = self.home(domain)
        write(self.box, f"{home}/{STARTUP}", (HERE / "app.py").read_text())
        write(self.box, f"{home}/boot.py", boot)
        self.sh(f"mkdir -p {home}/tmp {home}/public && chown -R {tenant}: {home}")
        self.configure(domain, lines)

    def add(self, tenant: str, *domains: str, boot: str = "") -> None:
        """Apps of that tenant's, for which visitors can ask, and have not."""
        for domain in domains:
            self.put(tenant, domain, boot=boot)
        for domain in domains:
            self.until_listening(domain)

    def give(self, domain: str, tenant: str) -> None:
        """Give the app with all that it has to another tenant."""
        self.tenants[domain] = tenant
        self.sh(f"chown -R -h {tenant}: {self.home(domain)}")
        self.configure(domain, "")

    def ask(
        self, domain: str, code: str, *headers: str, patience: float = PATIENCE_SECONDS
    ) -> Answer:
        return self.crowd(domain, code, 1, *headers, patience=patience)[0]

    def crowd(
        self, domain: str, code: str, visitors: int, *headers: str,
        patience: float = PATIENCE_SECONDS,
    ) -> list[Answer]:  # fmt: skip
        """The answers to `visitors` visitors at once, who have the app run that code."""
        printed = self.box.must(
            "/usr/bin/python3", "/srv/visitor.py", domain, code, str(visitors), str(patience),
            *headers,
        )  # fmt: skip
        return [Answer(*each) for each in json.loads(printed)]

    def run(self, domain: str, code: str) -> str:
        """What the app of that domain tells when it runs the code, once, as soon as it answers."""
        eventually(lambda: self._answers(domain, ""), what=f"{domain} answers")
        return self._answers(domain, code).body

    def _answers(self, domain: str, code: str) -> Answer:
        answer = self.ask(domain, code)
        assert answer.status == 200, answer
        return answer

    def sh(self, script: str) -> str:
        return self.box.must("sh", "-euc", script)

    def tail(self) -> str:
        """What the host has said last, for a person who looks for a fault in these attacks."""
        return self.box.run("journalctl", "--no-pager", "--lines=60", "--output=cat").stdout
