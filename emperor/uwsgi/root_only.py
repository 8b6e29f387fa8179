"""Finds what uWSGI does only if it starts as root (uwsgi_as_root of core/utils.c).

As another user it skips these hooks, commands and waits, and does not tell.
"""

from collections.abc import Iterable
from dataclasses import replace

from emperor.model.spec import Identity
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.identity import ROOT
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.users import name_of

_PRIVILEGED = frozenset({
    "hook-as-root", "exec-as-root", "call-as-root", "mount-as-root", "umount-as-root",
    "hook-as-user", "exec-as-user", "call-as-user",
    "hook-post-jail", "exec-post-jail", "call-post-jail", "mount-post-jail", "umount-post-jail",
})  # fmt: skip
_WAITS = frozenset({
    "wait-for-interface", "wait-for-iface", "wait-interface", "wait-iface", "wait-for-fs",
    "wait-for-file", "wait-for-dir", "wait-for-mountpoint",
})  # fmt: skip


def split(ini: Ini, start: Identity) -> tuple[Ini, Iterable[Finding]]:
    """The ini without what uWSGI skips when it starts as that user, and a warning about each such
    option."""
    if start.uid == ROOT:
        return ini, ()
    done = tuple(each for each in ini.options if each.key not in _PRIVILEGED | _WAITS)
    skipped = [each for each in ini.options if each.key in _PRIVILEGED | _WAITS]
    findings = []
    for option in skipped:
        text = f"uWSGI skips {option.key}, since it starts as {name_of(start)} and not as root"
        kind = option.key.partition("-")[0]
        another = "" if kind not in ("hook", "exec", "call") else f", or use {kind}-pre-app"
        findings.append(Finding(option.line, Severity.WARNING, text, f"drop {option.key}{another}"))
    return replace(ini, options=done), findings
