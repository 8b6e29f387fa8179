"""Makes and checks the Ed25519 signatures of entries. Only this module imports `cryptography`, and
it is imported only where there are signers."""

import os
import stat
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from emperor.model.registration import BrokenEntry, Entry, Sealed, signed_text
from emperor.model.section import SettingsError
from emperor.model.signers import PRIVATE, PUBLIC, Signer, is_name_of_signer, key_of, why_not

# A file of one line, and some comments.
_MOST_BYTES = 4096


class Signers:
    """Checks the signature of each entry against the public keys of a fleet."""

    def __init__(self, signers: Iterable[Signer]) -> None:
        self._signers = {
            signer.name: (signer, Ed25519PublicKey.from_public_bytes(signer.key))
            for signer in signers
        }

    def check(self, sealed: Sealed) -> None:
        """Raises BrokenEntry, with the reason, unless a signer has signed it who may."""
        if not sealed.signer:
            raise BrokenEntry(
                "nobody has signed it; put it again with the signer-key-file of one of"
                f" {', '.join(self._signers)}"
            )
        if sealed.signer not in self._signers:
            raise BrokenEntry(
                f"it is signed by {sealed.signer[:64]!r}, whom signers-file does not name; add its"
                " public key there, or have another signer put it again"
            )
        signer, key = self._signers[sealed.signer]
        try:
            key.verify(sealed.signature, signed_text(sealed.entry))
        except InvalidSignature as error:
            raise BrokenEntry(
                f"the signature of {signer.name} is not of this entry: it was changed later, or"
                " signed with another key; put it again"
            ) from error
        if why := why_not(signer, sealed.entry):
            raise BrokenEntry(f"{why}; have another signer put it again")


class SigningKey:
    """A private key, which signs in the name of a signer."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key

    @property
    def public_line(self) -> str:
        """The line of this key in the file of signers."""
        return f"{PUBLIC} {_text(self._key.public_key().public_bytes_raw())} {self.name}"

    def seal(self, entry: Entry) -> Sealed:
        """The entry with its signature."""
        return Sealed(entry, self.name, self._key.sign(signed_text(entry)))

    def save(self, path: Path) -> None:
        """Write it to a new file, which only its owner can read. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        line = f"{PRIVATE} {_text(self._key.private_bytes_raw())} {self.name}\n"
        try:
            with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise


def new_key(name: str) -> SigningKey:
    """A new key of that signer."""
    return SigningKey(name, Ed25519PrivateKey.generate())


def load_key(path: Path) -> SigningKey:
    """The key in a file. Raises SettingsError, also if others than its owner can read it."""
    cannot = f"cannot sign with {path}"
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SettingsError(
                    f"{cannot}: others can read it (mode {stat.S_IMODE(mode):04o}); run `chmod 600"
                    f" {path}`, and replace the key if somebody may have read it"
                )
            text = file.read(_MOST_BYTES)
    except OSError as error:
        raise SettingsError(f"{cannot}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{cannot}: it has no key of `emperorctl registry keygen`") from error
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    match lines:
        case [[kind, encoded, name]] if kind == PRIVATE and is_name_of_signer(name):
            if key := key_of(encoded):
                return SigningKey(name, Ed25519PrivateKey.from_private_bytes(key))
    raise SettingsError(
        f"{cannot}: it is not one line {PRIVATE} BASE64 NAME; make a key by `emperorctl registry"
        " keygen`"
    )


def _text(key: bytes) -> str:
    return b64encode(key).decode()
