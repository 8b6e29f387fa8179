"""The keys of the apps that this machine runs, and that must not run twice.

An answer of the registry may be lost, so that a key may be this machine's and the machine does not
know it. All of them have one lease, which is renewed for as long as one app runs, so such a key
would keep the app from all machines for as long. Therefore it is given back later.
"""

from collections.abc import Callable
from contextlib import suppress

from emperor.model.once import HANDOVER_SECONDS, Claim, Holder, claim, decoded, encoded
from emperor.model.registry_keys import Keys
from emperor.registry.once_app import runs_on
from emperor.registry.once_lease import OnceLease
from emperor.registry.own_names import OwnNames
from emperor.registry.port import Connection, Engine, Outdated

_TRIES = 5


class OnceKeys:
    """The keys of this machine, by a connection that is open."""

    def __init__(self, connection: Connection, me: OwnNames, lease: OnceLease) -> None:
        self.engine: Engine = connection.engine
        self.names: Keys = connection.keys
        self._me = me.now
        self._own = me.all
        self._lease = lease
        # Domains whose keys may be this machine's, though no app of it runs by them.
        self._left: set[str] = set()

    @property
    def has_left(self) -> bool:
        """Whether there are keys to be given back."""
        return bool(self._left)

    async def take(self, domain: str) -> int | str:
        """Take the key of an app. Returns the revision of the key, or why the app may not run here.
        Raises what engines raise."""
        key = self.names.once(domain)
        for _ in range(_TRIES):
            lease = await self._lease.held(self.engine)
            found = await self.engine.get(key)
            if claim(found.value if found else None, self._own) is Claim.LEAVE and found:
                return runs_on(decoded(found.value), self._me.address)
            expected = {key: found.revision if found else 0}
            self._left.add(domain)
            try:
                revision = await self.engine.put({key: encoded(self._me)}, expected, lease)
            except Outdated:
                continue
            self._left.discard(domain)
            return revision
        return "other machines try to run it, and it may run once in the fleet"

    async def give_up(self, domain: str, revision: int) -> None:
        """Delete the key, which had this revision; 0: it is not known whether this machine has it.
        Raises what engines raise."""
        self._left.add(domain)
        if revision:
            await self._delete(domain, revision)

    async def hand_over(self, domain: str, revision: int, to: Holder) -> None:
        """Let that machine have the key, which had this revision, and nobody else for a while.
        Raises what engines raise."""
        self._left.add(domain)
        lease = await self.engine.grant(HANDOVER_SECONDS)
        key = self.names.once(domain)
        with suppress(Outdated):  # somebody has taken it meanwhile
            await self.engine.put({key: encoded(to)}, {key: revision}, lease)
        self._left.discard(domain)

    def leave(self, domain: str) -> None:
        """The app does not run by its key any more, which is given back later."""
        self._left.add(domain)

    async def give_back(self, is_used: Callable[[str], bool]) -> None:
        """Delete those that no app runs by. Raises what engines raise."""
        for domain in list(self._left):
            # The member that is asked must not be behind.
            page = await self.engine.page(self.names.once_alone(domain), 1, fresh=True)
            if is_used(domain):
                continue
            held = [each for each in page.entries if decoded(each.value) == self._me]
            await self._delete(domain, held[0].revision if held else 0)

    async def _delete(self, domain: str, revision: int) -> None:
        try:
            if revision:
                await self.engine.delete(self.names.once(domain), revision)
        except Outdated:
            return  # somebody has taken it meanwhile
        self._left.discard(domain)
