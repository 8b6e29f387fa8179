"""Draws what emperorctl prints on a terminal as SVG.

docs/pictures/captures has the output of real runs with its colours, as of
`FORCE_COLOR=1 COLUMNS=100 emperorctl status > status.ansi`. The pictures name no font that a
browser would have to load.
"""

from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).parent / "pictures"
CAPTURES = PICTURES / "captures"
_WIDTH, _HEIGHT, _MARGIN = 8, 19, 16
# By the numbers that a terminal gives them: red, green, yellow, cyan.
_COLOURS = {1: "#ff7b72", 2: "#7ee787", 3: "#e3b341", 6: "#76e3ea"}

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13"
  fill="#d1d7e0">
<title>{title}</title>
<rect width="100%" height="100%" rx="8" fill="#151b23"/>
{lines}
</svg>
"""


def terminal(name: str, command: str) -> str:
    """The picture of the capture of that name, below the command that printed it."""
    printed = Text.from_ansi((CAPTURES / f"{name}.ansi").read_text(encoding="utf-8").rstrip())
    lines = [Text.assemble(("$ ", "dim"), (command, "bold")), *printed.split("\n")]
    columns = max(line.cell_len for line in lines)
    return _SVG.format(
        title=escape(command),
        width=columns * _WIDTH + 2 * _MARGIN,
        height=len(lines) * _HEIGHT + 2 * _MARGIN,
        lines="\n".join(_line(line, row) for row, line in enumerate(lines) if line),
    )


def _line(line: Text, row: int) -> str:
    """The parts of a line, each at its own column: a font may have other widths."""
    inner = {edge for span in line.spans for edge in (span.start, span.end)}
    edges = sorted(inner - {0, len(line)})
    pieces = zip([0, *edges], line.divide(edges), strict=True)
    parts = "".join(_part(piece, start) for start, piece in pieces)
    return f'<text y="{_MARGIN + row * _HEIGHT + 14}">{parts}</text>'


def _part(piece: Text, start: int) -> str:
    style = piece.get_style_at_offset(Console(), 0)
    looks = ' font-weight="bold"' if style.bold else ' opacity="0.6"' if style.dim else ""
    if style.color and style.color.number in _COLOURS:
        looks += f' fill="{_COLOURS[style.color.number]}"'
    place = f'x="{_MARGIN + start * _WIDTH}" textLength="{len(piece) * _WIDTH}"'
    # Blanks in a row would become one.
    text = escape(piece.plain).replace(" ", "&#160;")
    return f"<tspan {place}{looks}>{text}</tspan>"
