"""The token of this machine at the members of etcd.

A member takes 60 ms of a core to check a password (less with a lower --bcrypt-cost), and goes on
with that when nobody waits any more. After a loss of power all machines of a fleet log in at once.
Logins that were given up and begun anew would keep the members busy for ever. So there is one login
at a member at a time, and it outlives those who wait for it.
"""

import asyncio
import logging
from typing import Self

from emperor.model.registry_access import RegistryAccess
from emperor.model.section import SettingsError
from emperor.registry.access import read_password
from emperor.registry.etcd_http import (
    READ_SECONDS,
    Http,
    Question,
    TimedOut,
    TokenIsOld,
    Unanswered,
)
from emperor.registry.etcd_wire import AuthenticateRequest, TokenReply, encoded
from emperor.registry.faults import faults_as_silence
from emperor.registry.port import CannotReach, RegistryRefused

log = logging.getLogger("emperord.etcd_login")

LOGIN_SECONDS = 60.0


class Login:
    """Logs in when a token is needed. An async context manager."""

    def __init__(self, access: RegistryAccess, http: Http) -> None:
        self._access = access
        self._http = http
        self._token: str | None = None
        # What each one returns is why there is no token.
        self._running: dict[str, asyncio.Task[Exception | None]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for login in self._running.values():
            login.cancel()
        await self._tasks.__aexit__(None, None, None)

    def forget(self, token: str | None = None) -> None:
        """Members do not know that token any more; None: whichever there is."""
        if token is None or self._token == token:
            self._token = None

    async def token(self, member: str) -> str:
        """The token, empty where none is needed. Raises Unanswered, RegistryRefused,
        CannotReach."""
        if not self._access.user or self._access.password_file is None:
            return ""
        if self._token is not None:
            return self._token
        login = self._running.get(member)
        if login is None:
            login = self._running[member] = self._tasks.create_task(self._log_in(member))
            login.add_done_callback(lambda _: self._running.pop(member))
        await asyncio.wait([login], timeout=READ_SECONDS)
        if self._token is not None:
            return self._token
        if not login.done():
            raise TimedOut(READ_SECONDS)
        if login.cancelled() or (why := login.result()) is None:
            raise Unanswered("it does not take the token that it gave", was_sent=False)
        raise why

    async def _log_in(self, member: str) -> Exception | None:
        try:
            with faults_as_silence(log, f"log in at {member}", Unanswered, TokenIsOld):
                token = await self._new_token(member)
        except TokenIsOld:
            return Unanswered("it asks for a token at a login", was_sent=False)
        except (Unanswered, RegistryRefused, CannotReach) as error:
            return error
        if self._token is None:
            self._token = token
        return None

    async def _new_token(self, member: str) -> str:
        assert self._access.password_file is not None
        try:
            password = await asyncio.to_thread(read_password, self._access.password_file)
        except SettingsError as error:
            raise CannotReach(str(error)) from error
        body = encoded(AuthenticateRequest(self._access.user, password))
        question = Question("/v3/auth/authenticate", body, TokenReply, LOGIN_SECONDS)
        try:
            return (await self._http.post(member, question, "")).token
        except RegistryRefused as error:
            if "authentication is not enabled" in str(error):
                return ""
            if "authentication failed" in str(error):
                raise RegistryRefused(
                    f"the registry refuses it: authentication failed for user {self._access.user};"
                    f" correct user, or the password in {self._access.password_file}"
                ) from error
            raise
