"""The user and the group that the sockets belong to, by the settings."""

import grp
import pwd

from emperor.model.settings import Settings, SettingsError


def owners(settings: Settings) -> tuple[int, int]:
    """The uid and gid that sockets get. Raises SettingsError for an unknown name."""
    return _uid(settings.socket_owner), _gid(settings.socket_group)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _uid(user: str) -> int:
    try:
        return int(user) if _is_number(user) else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise SettingsError(f"cannot use socket-owner = {user!r}: there is no such user") from None


def _gid(group: str) -> int:
    try:
        return int(group) if _is_number(group) else grp.getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError(
            f"cannot use socket-group = {group!r}: there is no such group; it must be nginx's"
        ) from None
