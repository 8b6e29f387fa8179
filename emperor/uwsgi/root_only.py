"""Finds what uWSGI does only if it starts as root (uwsgi_as_root of core/utils.c).

As another user it skips these hooks, commands and waits, and does not tell.
"""

from collections.abc import Iterable, Iterator
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
_CAPABILITIES = frozenset({"cap"})
_WAITS = frozenset({
    "wait-for-interface", "wait-for-iface", "wait-interface", "wait-iface", "wait-for-fs",
    "wait-for-file", "wait-for-dir", "wait-for-mountpoint",
})  # fmt: skip
_SKIPPED = _PRIVILEGED | _CAPABILITIES | _WAITS


def split(ini: Ini, start: Identity) -> tuple[Ini, Iterable[Finding]]:
    """The ini without what uWSGI skips when it starts as that user, a warning about each such
    option, and an error about what uWSGI cannot do as root."""
    if start.uid == ROOT:
        return ini, _kept_capabilities(ini)
    kept = tuple(each for each in ini.options if each.key not in _SKIPPED)
    skipped = [each for each in ini.options if each.key in _SKIPPED]
    findings = []
    for option in skipped:
        text = f"uWSGI skips {option.key}, since it starts as {name_of(start)} and not as root"
        kind = option.key.partition("-")[0]
        another = "" if kind not in ("hook", "exec", "call") else f", or use {kind}-pre-app"
        findings.append(Finding(option.line, Severity.WARNING, text, f"drop {option.key}{another}"))
    return replace(ini, options=kept), findings


def _kept_capabilities(ini: Ini) -> Iterator[Finding]:
    """uWSGI gives up all capabilities but these, and tries it again if it remains root."""
    option = ini.last.get("cap")
    if option and "uid" not in ini.last:
        text = "cap fails as root, since uWSGI sets capabilities twice, so the app does not start"
        cure = "set uid and gid beside cap, to which uWSGI changes then, or drop cap"
        yield Finding(option.line, Severity.ERROR, text, cure)
