"""Replaces the `%x` variables of an ini, as uWSGI does before it looks at the options."""

import os
import re

# Host, time, version, cores, user, group, binary, inode: only the running uWSGI knows these.
_KNOWN_TO_UWSGI = b"htTVkuUgGbiI"
_MAGIC = re.compile(rb"%(.?)", re.DOTALL)
# Marks where a `%` at the end of a line joined it to the next one, until the lines are counted.
JOINT = "\0"


def replace_magic(data: bytes, name: str, folder: str) -> str:
    """Replace or drop each `%` with the byte behind it, as magic_sub of core/utils.c does."""
    table = _magic_table(os.fsencode(name), os.fsencode(folder))
    replaced = _MAGIC.sub(lambda match: table.get(match[1], b""), data)
    return replaced.decode(errors="replace")


def frozen(data: bytes, path: str, first: str = "") -> bytes:
    """A text that means the same to uWSGI wherever it is: the `%x` that depend on the path of the
    file are replaced, and others stay as they are. `path` is the real path of the file, and `first`
    that of the ini, for a file that uWSGI reads before the ini. Capitals refer to the ini, and
    uWSGI starts in its folder."""
    if b"%" not in data:
        return data
    own, of_first = (_magic_table_of(each) for each in (path, first or path))
    table = {**own, b"v": of_first[b"v"]}
    if first:
        table[b"o"] = os.fsencode(path)  # it is included by its path
    table |= {letter: value for letter, value in of_first.items() if letter.isupper()}
    kept = {b"%c" % letter for letter in _KNOWN_TO_UWSGI} | {b"(", b"\n"}
    return _MAGIC.sub(
        lambda match: (
            match[0] if match[1] in kept else table.get(match[1], b"").replace(b"%", b"%%")
        ),
        data,
    )


def _magic_table_of(path: str) -> dict[bytes, bytes]:
    folder, name = os.path.split(os.fsencode(path))
    return _magic_table(name, folder)


def _magic_table(name: bytes, folder: bytes) -> dict[bytes, bytes]:
    """What each byte behind a `%` stands for, as config_magic_table_fill of core/uwsgi.c has it. A
    capital refers to the first file that uWSGI reads, which is this one."""
    stem, dot, suffix = name.rpartition(b".")
    parts = [part for part in folder.split(b"/") if part]
    of_file = {
        b"o": name,
        b"p": folder + b"/" + name,
        b"s": name,
        b"d": folder + b"/",
        b"c": parts[-1] if parts else b"",
        b"e": suffix if dot else b"",
        b"n": stem if dot else name,
        b"j": _path_hash(folder + b"/" + name),
    }
    only_uwsgi_knows = {b"%c" % letter: b"%%%c" % letter for letter in _KNOWN_TO_UWSGI}
    return {
        **only_uwsgi_knows,
        **of_file,
        **{letter.upper(): value for letter, value in of_file.items()},
        **{b"%d" % index: part for index, part in enumerate(parts[:10])},
        b"v": folder,
        b"%": b"%",
        b"(": b"%(",
        b"[": b"\033",
        b"\n": JOINT.encode(),
    }


def _path_hash(path: bytes) -> bytes:
    """The hash of a path, as djb33x_hash of core/utils.c computes it, whose characters have a
    sign."""
    number = 5381
    for byte in path:
        number = (33 * number ^ (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF
    return number.to_bytes(4, "little").hex().upper().encode()
