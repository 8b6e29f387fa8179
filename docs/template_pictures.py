"""Draws the pictures that have a template in docs/pictures, as SVG."""

from fractions import Fraction
from operator import ne

import jinja2

from docs.captures import PICTURES
from emperor.model.slots import rebalanced


def drawn(name: str, **told: object) -> str:
    """The whole of a picture that has a template, which gets what is `told`; parts.svg.j2 says a
    box and an arrow once."""
    pictures = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PICTURES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return pictures.get_template(f"{name}.svg.j2").render(**told)


def slots() -> str:
    """The whole of slots.svg: of 20 slots, by the code that shares out those of a fleet."""
    hashes = range(20)
    four, five = ([each % count + 1 for each in hashes] for count in (4, 5))
    names = [str(each) for each in four]
    after = rebalanced(names, dict.fromkeys(map(str, range(1, 6)), Fraction(1)))
    return drawn(
        "slots", before=four, after=[int(each) for each in after], four=four, five=five,
        moved=lambda one, other: sum(map(ne, one, other)),
    )  # fmt: skip
