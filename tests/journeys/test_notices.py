"""Notices, from an app that fails to a mail and to a server that checks the signature."""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.backend import BIN, Backend
from tests.eventually import eventually

Start = Callable[..., Backend]
PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
MAIL, VERIFY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SECRET = "0123456789abcdef"


@dataclass
class Receiver:
    """A server that answers with `statuses` one by one, and then with 204."""

    statuses: list[int] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    are_genuine: bool = True
    port: int = 0

    def kinds(self) -> list[str]:
        return [f"{each['kind']} {each['count']}" for each in self.notices]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """It runs until the block is left."""
    example: dict[str, Any] = {}
    exec(VERIFY, example)
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            genuine = example["is_genuine"](SECRET.encode(), self.headers, body)
            forged = example["is_genuine"](SECRET.encode(), self.headers, body + b" ")
            received.are_genuine &= genuine and not forged
            received.notices.append(json.loads(body))
            self.send_response(received.statuses.pop(0) if received.statuses else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def mail_command(folder: Path) -> Path:
    """The command of the documentation, with a sendmail that keeps the mail."""
    sendmail = folder / "sendmail"
    sendmail.write_text(f"#!/bin/sh\ncat >>{folder}/mails\n")
    command = folder / "emperord-mail"
    command.write_text(MAIL.replace("/usr/sbin/sendmail", str(sendmail)))
    for program in (sendmail, command):
        program.chmod(0o755)
    return command


def until_sent(backend: Backend, way: str, number: int) -> None:
    """Wait until the daemon has seen the end of each attempt."""
    sent = f'emperord_notices_total{{outcome="sent",way="{way}"}} {number}.0'
    eventually(lambda: sent in backend.call("GET", "/metrics")[1], what=sent)


def test_what_is_wrong_is_told_once_and_once_when_it_is_over(folder: Path, start: Start) -> None:
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "secret").chmod(0o600)
    with receiver() as server:
        backend = start(
            notify_command=f"{mail_command(folder)} admin@example.com",
            notify_url=f"http://127.0.0.1:{server.port}/hook?a=b",
            notify_secret_file=str(folder / "secret"),
            throttle_first="0.2",
            throttle_max="0.2",
        )
        backend.expect("bad.example: starting → throttled")
        backend.expect("cannot send a notice to http://127.0.0.1:[0-9]+: HTTP 500; it is tried")
        backend.expect("b.example.ini.*; the previous version stays in service")
        test = subprocess.run(
            [BIN / "emperorctl", "--run-dir", backend.run_dir, "notify-test"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (test.stderr, test.stdout.splitlines()) == ("", [
            "notify-command: sent: exit status 0", "notify-url: sent: HTTP 204"
        ])  # fmt: skip
        assert server.kinds() == ["test 0"]

        server.statuses = [500]
        for domain in ("bad.example", "bad2.example"):
            backend.expect(f"{domain}: starting → throttled")
            backend.add(domain, "broken.py")
        for _ in range(3):
            assert {backend.get(name).status for name in ("bad.example", "bad2.example")} == {503}
        eventually(lambda: len(server.notices) >= 3, what="it is sent again after 500")
        assert server.kinds() == ["test 0", "app-failed 2", "app-failed 2"]
        assert server.notices[1] == server.notices[2], "the same id"
        assert "a_module_that_nobody_installed" in server.notices[1]["subjects"][0]["detail"]

        backend.add("b.example")
        backend.drop("b.example", "[uwsgi]\nworkers = many\n")
        eventually(lambda: "deploy-refused 1" in server.kinds())
        backend.drop("b.example", backend.ini("b.example"))
        backend.remove("bad.example")
        backend.remove("bad2.example")
        assert backend.call("POST", "/v1/drain")[0] == 200
        over = {"deploy-accepted 1", "app-recovered 2", "drained 1"}
        eventually(lambda: over <= set(server.kinds()), what=f"{over} in {server.kinds()}")
        assert backend.call("POST", "/v1/undrain")[0] == 200
        eventually(lambda: "undrained 1" in server.kinds())
        assert server.are_genuine
        for way in ("notify-command", "notify-url"):
            until_sent(backend, way, 7)
    mails = (folder / "mails").read_text()
    assert mails.count("To: admin@example.com\n") == 7
    assert "Subject: " in mails and "bad2.example" in mails


def test_a_later_daemon_sends_what_was_not_sent(folder: Path, start: Start) -> None:
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    with receiver() as server:
        backend = start(
            notify_url=f"http://127.0.0.1:{server.port}/",
            notify_secret_file=str(folder / "secret"),
            learns=True,
        )
        backend.expect("bad.example: starting → throttled")
        backend.add("bad.example", "broken.py")
        assert backend.get("bad.example").status == 503
        # Before the moment is over in which further failures could be added to it.
        assert backend.stop() == 0
        assert (backend.kept / "notices").stat().st_mode & 0o077 == 0
        backend.start()
        eventually(lambda: server.kinds() == ["app-failed 1"])
        backend.remove("bad.example")
        eventually(lambda: server.kinds() == ["app-failed 1", "app-recovered 1"])
        assert not (backend.kept / "notices").exists()
        until_sent(backend, "notify-url", 2)
