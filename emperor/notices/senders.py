"""The two ways to send a notice: a command of the administrator's, and a request to a URL.

Both are run as a command, in a control group of 256 MB, for a limited time. A command belongs to
root, and no other user can change it, nor any folder on the way to it.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from emperor import __version__
from emperor.linux.group_names import group_name
from emperor.linux.processes import without_capabilities
from emperor.linux.timed_command import run_timed
from emperor.linux.trust import open_to_others
from emperor.model.notice import Notice, brief
from emperor.model.ports import CannotLaunch
from emperor.model.settings import Settings
from emperor.model.status import as_json
from emperor.uwsgi.bounds import Bounds

_GROUP = ".notices"
# Not imported: what it needs for TLS, the daemon does not.
_POST = Path(__file__).with_name("post.py")
SECONDS = 15.0
# For the answer, so that the program itself can say that there was none.
_ANSWER_SECONDS = 10.0
_LONGEST_OUTPUT = 4096
_LONGEST_REASON = 200
_SECRET_BYTES = range(16, 4097)
TIMESTAMP, SIGNATURE = "X-Emperord-Timestamp", "X-Emperord-Signature"


class DeliveryStatus(Enum):
    """What came of one attempt to send a notice: `RETRY` and `FAILED` tell whether another one may
    follow."""

    SENT = "sent"
    RETRY = "not sent, and may be tried again"
    FAILED = "not sent"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of an attempt, and the reason in words."""

    status: DeliveryStatus
    why: str

    @property
    def is_sent(self) -> bool:
        """Whether the notice was sent."""
        return self.status is DeliveryStatus.SENT


# By the exit status of a command, and of post.py.
_STATUSES: Mapping[int | None, DeliveryStatus] = {
    os.EX_OK: DeliveryStatus.SENT,
    os.EX_TEMPFAIL: DeliveryStatus.RETRY,
}


class Sender(Protocol):
    """Sends notices; `name` is that of its setting, `where` says where to."""

    name: str
    where: str

    async def send(self, notice: Notice, now: datetime) -> Delivery:
        """Try it once. Returns within a limited time."""


def senders_of(settings: Settings, bounds: Bounds) -> tuple[Sender, ...]:
    """One sender for each way to send that the settings name."""
    senders: list[Sender] = []
    if settings.notify_command:
        senders.append(CommandSender(settings.notify_command, bounds))
    if settings.notify_url and settings.notify_secret_file:
        senders.append(HttpSender(settings.notify_url, settings.notify_secret_file, bounds))
    return tuple(senders)


class CommandSender:
    """A command gets the notice as its input."""

    name = "notify-command"

    def __init__(self, command: Sequence[str], bounds: Bounds) -> None:
        self._command = command
        self._bounds = bounds
        self.where = command[0]

    async def send(self, notice: Notice, _now: datetime) -> Delivery:
        """Run it. It may be run again if it ends with 75 (EX_TEMPFAIL), and not if it was killed: a
        mail may be on its way."""
        if problem := await asyncio.to_thread(_objection, self._command[0]):
            return Delivery(DeliveryStatus.FAILED, problem)
        delivery, was_killed = await _run(self._bounds, self._command, f"{body_of(notice)}\n")
        return replace(delivery, status=DeliveryStatus.FAILED) if was_killed else delivery


class HttpSender:
    """A signed POST, by the program post.py."""

    name = "notify-url"

    def __init__(self, url: str, secret_file: Path, bounds: Bounds) -> None:
        self._url = url
        self._secret_file = secret_file
        self._bounds = bounds
        # The rest may be a secret: whoever knows the address of a chat can write there.
        parts = urlsplit(url)
        self.where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    async def send(self, notice: Notice, now: datetime) -> Delivery:
        """Send it. It may be tried again unless the peer has refused it."""
        try:
            secret = await asyncio.to_thread(read_secret, self._secret_file)
        except OSError as error:
            return Delivery(
                DeliveryStatus.RETRY, f"cannot read {self._secret_file}: {error.strerror}"
            )
        except ValueError as error:
            return Delivery(DeliveryStatus.RETRY, f"cannot use {self._secret_file}: {error}")
        body = body_of(notice)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"emperord/{__version__}",
            TIMESTAMP: str(int(now.timestamp())),
        }
        headers[SIGNATURE] = signature(secret, headers[TIMESTAMP], body)
        order = {"url": self._url, "headers": headers, "body": body, "seconds": _ANSWER_SECONDS}
        program = [sys.executable, "-I", "-S", str(_POST)]
        delivery, _ = await _run(self._bounds, without_capabilities(program), json.dumps(order))
        return delivery


def body_of(notice: Notice) -> str:
    """The notice as JSON in ASCII: no text of a tenant can end a line, or steer a terminal."""
    return json.dumps(as_json(notice))


def signature(secret: bytes, timestamp: str, body: str) -> str:
    """The value of the header that proves that who knows the secret has sent it."""
    signed = hmac.new(secret, f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def read_secret(path: Path) -> bytes:
    """The secret in a file that root alone can read, without white space around it. Raises OSError,
    and ValueError for a file that others can read or change, or with too short a secret."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("it is not a file")
        if info.st_uid not in (0, os.geteuid()) or info.st_mode & 0o077:
            raise ValueError("others than root can read it; chown it to root, and chmod 600 it")
        if place := open_to_others(str(path)):
            raise ValueError(f"others than root can change {place}")
        secret = os.read(fd, _SECRET_BYTES.stop).strip()
    finally:
        os.close(fd)
    if len(secret) not in _SECRET_BYTES:
        raise ValueError("it must have 16 to 4096 bytes, as from: openssl rand -hex 32")
    return secret


def _objection(program: str) -> str:
    """Why that program is not run; empty where it may be."""
    try:
        place = open_to_others(program)
    except OSError as error:
        return f"cannot run {program}: {error.strerror}"
    return f"cannot run {program}: others than root can change {place}" if place else ""


async def _run(bounds: Bounds, argv: Sequence[str], given: str) -> tuple[Delivery, bool]:
    """What came of it, and whether it was killed."""
    name = group_name(os.geteuid(), _GROUP, secrets.randbits(40))
    try:
        with bounds.command(name) as enter:
            command = enter(["env", "-C", "/", *argv])
            ended, printed = await run_timed(
                command, os.environ, _LONGEST_OUTPUT, SECONDS, given.encode()
            )
    except (CannotLaunch, OSError) as error:
        return Delivery(DeliveryStatus.RETRY, str(error)), False
    if ended is None or ended.signal is not None:
        how = str(ended) if ended else "it cannot be killed"
        return Delivery(DeliveryStatus.RETRY, f"{how}; it may take {SECONDS:g} s"), True
    lines = printed.decode(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "")
    why = brief(said or str(ended), _LONGEST_REASON)
    return Delivery(_STATUSES.get(ended.code, DeliveryStatus.FAILED), why), False
