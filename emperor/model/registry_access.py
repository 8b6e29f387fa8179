"""How a machine reaches the registry of its fleet: a table of all keys, and the parser of the file,
which the daemon, emperorctl and the balancer's agent share."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from emperor.model.section import SectionKey, SettingsError, values_of
from emperor.model.setting_values import optional_path

SECTION = "registry"
DEFAULT_FILE = "/etc/uwsgi/registry.ini"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """The value of each key. `endpoints` are the members, each without a slash at its end."""

    endpoints: tuple[str, ...]
    prefix: str = "/emperord"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    signers_file: Path | None = None
    signer_key_file: Path | None = None


def _endpoints_of(text: str) -> tuple[str, ...]:
    """URLs of members, separated by spaces, each once."""
    if not text.split():
        raise ValueError("must name a member of etcd, such as https://10.0.0.1:2379")
    return tuple(dict.fromkeys(map(_endpoint_of, text.split())))


def _endpoint_of(text: str) -> str:
    parts = urlsplit(text)
    is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port
    if not is_whole or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{text!r} must be like https://10.0.0.1:2379")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(f"{text!r} would send passwords and inis in the clear; use https")
    return text.rstrip("/")


def _prefix_of(text: str) -> str:
    parts = text.split("/")
    if parts[0] or len(parts) < 2 or not all(parts[1:]) or not text.isprintable() or " " in text:
        raise ValueError("must be like /emperord, without a slash at its end")
    return text


KEYS = (
    SectionKey("endpoints", "", _endpoints_of,
        "the members of etcd, with spaces between: https://10.0.0.1:2379 https://10.0.0.2:2379"),
    SectionKey("prefix", "/emperord", _prefix_of, "all keys of this fleet begin with it"),
    SectionKey("ca-file", "", optional_path,
        "certificates that sign those of the members; by default the system's"),
    SectionKey("cert-file", "", optional_path,
        "the certificate that this machine shows, if the members ask for one"),
    SectionKey("key-file", "", optional_path, "the private key of cert-file"),
    SectionKey("user", "", str, "the user of etcd"),
    SectionKey("password-file", "", optional_path,
        "a file of root's with the password of that user"),
    SectionKey("signers-file", "", optional_path,
        "the public keys of those who may sign entries; if set, no other entry is taken"),
    SectionKey("signer-key-file", "", optional_path,
        "the private key with which `emperorctl registry` signs; only where an operator works"),
)  # fmt: skip


def read_access(text: str, origin: str) -> RegistryAccess:
    """Access from the text of a file named `origin`.

    Raises SettingsError that names the line, the key, and what would be right.
    """
    if re.search(r"(?m)^\[", text) and not re.search(rf"(?m)^\[{SECTION}\]", text):
        raise SettingsError(
            f"cannot use {origin}: it has no section [{SECTION}]; put its keys there"
        )
    access = RegistryAccess(**values_of(KEYS, text, origin, SECTION, "emperord(8)"))
    for one, other in (("cert-file", "key-file"), ("user", "password-file")):
        for given, missing in ((one, other), (other, one)):
            if _is_set(access, given) and not _is_set(access, missing):
                raise SettingsError(f"cannot use {given} of {origin}: set {missing} too")
    return access


def _is_set(access: RegistryAccess, key: str) -> bool:
    return bool(getattr(access, key.replace("-", "_")))


assert [key.field for key in KEYS] == [field.name for field in fields(RegistryAccess)]
