"""Finds inis whose app cannot boot beside its predecessor, though the settings ask for that."""

from collections.abc import Iterator

from emperor.model.settings import Settings
from emperor.model.spec import OnChange, Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import SOCKETS, Ini
from emperor.uwsgi.places import places
from emperor.uwsgi.sockets import normal_address
from emperor.uwsgi.spec import cannot_run_twice


def restarts(ini: Ini, spec: Spec, settings: Settings) -> Iterator[Finding]:
    """A note where a changed ini has the app end before its successor boots."""
    if spec.overlaps or settings.on_change is OnChange.RESTART or ini.attribute("on-change"):
        return
    last = ini.last
    where = places(last, str(settings.vassals_dir))
    passed_on = {socket.address for socket in spec.inherited}
    fixed = [
        option for option in ini.options
        if option.key in SOCKETS
        and normal_address(option, where) in set(spec.foreign_sockets) - passed_on
    ]  # fmt: skip
    if option := cannot_run_twice(last) or next(iter(fixed), None):
        reason = (
            "cannot be passed on to a new process: it must be alone on a line of the ini itself,"
            " named once, and quoted nowhere"
            if option in fixed
            else "is for one process only"
        )
        yield Finding(
            option.line, Severity.NOTE,
            f"a changed ini stops the app before its successor boots, since {option.key} ="
            f" {option.value} {reason}: requests wait for the boot",
            f"drop {option.key}, or set on-change = overlap in [emperor] if nothing else needs it",
        )  # fmt: skip
