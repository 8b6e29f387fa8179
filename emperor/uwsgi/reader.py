"""Makes specs of the inis that define uWSGI's vassals.

An ini of up to 64 KiB can have 30,000 options, whose reading takes 0.3 s. A large one is read in a
thread, so that the daemon goes on meanwhile.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import ParamSpec, TypeVar

from emperor.model.daemon_record import TAKEN
from emperor.model.definition import BrokenIni, Definition
from emperor.model.domain import is_domain
from emperor.model.ports import PendingSpec
from emperor.model.settings import Settings
from emperor.model.spec import Spec, with_values
from emperor.uwsgi.defaults import DefaultsFile
from emperor.uwsgi.identity import (
    ROOT,
    Accounts,
    identity_of,
    is_administrator,
    names_user,
    reading_as,
)
from emperor.uwsgi.ini import LOADERS, Ini, aliases_in, parse
from emperor.uwsgi.lint import refuse_unservable
from emperor.uwsgi.loaded import refuse_loaded, refuse_untrusted, who_may_change
from emperor.uwsgi.options import uwsgi_options
from emperor.uwsgi.plugins import plugins_of
from emperor.uwsgi.pythons import binary_of
from emperor.uwsgi.reading_slots import ReadingSlots
from emperor.uwsgi.resolver import AT_ONCE, CannotResolve, Resolver
from emperor.uwsgi.root_paths import led_elsewhere, writes_paths
from emperor.uwsgi.spec import spec_of
from emperor.uwsgi.unknown import answers_by_plugins, refuse_without_plugins
from emperor.uwsgi.users import drops_to_of, users_of

P = ParamSpec("P")
T = TypeVar("T")

# Variables that differ from user to user.
_OF_A_USER = re.compile(r"\$\((?:HOME|USER|LOGNAME)\)")
# Without a `%` an option stands there letter by letter.
_TAKEN_KEYS = (name.replace("_", "-").encode() for name in sorted(TAKEN))
_MAY_SAY_TAKEN = re.compile(b"|".join((b"%", *_TAKEN_KEYS)))
# An ini below both is read in 10 ms at most.
_LARGE_BYTES, _MANY_LINES = 8192, 500


class UwsgiReader:
    """Reads inis by `settings`. `resolver` has uWSGI resolve the inis that we cannot read alone.
    `somaxconn` is the kernel's limit on a backlog. uWSGI reads `defaults` before each ini."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        resolver: Resolver,
        somaxconn: int,
        defaults: DefaultsFile,
    ) -> None:
        self._defaults = defaults
        self._settings = settings
        self._taken = {name: getattr(settings, name) for name in TAKEN}
        self.accounts = accounts
        self.resolver = resolver
        self._slots = ReadingSlots(AT_ONCE)
        self._somaxconn = somaxconn

    def read(self, definition: Definition) -> Spec | PendingSpec:
        """The spec, or what makes it with uWSGI's help or in a thread. Raises BrokenIni."""
        data = definition.data
        if len(data) > _LARGE_BYTES or data.count(b"\n") > _MANY_LINES:
            return partial(self._read_large, definition)
        return self._read(definition)

    def follow(self, text: bytes, spec: Spec) -> Spec | None:
        """`spec`, which other settings of `daemon_record.TAKEN` have made of a definition with this
        text, as the settings of now make it. None where it has to be read for that."""
        if len(text) > _LARGE_BYTES or _MAY_SAY_TAKEN.search(text):
            return None
        return with_values(spec, self._taken)

    def _read(self, definition: Definition) -> Spec | PendingSpec:
        ini = self.parse(definition)
        if ini.needs_uwsgi:
            return partial(self._read_with_uwsgi, definition, ini)
        if answers_by_plugins(ini):
            return partial(self._read_with_plugins, definition, ini)
        return self._servable_spec(definition, ini)

    def aliases(self, definition: Definition) -> tuple[str, ...]:
        """The aliases in the text, also where the ini is broken. A tenant's ini can claim none."""
        if b"aliases" not in definition.data:
            return ()
        found = aliases_in(definition.data, definition.file, definition.folder)
        is_trusted = is_administrator(definition.owner, self.accounts)
        may_have = found if is_trusted else definition.granted
        return tuple(alias for alias in found if is_domain(alias) and alias in may_have)

    async def _read_large(self, definition: Definition) -> Spec:
        async with self._slot(definition):
            read = await in_thread(self._read, definition)
        return read if isinstance(read, Spec) else await read()

    async def _read_with_uwsgi(self, definition: Definition, ini: Ini) -> Spec:
        async with self._slot(definition):
            resolved = await self.resolve(definition, ini)
            if answers_by_plugins(resolved):
                await self._refuse_without_plugins(definition, resolved)
            return await in_thread(self._servable_spec, definition, resolved)

    async def _read_with_plugins(self, definition: Definition, ini: Ini) -> Spec:
        async with self._slot(definition):
            await self._refuse_without_plugins(definition, ini)
            return await in_thread(self._servable_spec, definition, ini)

    async def _refuse_without_plugins(self, definition: Definition, ini: Ini) -> None:
        """Raise BrokenIni where uWSGI lacks the plugin of all that answers."""
        binary = binary_of(ini, self._settings, definition.owner, self.accounts)
        with suppress(CannotResolve):
            known = await self.resolver.running(binary).options(plugins_of(ini))
            if "socket" in known:  # it has told them
                refuse_without_plugins(ini, known)

    def _slot(self, definition: Definition) -> AbstractAsyncContextManager[None]:
        owner = definition.owner
        is_own = is_administrator(owner, self.accounts)
        return self._slots.of(None if is_own else owner.uid)

    def _servable_spec(self, definition: Definition, ini: Ini) -> Spec:
        """Raises BrokenIni also for what `emperorctl check` calls an error."""
        spec = self.spec(definition, ini)
        binary = uwsgi_options(spec).binary
        if binary and not os.access(binary, os.X_OK):
            raise BrokenIni(f"there is no uWSGI at {binary}", "install it there, or choose another")
        refuse_unservable(ini, spec, self._settings, self._somaxconn)
        self._refuse_led_elsewhere(ini, spec)
        return spec

    def _refuse_led_elsewhere(self, ini: Ini, spec: Spec) -> None:
        """Raise BrokenIni for a path that uWSGI writes as root, and others can lead elsewhere."""
        start = spec.identity or self.accounts.daemon
        if start.uid == ROOT and writes_paths(ini, spec):
            users = users_of(ini, start, self.accounts)
            for found in led_elsewhere(ini, spec, str(self._settings.vassals_dir), users):
                raise BrokenIni(found.text, found.cure, found.line)

    def parse(self, definition: Definition) -> Ini:
        """The options as they are written. Raises BrokenIni."""
        return self._defaults.before(parse(definition.data, definition.file, definition.folder))

    async def resolve(self, definition: Definition, ini: Ini) -> Ini:
        """The options as uWSGI resolves them, when it runs as the user that the app will run as,
        or as nobody where that user is not known yet. Only root can have it do so. Raises
        BrokenIni."""
        is_root = os.geteuid() == 0
        owner, accounts = definition.owner, self.accounts
        identity = reading_as(ini, owner, accounts, self._settings) if is_root else None
        binary = binary_of(ini, self._settings, definition.owner, self.accounts)
        resolver, folder, reason = (
            self.resolver.running(binary),
            definition.folder,
            ini.needs_uwsgi,
        )
        if not is_root or definition.owner.uid != ROOT or reason is None:
            return await resolver.resolve(ini, identity)
        is_named = names_user(ini, accounts)
        user = identity if identity and is_named else accounts.daemon
        if await in_thread(who_may_change, ini, folder, user.uid):
            # Where root reads it, a file counts that may come yet, unless this uWSGI reads none.
            known = await resolver.options() if user.uid == ROOT else LOADERS
            await in_thread(refuse_untrusted, ini, folder, user, known)
        is_known = identity is None or is_named
        has_its_variables = is_known and not drops_to_of(ini, user, accounts)
        resolved = await resolver.resolve(ini, identity, has_its_variables=has_its_variables)
        await in_thread(refuse_loaded, reason, resolved, folder, user)
        if not is_known and any(_OF_A_USER.search(option.value) for option in resolved.options):
            identity = identity_of(resolved, owner, accounts, self._settings)
            resolved = await resolver.resolve(ini, identity)
        return resolved

    def spec(self, definition: Definition, ini: Ini) -> Spec:
        """The spec by options that need no uWSGI any more. Raises BrokenIni."""
        return spec_of(definition, ini, self._settings, self.accounts)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` as asyncio.to_thread does, but have a cancelled call end with its thread.
    Otherwise an ini that changes all the time would have many threads."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    finally:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # nobody else asks for that of a cancelled call
