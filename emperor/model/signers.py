"""Whose signature makes an entry of the registry valid, and for which owners and host names.

The file of signers has a line for each public key: `ed25519 BASE64 NAME`, and behind it what the
signer is limited to: `owners=alice,bob` and `domains=alice.example,*.alice.example`. Without these
it may sign everything. Several lines are for several people, and for a key that replaces another.
"""

import re
from base64 import b64decode
from binascii import Error
from dataclasses import dataclass

from emperor.model.domain import is_domain
from emperor.model.registration import Entry, RegisteredAlias, RegisteredIni
from emperor.model.section import SettingsError

KEY_BYTES = 32
PUBLIC = "ed25519"
PRIVATE = "ed25519-private"
_NAME = re.compile(r"[A-Za-z0-9_.@+-]{1,64}")
_FORM = f"{PUBLIC} BASE64 NAME [owners=USER,...] [domains=DOMAIN,*.DOMAIN,...]"


@dataclass(frozen=True, slots=True)
class Signer:
    """A public key. An empty `owners` or `domains` is no limit."""

    name: str
    key: bytes
    owners: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def is_name_of_signer(text: str) -> bool:
    """Whether a signer can have this name."""
    return _NAME.fullmatch(text) is not None


def read_signers(text: str, origin: str) -> tuple[Signer, ...]:
    """The signers of a file, whose name is `origin`. Raises SettingsError."""
    signers: dict[str, Signer] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        signer = _signer(line.split(), f"cannot use line {number} of {origin}")
        if signer.name in signers:
            raise SettingsError(
                f"cannot use line {number} of {origin}: there is a signer {signer.name} above; give"
                " each key a name of its own"
            )
        signers[signer.name] = signer
    if not signers:
        raise SettingsError(
            f"cannot use {origin}: it names no signer, so that no entry would be valid; add a line"
            f" {_FORM}"
        )
    return tuple(signers.values())


def key_of(text: str) -> bytes | None:
    """The bytes of a key in base64; None if they are not as many as a key has."""
    try:
        key = b64decode(text, validate=True)
    except (Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def why_not(signer: Signer, entry: Entry) -> str | None:
    """Why that signer may not sign such an entry; None if it may."""
    hosts = [entry.domain]
    if isinstance(entry, RegisteredAlias):
        hosts.append(entry.alias_of)
    for host in hosts:
        if signer.domains and not any(_covers(pattern, host) for pattern in signer.domains):
            return f"{signer.name} may sign for {', '.join(signer.domains)}, and not for {host}"
    if isinstance(entry, RegisteredIni) and signer.owners and entry.owner not in signer.owners:
        owners = ", ".join(signer.owners)
        return f"{signer.name} may sign inis of {owners}, and not of {entry.owner}"
    return None


def _covers(pattern: str, host: str) -> bool:
    if pattern == "*":
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _signer(words: list[str], cannot: str) -> Signer:
    if words[0] == PRIVATE:
        raise SettingsError(
            f"{cannot}: it is a private key, which whoever reads it can sign with; put the public"
            f" key there, a line {PUBLIC}, and make a new pair by `emperorctl registry keygen`"
        )
    if len(words) < 3 or words[0] != PUBLIC:
        raise SettingsError(f"{cannot}: it is not {_FORM}")
    key, name = key_of(words[1]), words[2]
    if key is None:
        raise SettingsError(f"{cannot}: the key is not {KEY_BYTES} bytes in base64; copy it anew")
    if not is_name_of_signer(name):
        raise SettingsError(f"{cannot}: {name!r} is no name of letters, digits and _.@+-")
    limits: dict[str, tuple[str, ...]] = {"owners": (), "domains": ()}
    for word in words[3:]:
        what, equals, values = word.partition("=")
        # Without a value it would be no limit at all.
        if what not in limits or limits[what] or not equals or not all(values.split(",")):
            raise SettingsError(f"{cannot}: {word!r} is not understood; it is {_FORM}")
        limits[what] = tuple(values.split(","))
    return Signer(name, key, limits["owners"], _checked(limits, cannot))


def _checked(limits: dict[str, tuple[str, ...]], cannot: str) -> tuple[str, ...]:
    domains = limits["domains"]
    if limits["owners"] and not domains:
        raise SettingsError(
            f"{cannot}: it limits owners and no domains, so that it could take the host name of"
            " every other owner; add domains=DOMAIN,*.DOMAIN, or domains=* if that is meant"
        )
    for pattern in domains:
        if pattern != "*" and not is_domain(pattern.removeprefix("*.")):
            raise SettingsError(
                f"{cannot}: {pattern!r} is neither a host name in lower case nor *.DOMAIN, for all"
                " names below it"
            )
    return domains
