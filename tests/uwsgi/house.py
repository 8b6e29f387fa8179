"""A machine with two tenants, on which inis are read."""

from dataclasses import dataclass, replace
from typing import Any

from emperor.model.definition import Definition, FileOwner
from emperor.model.settings import Settings, read_settings
from emperor.model.spec import Identity, Spec, numeric_id
from emperor.uwsgi.ini import Ini, parse
from emperor.uwsgi.spec import spec_of

DOMAIN = "www.a.example"
OWN = f"/var/sockets/{DOMAIN}/socket"
ROOT = FileOwner(0, 0)
ALICE = FileOwner(1001, 33)
# Most inis here are root's and name no user.
SETTINGS = read_settings("", "emperord.ini", {"allow-root": "true"})

_USERS = (
    Identity(0, 0, "root"),
    Identity(1001, 2001, "alice"),
    Identity(1002, 2002, "bob"),
    Identity(1003, 2003, "carol"),
    Identity(33, 33, "www-data"),
    Identity(13, 13, "proxy"),
)
_MEMBERS = frozenset({("carol", 33)})
_GROUPS = {"root": 0, "www-data": 33, "alices": 2001, "bobs": 2002}


@dataclass(frozen=True)
class Machine:
    """Its accounts, and the user of the daemon."""

    daemon: Identity = _USERS[0]

    def user(self, name: str) -> Identity | None:
        return next((user for user in _USERS if name in (user.user, str(user.uid))), None)

    def is_member(self, user: Identity, gid: int) -> bool:
        return user.gid == gid or (user.user, gid) in _MEMBERS

    def group(self, name: str) -> int | None:
        number = numeric_id(name)
        return _GROUPS.get(name) if number is None else number


AS_ROOT = Machine()
AS_BOB = Machine(_USERS[2])


def ini_of(text: str) -> Ini:
    """An ini of DOMAIN with the [uwsgi] options `text`, which may go on with [emperor]."""
    return parse(f"[uwsgi]\n{text}\n".encode(), f"{DOMAIN}.ini", "/etc/uwsgi/vassals")


def of_owner(owner: FileOwner, *granted: str) -> Definition:
    """A definition without an ini, with all else that is needed of it."""
    return Definition(DOMAIN, f"{DOMAIN}.ini", "/etc/uwsgi/vassals", b"", owner, frozenset(granted))


def spec(
    text: str, owner: FileOwner = ROOT, machine: Machine = AS_ROOT, settings: Settings = SETTINGS,
    **changes: Any,
) -> Spec:  # fmt: skip
    """The spec of such an ini. `changes` are of the settings."""
    return spec_of(of_owner(owner), ini_of(text), replace(settings, **changes), machine)
