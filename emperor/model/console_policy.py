"""Decides which requests of a browser `emperorctl console` forwards to control.sock, where they
have the rights of the user who runs it. A request that another site or another user has made must
not get there."""

import hmac
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote, urlsplit

# What a browser calls this machine. The name of another site may lead here too (DNS rebinding).
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HOME = "/console/"
_OTHER_SITES = ("cross-site", "same-site")
_READING = frozenset({"GET", "HEAD"})
_FORWARDED = frozenset({*_READING, "POST"})


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """What of a request decides. `path` is as it was sent, without the query. The others
    are headers, the cookie and the token of the query, empty where there is none."""

    method: str
    path: str
    host: str
    origin: str = ""
    fetch_site: str = ""
    fetch_dest: str = ""
    cookie: str = ""
    token: str = ""
    user: str = ""


class Handling(Enum):
    """What is done with a request that is not refused."""

    FORWARD = "forward"
    ENTER = "enter"
    """the browser gets the cookie, and is sent to the console"""
    HOME = "home"
    """the browser is sent to the console"""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a request that is not forwarded: an HTTP status, and a sentence."""

    status: int
    why: str


class BrowserPolicy:
    """Judges the requests of one person's browser on the loopback interface. The `token` of the
    printed link is good for one cookie, with the value `session`. Connections of other users do not
    get here."""

    tells_user = False

    def __init__(self, token: str, session: str) -> None:
        self._token: str | None = token
        self._session = session

    def judge(self, request: BrowserRequest) -> Handling | Refused:
        """What becomes of a request."""
        if _name(request.host) not in LOOPBACK:
            return Refused(421, "emperorctl console answers for 127.0.0.1 and localhost alone.")
        has_entered = _same(request.cookie, self._session)
        if request.token and request.path == "/" and request.method == "GET":
            return Handling.HOME if has_entered else self._enter(request.token)
        if not has_entered:
            return Refused(
                403,
                "This console is open to the browser that has followed the link of emperorctl"
                " console. Each link works once; start emperorctl console again for another one.",
            )
        return _judge_path(request)

    def _enter(self, token: str) -> Handling | Refused:
        if self._token is None or not _same(token, self._token):
            return Refused(
                403,
                "This link was used before, or is that of another console. Start emperorctl console"
                " again for another one.",
            )
        self._token = None
        return Handling.ENTER


class NginxPolicy:
    """Judges the requests of an nginx that has asked who visits, and passes the name on. The file
    mode of the socket decides who can connect."""

    tells_user = True

    def judge(self, request: BrowserRequest) -> Handling | Refused:
        """What becomes of a request."""
        if not request.user:
            return Refused(
                403,
                "nginx has passed no user on: include emperord/console.conf in a server with"
                " auth_basic or ssl_verify_client.",
            )
        return _judge_path(request)


def _judge_path(request: BrowserRequest) -> Handling | Refused:
    if request.path == "/" and request.method in _READING:
        return Handling.HOME
    if not _is_of_the_console(request.path):
        return Refused(404, f"There is nothing here but {HOME}.")
    if request.method not in _FORWARDED:
        return Refused(405, f"The method {request.method} is not allowed here.")
    if request.fetch_site in _OTHER_SITES and request.fetch_dest not in ("", "document"):
        return Refused(403, "Another site may link to the console, and not load parts of it.")
    if request.method not in _READING and _is_foreign(request):
        return Refused(403, "An order must come from a page of the console, not of another site.")
    return Handling.FORWARD


def _is_of_the_console(path: str) -> bool:
    """The API has other paths. Its orders need no token of a form, which another site has not."""
    segments = [unquote(segment) for segment in path.split("/")]
    if any(segment in (".", "..") or {"/", "\\", "\0"} & {*segment} for segment in segments):
        return False
    return path.startswith(HOME)


def _is_foreign(request: BrowserRequest) -> bool:
    """Whether the page of another origin has sent it. Each browser since 2023 tells its site."""
    if request.fetch_site:
        return request.fetch_site not in ("same-origin", "none")
    return bool(request.origin) and host_of(request.origin) != request.host


def host_of(origin: str) -> str:
    """The host of an Origin header, with the port if it has one; empty where it names none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The name of a Host header, without a port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
