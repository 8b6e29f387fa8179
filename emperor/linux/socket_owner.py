"""The user and the group that the sockets belong to, by the settings."""

import grp
import pwd

from emperor.model.section import SettingsError
from emperor.model.settings import Settings
from emperor.model.spec import numeric_id


def owners(settings: Settings) -> tuple[int, int]:
    """The uid and gid that sockets get. Raises SettingsError for an unknown name."""
    return _uid(settings.socket_owner), _gid(settings.socket_group)


def _uid(user: str) -> int:
    try:
        number = numeric_id(user)
        return pwd.getpwnam(user).pw_uid if number is None else number
    except KeyError:
        raise SettingsError(f"cannot use socket-owner = {user!r}: there is no such user") from None


def _gid(group: str) -> int:
    try:
        number = numeric_id(group)
        return grp.getgrnam(group).gr_gid if number is None else number
    except KeyError:
        raise SettingsError(
            f"cannot use socket-group = {group!r}: there is no such group; it must be nginx's"
        ) from None
