"""What a failure of the registry means for a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from emperor.cli.failure import Failed, Unreachable
from emperor.model.section import SettingsError
from emperor.registry.port import CannotReach, RegistryRefused


@contextmanager
def registry_failures() -> Iterator[None]:
    """Run the block, whose failures of the registry, and of the file that says how to reach it,
    become those of the command. Raises Failed."""
    try:
        yield
    except (SettingsError, RegistryRefused) as error:
        raise Failed(str(error)) from error
    except CannotReach as error:
        raise Unreachable(str(error)) from error
