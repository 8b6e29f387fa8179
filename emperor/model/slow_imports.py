"""What took the time of a start: imports, or the app's own file.

docs/api.md takes the text below a field as its meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlowImport:
    """What took a tenth or more of a start."""

    name: str
    """a module; a package, where no module of it took more than half of its time; or the path of
    the app's own file, for what that does outside of imports"""
    milliseconds: float
    """how long it took, without what it imports of other packages or modules"""
    percent: int
    """the same in percent of the time from the first import until the app accepted"""
    modules: int
    """of how many modules it is the time; 0: it is that of the app's own file"""
    imported_by: str | None
    """the module that imported it first; null: the app's own file, or uWSGI"""


def told(found: Sequence[SlowImport]) -> str:
    """What took the time of a start; empty when nothing is known."""
    return "; ".join(map(_import, found))


def _import(each: SlowImport) -> str:
    took = f"{each.milliseconds / 1000:.1f} s ({each.percent} %) in"
    if not each.modules:
        return f"{took} {each.name} itself, outside of imports"
    what = each.name if each.modules == 1 else f"the {each.modules} modules of {each.name}"
    return f"{took} {what}" + (f", which {each.imported_by} imports" if each.imported_by else "")
