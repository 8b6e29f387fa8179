"""What Sphinx gets in place of the Markdown that GitHub shows.

Two things differ. A link to a file that is no page of the site leads to the repository. A page that
lists others gets Sphinx's own list of them, for the navigation.
"""

import re
from functools import partial
from pathlib import Path

REPOSITORY = "https://github.com/emperord/emperord"
# What Sphinx shall not regard as pages: the text for PyPI, manual pages, examples, templates.
NO_PAGES = ("pypi.md", "examples", "man", "site", "tables", "**/__pycache__")
# A page of this name lists the pages of its folder.
LIST = "README.md"
_CODE = re.compile(r"(?ms)^( *```.*?^ *```$)")
# A path without a scheme, in brackets after a text. Pictures are left as they are.
_LINK = re.compile(r"(?<!!)(\[[^\]]*\])\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_LISTED = re.compile(r"(?m)^- \[[^\]]+\]\(([\w/-]+\.md)\)")


def for_the_site(text: str, page: Path, docs: Path) -> str:
    """The text of the file `page` in the folder `docs`, both absolute, as the site needs it."""
    parts = _CODE.split(text)
    redirect = partial(_redirect, page.parent, docs)
    # Each second part is a block of code.
    parts[::2] = [_LINK.sub(redirect, part) for part in parts[::2]]
    text = "".join(parts)
    if page == docs / LIST:
        return _with_contents(text)
    if page.name == LIST and len(list(page.parent.glob("*.md"))) > 1:
        return f"{text}\n```{{toctree}}\n:hidden:\n:glob:\n\n*\n```\n"
    return text


def _redirect(folder: Path, docs: Path, link: re.Match[str]) -> str:
    target = (folder / link[2]).resolve()
    if target.suffix == ".md" and docs in target.parents and target.name not in NO_PAGES:
        return link[0]
    kind = "tree" if target.is_dir() else "blob"
    path = target.relative_to(docs.parent)
    return f"{link[1]}({REPOSITORY}/{kind}/main/{path}{link[3] or ''})"


def _with_contents(text: str) -> str:
    """The start page: below each heading, a hidden list of the pages that its section names."""
    first, *sections = re.split(r"(?m)^## ", text)
    return first + "".join(f"## {section}\n{_contents(section)}" for section in sections)


def _contents(section: str) -> str:
    pages = "\n".join(_LISTED.findall(section))
    caption = section.partition("\n")[0]
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n\n" if pages else ""
