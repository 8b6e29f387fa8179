"""An ini of which the tests know what the daemon does with it, and what `check` must say."""

from dataclasses import dataclass
from typing import Any

APP = "file = SITE/app.py\n"
AS_ROOT = "[emperor]\nuid = root\n"
AS_WEB = "[emperor]\nuid = games\n"
PLAIN = "socket = 127.0.0.1:PORT\n"


@dataclass(frozen=True, slots=True)
class Case:
    """An ini with the [uwsgi] options `text`, which may go on with [emperor]. `says` is a part of
    what `check` prints about it. `status` is that of an answer, if there is one. `after`: the case
    whose app must run already. `speaks_http`: its socket is for a front end that speaks http."""

    name: str
    text: str
    serves: bool
    says: str = "would be served"
    status: int = 200
    owner: str = "root"
    mode: int = 0o644
    after: str = ""
    speaks_http: bool = False


def good(name: str, text: str, says: str = "would be served", **more: Any) -> Case:
    return Case(name, text, True, says, **more)


def bad(name: str, text: str, says: str, **more: Any) -> Case:
    return Case(name, text, False, says, **more)
