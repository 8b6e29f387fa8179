"""Folds the text of a page to the width that all pages have. No name is broken at its hyphen."""

import textwrap

_COLUMNS = 100


def folded(text: str, indent: str = "") -> str:
    """The text in lines, of which all but the first are indented so."""
    return textwrap.fill(
        text, _COLUMNS, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def folded_item(item: str) -> str:
    """An item of a list in lines."""
    return folded(item, "  ")
