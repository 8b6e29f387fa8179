"""Tells an order of the console's own forms from one that another site has a browser send.

Each form has a token that only this daemon can make, and only for the user that asks. A browser
also says from which site a request comes.
"""

import hmac
import secrets
from collections.abc import Mapping
from hashlib import sha256

from emperor.model.console_policy import host_of

_OWN_SITES = ("same-origin", "none")


class CsrfTokens:
    """The tokens of one daemon. Those of the daemon before it are not valid."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, uid: int) -> str:
        """The token in the forms for that user."""
        return hmac.new(self._secret, str(uid).encode(), sha256).hexdigest()

    def is_valid(self, token: str, uid: int) -> bool:
        """Whether a form for that user has this token."""
        return hmac.compare_digest(token.encode(errors="replace"), self.of(uid).encode())


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that another site has sent the request. A page without a referrer
    has the origin `null` (https://fetch.spec.whatwg.org/#origin-header)."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN_SITES
    origin = headers.get("Origin", "null")
    if origin == "null":
        return False
    named = host_of(origin)
    return not named or named not in (headers.get("Host"), headers.get("X-Forwarded-Host"))
