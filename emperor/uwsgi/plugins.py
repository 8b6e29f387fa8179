"""The plugins that an ini has uWSGI load, and what becomes of those that uWSGI does not find
(core/plugins.c).

A uWSGI from PyPI has its plugins built in, and one of a distribution has them as files. An ini that
was written for the other kind names plugins that are not there. uWSGI says so in its log alone.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import PLUGIN_KEYS, Ini, Option
from emperor.uwsgi.loaded import is_roots

_FOLDERS = frozenset({"plugins-dir", "plugin-dir"})
_NEEDED = frozenset({"need-plugin", "need-plugins"})
# A plugin may have the number of its modifier before it. A path would run any code.
_NAME = re.compile(r"(?:\d+:)?([A-Za-z0-9_]+)")
_VERSION = re.compile(r"\d*$")
_NO_FILE = "_plugin.so: cannot open shared object file"


@dataclass(frozen=True, slots=True)
class Plugins:
    """Plugins by their names, and the folders in which uWSGI looks for them first. Only root can
    change these folders."""

    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The options by which uWSGI loads them."""
        loading = [f"--plugins-dir={folder}" for folder in self.folders]
        return [*loading, f"--plugins={','.join(self.names)}"] if self.names else []


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why uWSGI cannot load plugins, by their names, and the plugins that are built into it."""

    why: Mapping[str, str]
    built_in: Collection[str]


def plugins_of(ini: Ini) -> Plugins:
    """The plugins that the ini loads by their names, without its folders."""
    names = [name for option in ini.options if option.key in PLUGIN_KEYS for name in _names(option)]
    return Plugins(tuple(dict.fromkeys(names)))


def plugins_in_folders(ini: Ini) -> Plugins:
    """The plugins that the ini loads, with those of its folders that are root's. May wait for
    disks."""
    return Plugins(plugins_of(ini).names, tuple(filter(is_roots, _folders(ini))))


def unfound_plugins(ini: Ini, lacking: Lacking) -> Iterator[Finding]:
    """A finding for each plugin that uWSGI does not find. There is none where the ini names a
    folder that others than root can change. May wait for disks."""
    if not all(map(is_roots, _folders(ini))):
        return
    for option in ini.options:
        for name in _names(option) if option.key in PLUGIN_KEYS else ():
            if name in lacking.why:
                yield _unfound(option, name, lacking)


def _unfound(option: Option, name: str, lacking: Lacking) -> Finding:
    why = lacking.why[name]
    is_built_in = _VERSION.sub("", name) in lacking.built_in
    text, cure = f"uWSGI finds no plugin {name}", f"drop {name}"
    if is_built_in:
        text = f"{text}: it has that built in"
    elif _NO_FILE in why:
        cure = f"install it, set plugins-dir above it, or drop {name}"
    else:
        text, cure = f"uWSGI cannot load the plugin {name}: {why}", f"install that, or drop {name}"
    if option.key in _NEEDED:
        return Finding(option.line, Severity.ERROR, f"{text}, so the app does not start", cure)
    severity = Severity.NOTE if is_built_in else Severity.WARNING
    return Finding(option.line, severity, f"{text}, and goes on", cure)


def _folders(ini: Ini) -> list[str]:
    return [option.value for option in ini.options if option.key in _FOLDERS]


def _names(option: Option) -> list[str]:
    """The plugins of a list. Those by a path are left out."""
    words = [_NAME.fullmatch(word.strip()) for word in option.value.split(",")]
    return [match[1] for match in words if match]
