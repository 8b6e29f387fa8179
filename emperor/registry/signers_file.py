"""Reads the file that says who may sign entries. Where there is none, nothing of cryptography is
imported."""

from collections.abc import Callable
from pathlib import Path

from emperor.linux.trust import closing, open_to_others
from emperor.model.registration import Sealed
from emperor.model.section import SettingsError, not_utf8
from emperor.model.signers import read_signers

# Raises BrokenEntry for an entry whose signature does not count.
Check = Callable[[Sealed], None]


def load_check(path: Path | None) -> Check:
    """What checks the signature of an entry; None: entries need no signature. Raises
    SettingsError."""
    if path is None:
        return lambda _: None
    from emperor.registry.signatures import Signers  # noqa: PLC0415

    try:
        if place := open_to_others(str(path)):
            raise SettingsError(
                f"cannot use signers-file {path}: others than root and the user of this program can"
                f" change {place}, and sign whatever they like; {closing(place)}"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read signers-file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise not_utf8(f"signers-file {path}", error) from error
    return Signers(read_signers(text, str(path))).check
