"""Finds what in an ini does not work here, or works otherwise than its author may expect.

`emperorctl check` prints these findings. There is none for an option with which uWSGI and emperord
do what they always do, such as vacuum, touch-reload, processes, cheaper or harakiri.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from emperor.model.definition import BrokenIni
from emperor.model.duration import format_duration, parse_duration
from emperor.model.settings import Settings
from emperor.model.spec import Activation, Spec, WireProtocol
from emperor.uwsgi.emperor_options import EXPLAINED, Support, plain
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import (
    BLOCKS,
    LOADERS,
    PROTOCOL_KEYS,
    SOCKETS,
    Ini,
    Option,
    of_emperor,
)
from emperor.uwsgi.lost_app import LostApp, lost_app
from emperor.uwsgi.numbers import whole_number
from emperor.uwsgi.option_rules import DECLARE, ERRORS_OF, RULES_OF, findings_of_options
from emperor.uwsgi.places import places
from emperor.uwsgi.routes import answering_route, is_for_all, silent_route
from emperor.uwsgi.rules_by_name import RulesByName
from emperor.uwsgi.runtime_options import APPS
from emperor.uwsgi.sockets import normal_address, shared_socket, spelled_address, spoken
from emperor.uwsgi.spec import EMPEROR_KEYS

# These answer requests too, beside the apps that `need-app` knows. Without an index, files alone
# answer no request for `/`.
ANSWERS = APPS | {
    "worker-exec", "worker-exec2", "python-worker-override", "static-index", "symcall",
    "cgi", "php-app", "php-docroot", "lua", "emperor", "pyrun", "py", "python", "pyshell",
}  # fmt: skip
# A uWSGI without the library ignores the option.
_LIBRARIES = {
    "json": "jansson", "js": "jansson", "xml": "libxml2", "xmlconfig": "libxml2",
    "yaml": "libyaml", "yml": "libyaml",
}  # fmt: skip
_STATIC = frozenset({"static-map", "static-map2", "check-static", "static-check"})
# uWSGI itself takes longer to start.
_LEAST_START_SECONDS = 0.02
# uWSGI keeps only the last value of these, and all values of many others.
_SCALARS = APPS - {"mount", "worker-mount"} | {
    "idle", "listen", "processes", "workers", "threads", "chdir", "callable", "master", "home",
    "virtualenv", "venv", "uid", "gid", "harakiri", "need-app", "protocol", "loop", "gevent",
}  # fmt: skip
# Options of uWSGI, of which some are spelled like an option that names an app.
_SPELLED_RIGHT = _SCALARS | RULES_OF.keys() | {"pidfile", "touch-reload", "route", "legion"}
_ENDS = frozenset({"end", "endif", "end-if", "endfor", "end-for"})
_COMMENT = re.compile(r"\s[;#]")
# In the values of these, ; and # have a meaning of their own.
_SHELL = re.compile(
    r"exec-.*|hook-.*|(?:unique-)?(?:legion-)?cron.*|(?:legion-)?(?:smart-)?attach-.*|touch-exec"
    r"|alarm|(?:(?:error|response|final)-)?route.*|log-format|env|eval"
)


@dataclass(frozen=True, slots=True)
class _Case:
    """An ini, and what `lint` looks at beside it."""

    ini: Ini
    spec: Spec
    settings: Settings
    somaxconn: int


_Finder = Callable[[_Case], Iterator[Finding]]


def lint(ini: Ini, spec: Spec, settings: Settings, somaxconn: int) -> list[Finding]:
    """All findings about `ini`, by line. `spec` is made of it. `somaxconn` is the kernel's
    net.core.somaxconn. An ini that needs uWSGI must be resolved already."""
    case = _Case(ini, spec, settings, somaxconn)
    findings = [
        *findings_of_options(ini, spec, RULES_OF),
        *_of_the_emperor(ini),
        *_comments(ini),
        *_sockets(case),
        *_backlog(case),
        *_duplicates(ini.options, _SCALARS),
        *_duplicates(ini.emperor, EMPEROR_KEYS),
        *_attributes(ini),
        *_timeouts(case),
        *_open_block(ini),
        *_app(case),
        *_root(ini, spec),
    ]
    return sorted(findings, key=lambda finding: finding.line)


def refuse_unservable(ini: Ini, spec: Spec, settings: Settings, somaxconn: int) -> None:
    """Raise BrokenIni, with the first error that `lint` would find, for a definition that cannot
    serve. The daemon refuses the definition for it, and `emperorctl check` prints the same."""
    case = _Case(ini, spec, settings, somaxconn)
    findings = [found for find in (*_ERRORS.about(ini), _app) for found in find(case)]
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        first = min(errors, key=lambda finding: finding.line)
        raise BrokenIni(first.text, first.cure, first.line)


def _stood_for(ini: Ini) -> set[str]:
    """The options that the options declared in an ini stand for, as in `name=file=$1;threads=2`."""
    declared = [option.value.partition("=")[2] for option in ini.options if option.key in DECLARE]
    return {part.partition("=")[0] for value in declared for part in value.split(";")}


def _unservable_options(case: _Case) -> Iterator[Finding]:
    return findings_of_options(case.ini, case.spec, ERRORS_OF)


def _of_the_emperor(ini: Ini) -> Iterator[Finding]:
    for option in ini.options:
        row = EXPLAINED.get(option.key)
        if row is not None and row.support is not Support.VASSAL and option.key != "emperor":
            text = f"{option.key} is for uWSGI's Emperor, and has no effect in the ini of a vassal"
            yield Finding(option.line, Severity.NOTE, text, f"drop it; here, {plain(row)}")


def _comments(ini: Ini) -> Iterator[Finding]:
    for option in (*ini.options, *ini.emperor):
        if not _SHELL.fullmatch(option.key) and (match := _COMMENT.search(option.value)):
            text = f"{option.value[match.start() + 1 :]!r} is no comment but part of {option.key}"
            yield Finding(option.line, Severity.WARNING, text, "put comments on lines of their own")


def _sockets(case: _Case) -> Iterator[Finding]:
    ini, spec = case.ini, case.spec
    where = places(ini.last, str(case.settings.vassals_dir))
    for option in ini.options:
        if option.key not in SOCKETS:
            continue
        path = spelled_address(option)
        if path == spec.socket:
            yield from _own_socket(option, ini, spec)
        elif path.startswith("fd://"):
            text = f"{path} refers to a descriptor that is not there; emperord serves the app at"
            yield Finding(option.line, Severity.NOTE, f"{text} {spec.socket}", "drop it")
        elif normal_address(option, where) != spec.socket:
            shared = shared_socket(option, ini) if path.startswith("=") else None
            asleep = shared.value if shared else path
            text = f"a request at {asleep} does not wake the app; emperord also serves it at"
            text += f" {spec.socket}"
            cure = f"let nginx pass requests to {spec.socket}, and drop this"
            yield Finding(option.line, Severity.WARNING, text, cure)


def _own_socket(option: Option, ini: Ini, spec: Spec) -> Iterator[Finding]:
    asked = spoken(option, ini)
    if asked is WireProtocol.UWSGI:
        return
    if asked is WireProtocol.RAW and spec.activation is not Activation.SOCKET:
        text = f"{option.key} speaks no uwsgi at {spec.socket}, so nginx gets no answer there"
        cure = "use uwsgi-socket, or set activation = socket in [emperor] for another front end"
        yield Finding(option.line, Severity.ERROR, text, cure)
    elif spec.protocol is WireProtocol.UWSGI:
        text = f"the app speaks uwsgi at {spec.socket} and not {asked.value}, since nginx does"
        cure = "use uwsgi-socket, or set activation = socket in [emperor] for another front end"
        yield Finding(option.line, Severity.NOTE, text, cure)
    else:
        text = f"{option.key} does not speak uwsgi, which nginx speaks to {spec.socket}"
        cure = "use uwsgi-socket, or have nginx speak that protocol to this domain"
        yield Finding(option.line, Severity.WARNING, text, cure)


def _backlog(case: _Case) -> Iterator[Finding]:
    ini, spec, somaxconn = case.ini, case.spec, case.somaxconn
    listens = [option for option in ini.options if option.key == "listen"]
    cure = f"raise net.core.somaxconn by sysctl, or ask for {somaxconn}"
    if listens and spec.foreign_sockets and whole_number(listens[-1]) > somaxconn:
        text = f"uWSGI refuses to listen with more than net.core.somaxconn, which is {somaxconn}"
        yield Finding(listens[-1].line, Severity.ERROR, text, cure)
    elif spec.backlog > somaxconn:
        line = max((option.line for option in listens), default=0)
        text = f"the kernel makes {somaxconn} of a backlog of {spec.backlog}"
        yield Finding(line, Severity.NOTE, text, cure)


def _duplicates(options: tuple[Option, ...], scalars: Collection[str]) -> Iterator[Finding]:
    last: dict[str, Option] = {}
    for option in options:
        before = last.get(option.key)
        # An option of another file is there to be overruled.
        is_here = before is not None and before.line > 0
        if option.key in scalars and before and is_here and before.value != option.value:
            text = f"{option.key} = {option.value} overrules line {before.line}, {before.value!r}"
            yield Finding(option.line, Severity.WARNING, text, "keep one of the two")
        last[option.key] = option


def _attributes(ini: Ini) -> Iterator[Finding]:
    for option in ini.emperor:
        if option.key not in EMPEROR_KEYS:
            text = f"[emperor] has no key {option.key!r} here, it is ignored"
            cure = f"use one of {', '.join(sorted(EMPEROR_KEYS))}, or drop it"
            yield Finding(option.line, Severity.WARNING, text, cure)


def _timeouts(case: _Case) -> Iterator[Finding]:
    spec = case.spec
    effective = {"start-timeout": spec.start_timeout, "stop-timeout": spec.stop_timeout}
    for option in case.ini.emperor:
        if option.key in effective and parse_duration(option.value) > effective[option.key]:
            limit = format_duration(effective[option.key])
            text = f"{option.key} = {option.value} counts as {limit} in a tenant's ini"
            cure = "shorten it, have root own the ini, or raise it in emperord.ini"
            yield Finding(option.line, Severity.WARNING, text, cure)
        if option.key == "start-timeout" and spec.start_timeout < _LEAST_START_SECONDS:
            text = f"start-timeout = {option.value} is over before any app can start"
            cure = "write a time that its slowest start needs, as 60s, or drop it"
            yield Finding(option.line, Severity.ERROR, text, cure)


def _open_block(ini: Ini) -> Iterator[Finding]:
    opened: Option | None = None
    for option in ini.options:
        if option.key in BLOCKS or option.key.startswith("if-"):
            opened = option
        elif option.key in _ENDS:
            opened = None
    if opened is not None:
        yield Finding(
            opened.line, Severity.WARNING,
            f"{opened.key} is never closed, so all options below it depend on it",
            "close it with endif or endfor",
        )  # fmt: skip


# All that may find an error, but for `_app`.
_ERRORS: RulesByName[_Finder] = RulesByName({
    _unservable_options: ERRORS_OF.keys(),
    _sockets: PROTOCOL_KEYS | {"raw-socket"},
    _backlog: {"listen"},
    _timeouts: {of_emperor("start-timeout")},
})  # fmt: skip


def _app(case: _Case) -> Iterator[Finding]:
    ini = case.ini
    keys = ini.last.keys()
    if keys.isdisjoint(ANSWERS) and _stood_for(ini).isdisjoint(ANSWERS):
        yield from _without_app(ini)
    elif (named := [ini.last[key] for key in APPS & keys]) and not any(
        each.value for each in named
    ):
        option = min(named, key=lambda each: each.line)
        text = f"{option.key} is empty, so it names no app"
        yield Finding(option.line, Severity.ERROR, text, f"write {option.key} = and the app")


def _root(ini: Ini, spec: Spec) -> Iterator[Finding]:
    if (spec.identity is None or spec.identity.uid == 0) and "uid" not in ini.last:
        reason = "[emperor] names root" if ini.attribute("uid") else "it names no user"
        text = f"{reason}, so the app runs as root"
        yield Finding(0, Severity.WARNING, text, "set uid in a section [emperor] to another user")


def _without_app(ini: Ini) -> Iterator[Finding]:
    if route := answering_route(ini):
        if not is_for_all(route):
            text = f"it names no app, so only what {route.key} = {route.value} is for has an answer"
            yield Finding(route.line, Severity.NOTE, text, "name the app if there is one")
        return
    lost = lost_app(ini, APPS, _SPELLED_RIGHT)
    text = f"it names no app, so every request would be answered with an error: {lost.text}"
    if loader := next((each for each in ini.options if each.key in LOADERS), None):
        text = f"it names no app, and {loader.key} = {loader.value} brought none"
        cure = "name the app here, or in the section that this names"
        if library := _LIBRARIES.get(loader.key):
            cure = f"name the app here, or use a uWSGI that was built with {library}"
        lost = LostApp(loader.line, text, cure)
    elif static := next((option for option in ini.options if option.key in _STATIC), None):
        text = f"it names no app, and {static.key} without an index answers no request for /"
        lost = LostApp(static.line, text, "name the app, or set static-index = index.html")
    elif route := silent_route(ini):
        text = f"it names no app, and {route.key} = {route.value} answers no request"
        lost = LostApp(route.line, text, "name the app, or use redirect:, static: or break:404")
    yield Finding(lost.line, Severity.ERROR, text, lost.cure)
