"""Finds the options of an ini that its uWSGI does not know and ignores, for `emperorctl check`."""

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches

from emperor.model.definition import BrokenIni
from emperor.uwsgi.emperor_options import EXPLAINED
from emperor.uwsgi.features import missing_feature
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import PLUGIN_KEYS, Ini, Option
from emperor.uwsgi.lint import ANSWERS
from emperor.uwsgi.option_rules import DECLARE
from emperor.uwsgi.plugins import plugins_of
from emperor.uwsgi.runtime_options import APPS
from emperor.uwsgi.spec import EMPEROR_KEYS

# A line without `=`, or with one in the wrong place.
_WORDS = re.compile(r"([^\s:]+)(?:\s*:\s*|\s+)(.*)")
# Less similar names are other words, as `base` and `pause`.
_SIMILARITY = 0.8
# Words by which variables are set elsewhere, and what looks like a variable.
_ENV = frozenset({"export", "setenv", "set-env", "environment", "environ"})
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
# Their values begin with the name of a new option, or of a placeholder.
_MAKERS = DECLARE | {"set-placeholder", "set-ph"}
# These answer without an app that `need-app` would miss.
_OF_PLUGINS = frozenset({"cgi", "php-app", "php-docroot", "lua"})
# With these, uWSGI may know more options than the names of the plugins tell.
_MORE_OPTIONS = DECLARE | {"plugins-dir", "plugin-dir", "autoload", "dlopen"}
_NO_SETTING = "write key = value, or make it a comment"
# What stands in `%(...)`.
_QUOTED = re.compile(r"%\(([^)]*)")
# The comparison with all options takes 20 ms, and a file may have thousands of other words.
_MOST_COMPARED = 100


def answers_by_plugins(ini: Ini) -> bool:
    """Whether only options of plugins answer requests, and uWSGI can be asked by the names of the
    plugins whether it has these options."""
    keys = ini.last.keys()
    if _OF_PLUGINS.isdisjoint(keys):
        return False
    if not ANSWERS & keys <= _OF_PLUGINS or not _MORE_OPTIONS.isdisjoint(keys):
        return False
    return not any(option.key in PLUGIN_KEYS and "/" in option.value for option in ini.options)


def refuse_without_plugins(ini: Ini, known: Collection[str]) -> None:
    """Raise BrokenIni for an ini of which all that answers is an option that is not `known`."""
    for finding in unknown_options(ini, known):
        if finding.severity is Severity.ERROR:
            raise BrokenIni(finding.text, finding.cure, finding.line)


def unknown_options(ini: Ini, known: Collection[str]) -> list[Finding]:
    """Findings about the options that uWSGI ignores."""
    return [finding for _, finding in ignored_options(ini, known)]


def ignored_options(ini: Ini, known: Collection[str]) -> Iterator[tuple[Option, Finding]]:
    """The options that uWSGI ignores, since they are not among its `known` options, and a finding
    about each. The ini need not be resolved yet. A key that a value refers to as %(key) is a
    placeholder, and gets no finding."""
    quoted = "\n".join(_QUOTED.findall("\n".join(option.value for option in ini.options)))
    declared = {option.value.partition("=")[0] for option in ini.options if option.key in _MAKERS}
    known = frozenset(known)
    usable = {option.key for option in ini.options} & known
    plugins = plugins_of(ini).names
    compared = 0
    for option in ini.options:
        key = option.key
        # `lint` tells of options of the Emperor, of which newer versions have more.
        if key in EXPLAINED:
            continue
        if key in known or key in declared or (quoted and key in quoted):
            continue
        text, cure = _unknown(option, known, plugins, known if compared < _MOST_COMPARED else ())
        compared += 1
        # The only app, or all that answers; of other options uWSGI can do without.
        is_app = key in APPS and usable.isdisjoint(APPS)
        is_needed = is_app or (key in ANSWERS and usable.isdisjoint(ANSWERS))
        severity = Severity.ERROR if is_needed else Severity.WARNING
        yield option, Finding(option.line, severity, text, cure)


def _unknown(
    option: Option, known: Collection[str], plugins: Collection[str], similar_to: Collection[str]
) -> tuple[str, str]:
    """Text and cure for a key that uWSGI does not know. The key is compared with `similar_to`."""
    key = option.key
    text = f"uWSGI has no option {key!r} and ignores it"
    if key in EMPEROR_KEYS:
        return f"{text}; it is a key of emperord", f"write {key} into a section [emperor]"
    if missing := missing_feature(key, known, plugins):
        return missing
    if words := _WORDS.fullmatch(key):
        return text, _spelled(option, words, known, similar_to)
    if key in _ENV or _VARIABLE.fullmatch(key):
        value = option.value if key in _ENV else f"{key}={option.value}"
        return text, f"write env = {value}, if it is a variable for the app"
    similar = _similar(key, similar_to)
    return text, f"write {similar[0]}" if similar else "drop it, or load the plugin that knows it"


def _spelled(
    option: Option, words: re.Match[str], known: Collection[str], similar_to: Collection[str]
) -> str:
    """The cure for a key of several words."""
    name, value = words.groups()
    joined = re.sub(r"[\s_]+", "-", option.key)
    if joined in known:
        return f"write {joined} = {option.value}"
    if (name in _ENV or name == "env") and option.value:
        return f"write env = {value}={option.value}"
    meant = name if name in known else next(iter(_similar(name, similar_to)), None)
    return f"write {meant} = {value}" if meant else _NO_SETTING


def _similar(key: str, known: Collection[str]) -> list[str]:
    return get_close_matches(key, known, n=1, cutoff=_SIMILARITY)
