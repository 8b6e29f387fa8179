"""Small file systems of their own, to be filled, frozen and cut off."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# EXT4_IOC_SHUTDOWN, and EXT4_GOING_FLAGS_NOLOGFLUSH of it (fs/ext4/ext4.h).
_EXT4_SHUTDOWN, _NOTHING_MORE_IS_WRITTEN = 0x8004587D, 2


@contextmanager
def memory(place: Path, options: str) -> Iterator[None]:
    """A tmpfs at `place`."""
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", options, "tmpfs"):
        yield


@contextmanager
def disk(place: Path, image: Path, size: int, of_root: int = 0) -> Iterator[None]:
    """An ext4 of so many bytes at `place`, in the file `image`; `of_root` percent of it are kept
    for root."""
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", str(of_root), image], check=True)
    with mounted(place, "-t", "ext4", "-o", "loop", image):
        yield


@contextmanager
def full(place: Path) -> Iterator[None]:
    """Leave no free byte at `place` until the block is left."""
    filler = place / ".filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def without_inodes(place: Path) -> Iterator[None]:
    """Leave no room for another file at `place` until the block is left."""
    made: list[Path] = []
    with suppress(OSError):
        while True:
            path = place / f".filler-{len(made)}"
            path.touch()
            made.append(path)
    try:
        yield
    finally:
        for path in made:
            path.unlink()


@contextmanager
def frozen(place: Path) -> Iterator[None]:
    """Every write to `place` waits until the block is left."""
    subprocess.run(["fsfreeze", "--freeze", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", place], check=True)


def cut_the_power(place: Path, image: Path) -> None:
    """Have the ext4 of `image` at `place` be as a loss of power would leave it now. No file of it
    is open."""
    fd = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _EXT4_SHUTDOWN, struct.pack("I", _NOTHING_MORE_IS_WRITTEN))
    finally:
        os.close(fd)
    subprocess.run(["umount", place], check=True)
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", image, place], check=True)


@contextmanager
def mounted(place: Path, *what: str | Path) -> Iterator[None]:
    """A file system at `place`, by these arguments of mount(8)."""
    subprocess.run(["mount", *what, place], check=True)
    try:
        yield
    except BaseException:
        # A file that a failed test has left open must not keep the mount.
        subprocess.run(["umount", "--lazy", place], check=True)
        raise
    else:
        subprocess.run(["umount", place], check=True)
