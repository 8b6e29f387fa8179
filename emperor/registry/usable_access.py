"""Whether a daemon could use the file that says how to reach the registry, and the files that it
names, before it has to."""

from pathlib import Path

from emperor.model.registry_access import RegistryAccess
from emperor.model.section import SettingsError
from emperor.registry.access import load_access, read_password
from emperor.registry.etcd_tls import tls_context, why_of
from emperor.registry.signers_file import load_check


def usable_access(file: Path) -> RegistryAccess:
    """What the file says. Raises SettingsError for what cannot be used. Nobody is asked."""
    access = load_access(file)
    require_usable(access, file)
    return access


def require_usable(access: RegistryAccess, file: Path) -> None:
    """Raises SettingsError if a file cannot be used that `file` names, which says `access`."""
    try:
        tls_context(access)
    except OSError as error:
        files = (access.ca_file, access.cert_file, access.key_file)
        names = " and ".join(str(each) for each in files if each)
        raise SettingsError(f"cannot use {names}, which {file} names: {why_of(error)}") from error
    if access.password_file:
        read_password(access.password_file)
    load_check(access.signers_file)
