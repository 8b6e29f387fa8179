"""The measured emperord: the daemon of the tests, without the checks at its end."""

import sys
from contextlib import ExitStack
from pathlib import Path

from docs.examples.backend import render
from tests.backend import Daemon
from tests.bench.place import running, serving
from tests.eventually import eventually
from tests.nginx_server import free_ports


class Ours(Daemon):
    """emperord in its own folder, and nginx with the shipped configuration on `port` and, with TLS,
    on `tls_port`."""

    def __init__(self, folder: Path, **flags: str) -> None:
        super().__init__(folder, **{"byte_compile": "true"} | flags)
        self.port, self.tls_port = free_ports(2)
        self._stack = ExitStack()

    def start(self) -> None:
        """Start both, and return when they answer."""
        self._process = self._stack.enter_context(running(self.command, self.log))
        eventually(self._answers, alive=[self.process], what=f"emperord answers ({self.log})")
        self._stack.enter_context(serving(render(self.folder, self.port, self.tls_port)))
        self.until_base_is_ready()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ini(self, domain: str, app: str = "plain.py", **options: str) -> str:
        """The lines for an app that imports a framework, of the checkout's environment if no other
        one is named."""
        return super().ini(domain, app, **{"virtualenv": sys.prefix} | options)

    def listener(self, domain: str) -> Path:
        """The domain's socket."""
        return self.sockets / domain / "socket"

    def until_base_of(self, user: str) -> None:
        """Wait until the apps of that user can be forked from a base of their virtualenv."""
        eventually(lambda: self._has_base_of(user), what=f"a base of {user}'s")

    def _has_base_of(self, user: str) -> bool:
        _, answer = self.call("GET", "/v1/bases")
        return any(base["user"] == user and base["spares"] for base in answer["bases"])

    def park(self, domain: str) -> None:
        """Stop the app."""
        self.call("POST", f"/v1/vassals/{domain}/sleep")
        self.until_asleep(domain)

    def until_asleep(self, domain: str) -> None:
        """Wait until none of its processes is left."""
        parked = [("parked", None)]
        eventually(lambda: [self._state(domain)] == parked, alive=[self.process], seconds=30)

    def _state(self, domain: str) -> tuple[str, int | None]:
        detail = self.detail(domain)
        return detail["status"]["state"], detail["predecessor_pid"]
