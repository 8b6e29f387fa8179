"""Decides which ini answers for a host without an ini of its own.

`_.example.com.ini` is for every subdomain of example.com, and `_.ini` for every host: `_` is the
first label, as `*` is in DNS and in nginx's server_name. A file name with `*` would need quotes in
every shell. The label `_` alone is no host that DNS or a certificate could name.
"""

from collections.abc import Iterator

from emperor.model.domain import is_domain

_LABEL = "_"


def is_wildcard(name: str) -> bool:
    """Whether the name stands for other hosts too."""
    return name == _LABEL or name.startswith(f"{_LABEL}.")


def misspelt(name: str) -> str | None:
    """The wildcard that `*.example.com`, `.example.com` and the like are meant for; None for
    another name."""
    _, star, rest = name.rpartition("*")
    if not star and not name.startswith("."):
        return None
    rest = rest.lstrip(".-").lower()
    meant = f"{_LABEL}.{rest}" if rest else _LABEL
    return meant if is_domain(meant) else None


def cure_of_name(name: str) -> str | None:
    """What to call an ini of that name, which is no host name; None where nobody can tell."""
    if meant := misspelt(name):
        return f"call it {meant}.ini, which is for all subdomains"
    usual = name.strip().strip(".").lower()
    return f"call it {usual}.ini" if is_domain(usual) else None


def is_below(host: str, wildcard: str) -> bool:
    """Whether `wildcard` stands for `host`."""
    return wildcard == _LABEL or host.endswith(wildcard.removeprefix(_LABEL))


def names_of(host: str) -> Iterator[str]:
    """The names by which a vassal may answer for `host`: the host itself, then the wildcards for
    it, the nearest one first."""
    yield host
    rest = host
    while "." in rest:
        rest = rest.partition(".")[2]
        if f"{_LABEL}.{rest}" != host:
            yield f"{_LABEL}.{rest}"
    if host != _LABEL:
        yield _LABEL
