"""Decides whether an app can be forked from a base, or starts by exec.

A base has started Python before uWSGI has read the ini. So what an ini says of how Python starts
comes too late, and what it says of the process itself would not be as in a process of its own.
"""

from emperor.uwsgi.ini import HOMES, PLUGIN_KEYS, Ini, Option, is_off, refers
from emperor.uwsgi.loops import OTHER_LOOPS

# How Python starts, and as what.
_PYTHON = frozenset({
    "py-programname", "py-program-name", "optimize", "py-optimize", "python", "py", "pyrun",
    "pyshell", "pyshell-oneshot", "python-worker-override", "binary-path", "envdir",
    "early-envdir", "no-site", "pymodule-alias", "post-pymodule-alias", "umask",
})  # fmt: skip
# What the process does to itself as a whole: a fork has the memory of its base, and ps(1) shows the
# name of a fork elsewhere.
_PROCESS = frozenset({
    "chroot", "pivot-root", "pivot_root", "unshare", "unshare2", "setns", "setns-preopen",
    "never-swap", "limit-as", "reload-on-as", "reload-on-rss", "evil-reload-on-as",
    "evil-reload-on-rss", "daemonize", "daemonize2", "procname", "procname-prefix",
    "procname-prefix-spaced", "procname-append", "procname-master", "auto-procname", "refork",
    "re-fork", "refork-as-root", "re-fork-as-root", "refork-post-jail", "re-fork-post-jail",
    "cheaper-rss-limit-soft", "cheaper-rss-limit-hard",
})  # fmt: skip
# pyuwsgi, from which a base forks, has a stats pusher (statsd) that uwsgi lacks.
_BUILDS = frozenset({"stats-push", "stats-pusher"})
# With these the ini says more than its options do.
_UNKNOWN = frozenset({"declare-option"})
_ALWAYS = _PYTHON | _PROCESS | _BUILDS | _UNKNOWN | OTHER_LOOPS
VARIABLES = frozenset({"env", "unenv"})
# All by which an app may have to start by exec.
BY_EXEC = _ALWAYS | PLUGIN_KEYS | HOMES | VARIABLES
# uWSGI has these, or goes on without them.
_OWN_PLUGINS = frozenset({"python", "python3", "http"})
# Variables that Python and OpenSSL read when they start.
_EARLY = ("PYTHON", "OPENSSL_")
_LOCALES = frozenset({"LANG", "LC_ALL", "LC_CTYPE"})
# `site` looks there for packages of the user.
_HOME_OF_USER = "HOME"
_UTF_8 = ("utf-8", "utf8")


def why_by_exec(ini: Ini) -> str:
    """The first option of the ini for which its app starts by exec; empty where it can be
    forked."""
    for option in ini.options:
        if option.key in BY_EXEC and _needs_exec(option):
            return f"{option.key} = {option.value}"
    return ""


def variables_of(ini: Ini) -> tuple[str, ...]:
    """The variables of the environment that the ini sets or unsets."""
    values = (option.value for option in ini.options if option.key in VARIABLES)
    return tuple(value.partition("=")[0] for value in values)


def _needs_exec(option: Option) -> bool:
    key, value = option.key, option.value
    if key in PLUGIN_KEYS:
        return not _OWN_PLUGINS.issuperset(name.strip() for name in value.split(","))
    if key in VARIABLES:
        name = value.partition("=")[0]
        is_early = name.startswith(_EARLY) or name == _HOME_OF_USER or refers(name)
        return is_early or (name in _LOCALES and not value.lower().endswith(_UTF_8))
    if key in HOMES:
        return refers(value) or not value
    return not is_off(value)
