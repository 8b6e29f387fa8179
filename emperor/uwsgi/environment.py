"""The environment of what runs as the user of an app: a short list.

What systemd or a shell told the daemon is not for apps.
"""

from collections.abc import Mapping

from emperor.model.spec import Identity

# What systemd gives services.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LANG = "C.UTF-8"


def environment_of_nobody(inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process whose user changes, or is not known yet. `inherited` are those of
    this process, which tell the language of the machine (locale.conf(5))."""
    return {"PATH": PATH, "LANG": inherited.get("LANG", _LANG)}


def environment_of(user: Identity, inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of that user, `inherited` as above."""
    environment = environment_of_nobody(inherited) | {"HOME": user.home}
    if user.user is not None:
        environment |= {"USER": user.user, "LOGNAME": user.user}
    return environment
