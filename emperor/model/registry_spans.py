"""Which ranges of keys one watch covers, and which of what it tells was asked for."""

from bisect import bisect_right
from collections.abc import Collection

from emperor.model.registry_keys import Span


class Spans:
    """Ranges of keys that do not overlap, in their order."""

    def __init__(self, spans: Collection[Span]) -> None:
        self.ranges = _merged(spans)
        self._starts = [span.start for span in self.ranges]

    def __contains__(self, key: str) -> bool:
        position = bisect_right(self._starts, key)
        return position > 0 and key < self.ranges[position - 1].end

    def covered_by(self, most: int) -> list[Span]:
        """At most so many ranges that cover all of these, and few keys between them: the smallest
        gaps are closed."""
        gaps = [
            (_distance(one.end, other.start), position)
            for position, (one, other) in enumerate(zip(self.ranges, self.ranges[1:], strict=False))
        ]
        surplus = max(0, len(self.ranges) - most)
        closed = {position for _, position in sorted(gaps)[:surplus]}
        covering: list[Span] = []
        for position, span in enumerate(self.ranges):
            if position - 1 in closed:
                covering[-1] = Span(covering[-1].start, span.end)
            else:
                covering.append(span)
        return covering


def _merged(spans: Collection[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _distance(one: str, other: str) -> int:
    """How far two keys are apart: equal letters at their beginning do not count."""
    length = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    near, far = (
        int.from_bytes(
            key[length : length + 8].encode(errors="surrogateescape")[:8].ljust(8, b"\0")
        )
        for key in (one, other)
    )
    # Those that differ in an earlier letter are farther apart.
    return (far - near) << (8 * max(0, 64 - length))
