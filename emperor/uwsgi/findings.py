"""What `emperorctl check` says of an ini."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum


class Severity(Enum):
    """ERROR: the app will not be served. WARNING: the app will not work as the ini says. NOTE: it
    will, but there is something that the administrator should know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `line` is 0 when it is about the whole ini."""

    line: int
    severity: Severity
    text: str
    cure: str


_REFUSED = re.compile(r"uWSGI refuses it .*unknown config directive: (?P<key>.*)")
_OF_UWSGI = "uWSGI refuses it "
# What else an option means, which does not matter before it is correct.
_CONSEQUENCES = (
    "a request at ", "a changed ini stops the app ", "what ", "its output goes to ",
    "if the command of ", "uWSGI has no option ", "this uWSGI was built without ",
)  # fmt: skip
# Another ini has the address, and so the uWSGI of that ini listens there.
_EXCLUDES, _LISTENS = ": only one of the two apps can start", "uwsgi (pid "
# The text about what looks like a comment, and what it makes of a value.
_COMMENT = " is no comment but part of "
_MISREAD = " counts as "


def once(found: Sequence[Finding]) -> list[Finding]:
    """`found` with one finding for each cause: not what else an option means that has an error, not
    that uWSGI refuses what another finding explains, not what a comment makes of a value, and not
    that uWSGI ignores an option which it refuses under `strict`."""
    kept = list(dict.fromkeys(found))
    for error in [each for each in kept if _REFUSED.match(each.text)]:
        key = error.text.rpartition(": ")[2]
        unknown = [
            each for each in kept if each.line and key in each.text and "ignore" in each.text
        ]
        if unknown:
            kept = [each for each in kept if each not in (error, unknown[0])]
            text = f"uWSGI refuses it under strict: unknown config directive: {key}"
            kept.append(replace(unknown[0], severity=Severity.ERROR, text=text))
    explained = {each.line for each in kept if _is_error(each) and not is_of_uwsgi(each)}
    kept = [each for each in kept if not (is_of_uwsgi(each) and each.line in explained)]
    excluded = {each.line for each in kept if _EXCLUDES in each.text}
    kept = [
        each for each in kept if each.line not in excluded or not each.text.startswith(_LISTENS)
    ]
    broken = {each.line for each in kept if each.line and _is_error(each)}
    kept = [each for each in kept if each.line not in broken or not _is_consequence(each)]
    comments = {each.line: each for each in kept if each.line and _COMMENT in each.text}
    return [merged for each in kept if (merged := _with_comment(each, comments, broken))]


def _with_comment(
    finding: Finding, comments: Mapping[int, Finding], broken: Collection[int]
) -> Finding | None:
    """The finding. An error about a value with a comment gets the cure for the comment, and then
    says all."""
    comment = comments.get(finding.line)
    if comment is None:
        return finding
    if _is_error(finding):
        return replace(finding, cure=comment.cure)
    if finding is comment:
        return None if finding.line in broken else finding
    return None if _MISREAD in finding.text else finding


def _is_error(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR


def is_of_uwsgi(finding: Finding) -> bool:
    """Whether uWSGI itself refuses a line."""
    return finding.line != 0 and finding.text.startswith(_OF_UWSGI)


def _is_consequence(finding: Finding) -> bool:
    return finding.severity is Severity.NOTE or finding.text.startswith(_CONSEQUENCES)
