"""The part of docs/benchmarks.md that tells the project's limits, which are kept, and which not."""

from collections.abc import Iterator, Mapping

from docs.figures import Measured, text_of
from docs.folding import folded, folded_item

_HEAD = """\
## The limits of the project

"""
_TEXT = (
    "Each of these rows has a limit in the benchmark. `make bench ROWS=NAME` measures it again. A "
    "limit for a ratio is one for the median of the ratios of all rounds; the spread is that of "
    "emperord's own values."
)
_COLUMNS = """

| | ROWS | limit | measured | spread | n | |
|---|---|---|---|---|---|---|
"""
_HOW_NEAR = "decisions/bases.md#how-near-that-is-to-what-a-fork-can-do"
# By the beginning of the names of rows.
_WHY_MISSED = {
    "cold start, ": "by exec, emperord does some 2 ms of work before uWSGI starts, and a tenant's "
    f"app takes two small programs before it ([the parts]({_HOW_NEAR})).",
    "cold start from a base": "a plain fork of the same interpreter, which has no user, control "
    f"group or log of its own, takes most of that time here ([compared]({_HOW_NEAR})).",
    "through the balancer": "for each request nginx runs Lua, which chooses the backend, keeps to "
    "the states of the backends, and writes what was tried into the log.",
}


def limits_part(measured: Mapping[str, Measured]) -> str:
    """The part about the rows that have a limit; empty if none has."""
    rows = {what: row for what, row in measured.items() if row.limit is not None}
    if not rows:
        return ""
    lines = "\n".join(_line(what, row) for what, row in rows.items())
    missed = [what for what, row in rows.items() if row.is_kept is False]
    return "\n".join([f"{_HEAD}{folded(_TEXT)}{_COLUMNS}{lines}\n", *_reasons(missed)])


def _line(what: str, row: Measured) -> str:
    limit = row.limit.text(row.unit) if row.limit is not None else ""
    is_ratio = row.limit is not None and row.limit.over is not None
    figure = "-" if row.limited is None else text_of(row.limited, "" if is_ratio else row.unit)
    spread = ""
    if row.least is not None and row.most is not None:
        spread = f"{text_of(row.least, '')} to {text_of(row.most, row.unit)}"
    result = {True: "kept", False: "**missed**", None: "not comparable"}[row.is_kept]
    return f"| {what} | {row.rows} | {limit} | {figure} | {spread} | {row.n} | {result} |"


def _reasons(missed: list[str]) -> Iterator[str]:
    reasons = {
        start: reason
        for start, reason in _WHY_MISSED.items()
        if any(what.startswith(start) for what in missed)
    }
    if reasons:
        yield "Why some are missed:\n"
        for start, reason in reasons.items():
            yield folded_item(f"- {start.rstrip(', ')}: {reason}")
        yield ""
