"""The console of a daemon with fakes, as a browser asks it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlencode

from emperor.model.authority import Caller
from emperor.model.spec import Identity
from tests.backend import UnixConnection
from tests.cli.fake_emperor import FakeEmperor, listening

ALICE, MALLORY = 1001, 1002
ROOT = Caller(0, is_administrator=True)
# What a visitor or a tenant writes, with what it must not become in a page.
HOSTILE = "<script>alert(1)</script>\u202egnp.exe\x1b[31m"
VISIBLE = escape("<script>alert(1)</script>", quote=False) + r"\u202egnp.exe\x1b[31m"


@dataclass(frozen=True)
class Answer:
    """An answer of the console."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def token(self) -> str:
        """The token of its forms."""
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.text)
        assert found, self.text
        return found[1]

    def part(self, name: str) -> str:
        """The section of that id, as text without tags."""
        found = re.search(rf'<section id="{name}".*?</section>', self.text, re.DOTALL)
        assert found, self.text
        text = " ".join(unescape(re.sub("<[^>]*>", " ", found[0])).split())
        return text.replace("\N{EN DASH}", "-")


@contextmanager
def two_tenants(folder: Path) -> Iterator[FakeEmperor]:
    """A daemon with vassals of two tenants and of root's, and inis that are not served."""
    fake = FakeEmperor(folder)
    fake.serve("a.example", "b.example")
    fake.serve("alice.example", identity=Identity(ALICE, ALICE, "alice"))
    fake.serve("mallory.example", identity=Identity(MALLORY, MALLORY, "mallory"))
    fake.refuse("broken.alice.example", "line 3: what alice wrote; drop it", ALICE)
    fake.refuse("broken.example", "cannot read it: binary; write text")
    with listening(fake):
        yield fake


def get(emperor: FakeEmperor, path: str, **headers: str) -> Answer:
    """GET a page below /console/."""
    return ask(emperor, "GET", path, headers=headers)


def ask(
    emperor: FakeEmperor,
    method: str,
    path: str,
    body: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Ask for a path below /console/."""
    connection = UnixConnection(emperor.run_dir / "control.sock")
    try:
        connection.request(method, f"/console/{path}", body or None, headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read().decode())
    finally:
        connection.close()


def order(
    emperor: FakeEmperor, path: str, token: str, headers: dict[str, str] | None = None
) -> Answer:
    """Send a form of the console."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"token": token})
    return ask(emperor, "POST", path, body, {**kind, **(headers or {})})
