"""The names of the users that vassals run as."""

from collections.abc import Iterable

from emperor.linux.accounts import SystemAccounts


def names_of(uids: Iterable[int | None], accounts: SystemAccounts) -> dict[int | None, str]:
    """The names of users, sorted; a number where there is no name. May read /etc/passwd."""
    found = {uid: _name(uid, accounts) for uid in uids}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _name(uid: int | None, accounts: SystemAccounts) -> str:
    user = accounts.daemon if uid is None else accounts.user(str(uid))
    return user.user if user and user.user else str(uid)
