"""The ini of a vassal, line by line, with what `emperorctl check` says of its options.

Only those see the text whom the file lets read it: an ini of root's may have passwords, and a
member of control-group need not be root. All of this reads files, and is called in a thread.
"""

from collections import defaultdict
from dataclasses import dataclass

from emperor.linux.access import FileSystem
from emperor.linux.accounts import SystemAccounts
from emperor.linux.limits import somaxconn
from emperor.model.access import Reach
from emperor.model.definition import BrokenIni
from emperor.model.settings import Settings
from emperor.model.spec import Identity, Spec
from emperor.sources.files import read_ini
from emperor.uwsgi.findings import Finding, Severity, once
from emperor.uwsgi.ini import parse
from emperor.uwsgi.lint import lint
from emperor.uwsgi.options import UwsgiOptions

_MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said of a line. `severity` is a class of the style sheet."""

    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the ini."""

    number: int
    text: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class IniView:
    """The ini. `general` are remarks on the whole of it, and on lines at its end, of which so many
    are `left_out`. `why_none` says why there are no lines; empty: there are."""

    path: str
    lines: tuple[Line, ...] = ()
    general: tuple[Remark, ...] = ()
    why_none: str = ""
    left_out: int = 0

    @property
    def has_remarks(self) -> bool:
        """Whether `check` has anything to say of a line."""
        return any(line.remarks for line in self.lines)


def may_read(path: str, uid: int, accounts: SystemAccounts) -> bool:
    """Whether that user can read the file by itself."""
    user = accounts.user(str(uid)) or Identity(uid, uid, None)
    access = FileSystem().access(path, user)
    return access.reach is Reach.REACHED and access.can_read


def view(path: str, uid: int, spec: Spec, settings: Settings, accounts: SystemAccounts) -> IniView:
    """The ini at `path`, for the user `uid`. `spec` was made of it, or of the version before."""
    try:
        if not may_read(path, uid, accounts):
            return IniView(path, why_none=f"uid {uid} may not read this file")
        data = read_ini(path).data
    except OSError as error:
        return IniView(path, why_none=f"cannot read it: {error.strerror}")
    except BrokenIni as error:
        return IniView(path, why_none=f"cannot use it: {error.cause}")
    remarks: defaultdict[int, list[Remark]] = defaultdict(list)
    for finding in findings(data, spec, settings):
        cure = f"; {finding.cure}" if finding.cure else ""
        remark = Remark(finding.severity.value, f"{finding.text}{cure}")
        remarks[max(0, finding.line)].append(remark)
    # uWSGI ends a line nowhere else.
    texts = data.decode(errors="replace").removesuffix("\n").split("\n")
    lines = tuple(
        Line(number, text, tuple(remarks[number]))
        for number, text in enumerate(texts[:_MOST_LINES], 1)
    )
    later = [
        Remark(each.severity, f"line {number}: {each.text}")
        for number in sorted(remarks)
        for each in remarks[number]
        if number > _MOST_LINES
    ]
    left_out = max(0, len(texts) - _MOST_LINES)
    return IniView(path, lines, (*remarks[0], *later), left_out=left_out)


def findings(data: bytes, spec: Spec, settings: Settings) -> list[Finding]:
    """What can be said of an ini by its text alone."""
    if not isinstance(spec.runtime, UwsgiOptions):
        return []
    try:
        ini = parse(data, spec.ini, str(settings.vassals_dir))
        return once(lint(ini, spec, settings, somaxconn()))
    except BrokenIni as error:
        return [Finding(error.line, Severity.ERROR, error.cause, error.cure)]
