"""Finds routes that answer no request (core/routing.c, measured on 2.0.31)."""

import re
from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import Ini, Option, refers

_ROUTE = re.compile(r"(?P<when>(?:error|response|final)-)?route(?:-(?P<by>.+))?")
_AFTER_THE_REPLY = "final-"
_LABEL = "label"
# These change the request or the reply and leave the answer to what comes after them. Without
# content of an app, a cache has nothing to answer with.
_SILENT = re.compile(
    r"[-+*/]|add(?:header|var)|alarm|log(?:var)?|cache.*|chdir|chunked|clearheaders|continue|last"
    r"|(?:del|rem)header|disableheaders|donot(?:log|offload)|expires|fixcl|fixpathinfo|flush"
    r"|forcecl|goto|gzip|harakiri|hash|memcached.*|metric.*|offload|redis.*|resetheaders"
    r"|rewrite(?:-last)?|rpcvar|set.*|signal|to-?file|toupper|template"
)
# Without a status, uWSGI closes the connection.
_STATUS = re.compile(r"[1-5]\d\d\b")
# uWSGI searches the labels that come after the jump.
_GOTO = re.compile(r"(?:\S+ )?goto:(?P<label>\S+)")


def answering_route(ini: Ini) -> Option | None:
    """The first route whose action answers a request, as redirect: and static: do."""
    return next((option for option in ini.options if _answers(option)), None)


def silent_route(ini: Ini) -> Option | None:
    """The last route whose action answers no request."""
    routes = [option for option in ini.options if _action(option) and not _answers(option)]
    return routes[-1] if routes else None


def is_for_all(route: Option) -> bool:
    """Whether a route is for each request."""
    return route.key.endswith("-run")


def _answers(route: Option) -> bool:
    name, _, argument = _action(route).partition(":")
    if name == "send":
        # It sends these bytes alone, without a status.
        return argument.startswith("HTTP/")
    if name == "break":
        return refers(argument) or _STATUS.match(argument) is not None
    return bool(name) and not _SILENT.fullmatch(name)


def _action(option: Option) -> str:
    """The action of a route, as NAME:ARGUMENT; empty for another option."""
    match = _ROUTE.fullmatch(option.key)
    if not match or match["when"] == _AFTER_THE_REPLY or match["by"] == _LABEL:
        return ""
    return option.value if match["by"] == "run" else option.value.partition(" ")[2].lstrip()


def jumps(ini: Ini) -> Iterator[Finding]:
    """Jumps to a label that is not below. A jump of each request is an error."""
    routes = [
        each for each in ini.options if (route := _ROUTE.fullmatch(each.key)) and not route["when"]
    ]
    for number, option in enumerate(routes):
        match = _GOTO.fullmatch(option.value)
        if match is None or refers(option.value):
            continue
        below = [each.value for each in routes[number + 1 :] if each.key == "route-label"]
        if match["label"] not in below:
            severity = Severity.ERROR if option.key == "route-run" else Severity.WARNING
            text = (
                f"there is no route-label = {match['label']} below, so such requests get no answer"
            )
            yield Finding(option.line, severity, text, "add the label below this line")
