"""The certificates for connections to etcd, which are renewed on the disk while this program runs.

Files that have changed are used from the next connection on, so that a certificate is renewed
before the old one expires. Files that cannot be used change nothing.
"""

import logging
import ssl

from emperor.linux.stamps import stamp_at
from emperor.model.registry_access import RegistryAccess
from emperor.model.spec import Stamp
from emperor.registry.port import CannotReach

log = logging.getLogger("emperord.etcd_tls")

_Stamps = tuple[Stamp | None, ...]


class Certificates:
    """The certificates that `access` names."""

    def __init__(self, access: RegistryAccess) -> None:
        self._access = access
        files = (access.ca_file, access.cert_file, access.key_file)
        self._files = [file for file in files if file]
        self._context: ssl.SSLContext | None = None
        self._stamp: _Stamps | None = None
        self._refused: _Stamps | None = None

    def context(self) -> ssl.SSLContext:
        """The TLS settings of the next connection. Raises CannotReach while none can be made."""
        stamp = tuple(map(stamp_at, self._files))
        if self._context and stamp in (self._stamp, self._refused):
            return self._context
        try:
            self._context, self._stamp, self._refused = tls_context(self._access), stamp, None
        except OSError as error:
            names = " and ".join(map(str, self._files))
            problem = f"cannot use {names}: {why_of(error)}"
            if self._context is None:
                raise CannotReach(problem) from error
            self._refused = stamp
            log.warning("%s; going on with what was there before", problem)
        return self._context

    def recheck(self) -> None:
        """A connection has failed: the certificates of the system may have changed, which have no
        file here."""
        self._stamp = self._refused = None


def tls_context(access: RegistryAccess) -> ssl.SSLContext:
    """The TLS settings by the files as they are now. Raises OSError."""
    context = ssl.create_default_context(cafile=access.ca_file)
    # From Python 3.13 on this is set, and refuses an authority without the key usage of RFC 5280,
    # as `openssl req -x509` makes it. A machine whose Debian is upgraded would lose the registry;
    # etcd itself takes such an authority.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if access.cert_file:
        context.load_cert_chain(access.cert_file, access.key_file)
    return context


def why_of(error: OSError) -> str:
    """Why files cannot be used, in words."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)
