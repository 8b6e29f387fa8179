"""The bases of a daemon. One holds the standard library and is for all apps. Beneath it is one
for each virtual environment that several apps of one user have in common.

An app is forked from the deepest base that fits it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from emperor.bases.base_group import Groups
from emperor.bases.base_process import BaseProcess, BaseState, OnExit, message
from emperor.bases.demand import Demand, ModulesOf, are_few, keep_latest
from emperor.bases.home_base import Earlier, HomeBase, Wanted
from emperor.bases.kept_base import Recipe, Surroundings, why_ended
from emperor.bases.kept_bases import FoundBase, KeptBases
from emperor.bases.lost_bases import LostBases, sharing_of
from emperor.bases.program import Program
from emperor.bases.request import Forked, Home, Request, Sharing
from emperor.bases.root_base import RootBase
from emperor.linux.accounts import ListedGroups
from emperor.linux.memory import is_machine_short
from emperor.linux.processes import LedProcess, Spawner
from emperor.model.ports import CannotLaunch, Store, StoreEntry
from emperor.model.text import one_line

log = logging.getLogger("emperord.bases")

# A base is made anew for more modules at most so often.
_LEARNING_SECONDS = 600.0
# For all users, and for one.
_MOST_BASES, _MOST_OF_ONE = 16, 4
# A base that nobody has used for so long is ended.
_UNUSED_SECONDS = 1800.0
# The app that makes it worth it starts first.
_CALM_SECONDS = 2.0
# After a failure.
_DELAY_SECONDS = 1800.0
# If one of that age is of no use any more, more packages may change soon.
_YOUNG_SECONDS = 60.0
_LONGER_CALM_SECONDS = 10.0
_DYING_SECONDS = 5.0
_MOST_REFUSED = 1000


class Bases:
    """The bases of this daemon. `program` is what they run, or why there can be none. `environment`
    is that of the base of the standard library. `modules_of` is why only the standard library
    is imported ahead, where that is so."""

    def __init__(
        self,
        program: Program | str,
        environment: Mapping[str, str],
        spawner: Spawner,
        modules_of: ModulesOf | str = "nobody tells what apps import",
        is_memory_short: Callable[[], bool] = is_machine_short,
    ) -> None:
        self.why_none = program if isinstance(program, str) else ""
        self._loop = spawner.loop
        self.why_standard = modules_of if isinstance(modules_of, str) else ""
        learned = None if isinstance(modules_of, str) else modules_of
        self._demand = Demand(learned, spawner.loop)
        self._is_memory_short = is_memory_short
        self._listed_groups = ListedGroups()
        self._python = "" if isinstance(program, str) else program.python
        self._root: RootBase | None = None
        self._kept = KeptBases()
        if not isinstance(program, str):
            self._root = RootBase(program, environment, spawner, self._root_is_new, self._kept)
        self._of_homes: dict[Home, HomeBase] = {}
        # Each takes the place of the one in `_of_homes` when it can fork.
        self._coming: dict[Home, HomeBase] = {}
        # Why those homes have no base whose base has failed.
        self.refused: dict[Home, str] = {}
        self._ending: set[HomeBase] = set()
        self._lost = LostBases(self._remake, self._may_make)
        self._is_closed = False
        self._look: asyncio.TimerHandle | None = None

    def make(self) -> None:
        """Make the base of the standard library."""
        if self._root is not None:
            self._root.make()

    def take_over(self, store: Store, entries: Iterable[StoreEntry], groups: Groups) -> None:
        """Go on with what fits of the bases that an earlier daemon has kept by these entries, and
        keep those of this daemon there. Make the first one if there is none."""
        if not groups.can_make:
            self.why_standard = self.why_standard or "no control groups can be made here"
        found = self._kept.take(store, entries)
        # That of the standard library comes first.
        for each in sorted(found, key=lambda each: each.kept.recipe is not None):
            try:
                self._take(each, groups)
            except Exception:
                # The next daemon would fail in the same way.
                log.exception("cannot go on with a base: a fault in emperord")
                each.kill()
                self._kept.forget(each.kept.pid)
        if self._root is not None and self._root.state is None:
            self._root.make()
        self._lost.make_next()

    def _take(self, found: FoundBase, groups: Groups) -> None:
        """Go on with that base, or end it."""
        recipe = found.kept.recipe
        if why := self._why_ended(found):
            where = one_line(recipe.home.python) if recipe is not None else self._python
            log.info("a base of %s that an earlier emperord has made ends: %s", where, why)
            found.end()
            self._kept.forget(found.kept.pid)
            if recipe is not None and self._demand.is_heard:
                self._lost.add(recipe, groups)
        elif recipe is not None:
            self._go_on(found, recipe, groups)
        elif self._root is not None:
            self._root.go_on(found)

    def _remake(self, sharing: Sharing, modules: Sequence[str]) -> HomeBase | None:
        """Make a base of a home that had one. It is there if it was forked from the base of the
        standard library that there is now."""
        home = sharing.home
        there, root = self._of_homes.get(home), self._root
        if home in self._coming or root is None or (there and there.begun >= root.made):
            return None
        if there is None:
            self._make_room(home)
        return self._make_home(sharing, self._demand.wanted(home, modules))

    def _why_ended(self, found: FoundBase) -> str:
        root, maker = self._root, None
        if root is not None and (found.kept.recipe is None or self._demand.is_heard):
            with suppress(OSError):  # its program is gone
                maker = root.maker_now()
        first: set[Home | None] = set() if root is None or root.state is None else {None}
        return why_ended(found.kept, found.condition, maker, first | {*self._of_homes})

    def _go_on(self, found: FoundBase, recipe: Recipe, groups: Groups) -> None:
        sharing, group = sharing_of(recipe, groups), groups.adopted(found.kept.group)
        earlier = Earlier(recipe.modules, recipe.surroundings, found.held, group, found.kept.made)
        base = HomeBase(sharing, earlier, self._become, self._loop, self)
        self._of_homes[sharing.home] = base
        self._look_after(base)

    def keep(self) -> None:
        """Keep all that can fork for the next daemon, as they are now."""
        if self._root is not None:
            self._root.keep()
        for base in self._of_homes.values():
            self._keep(base)

    def _keep(self, base: HomeBase) -> None:
        maker = self._root.maker if self._root is not None else None
        kept, fds = base.kept(maker) if maker is not None else None, base.process.fds
        if kept is not None and fds is not None:
            self._kept.keep(kept, *fds)

    def start(self, request: Request) -> Forked | None:
        """The app of that request; None where no base can fork it."""
        root = self._fresh_root()
        if self._of_homes and self._is_memory_short():
            self._end_all()
        if isinstance(request.sharing, Sharing) and self._root is not None:
            self._note(request.sharing)
        if root is None:
            return None
        try:
            at_home = self._start_at_home(request)
            if not isinstance(at_home, str):
                return Forked(at_home, request.order.place.home)
            process = root.start(
                message(request.order),
                [*request.fds, *request.entrances],
                request.on_exit,
                request.on_unfit,
            )
            return Forked(process, "", at_home) if process else None
        except UnicodeEncodeError:  # a path that is no UTF-8
            return None

    def look(self) -> None:
        """End the bases of homes if memory is short, or note which of them have grown. Make those
        again that are to be."""
        if self._of_homes and self._is_memory_short():
            self._end_all()
        for base in self._of_homes.values():
            base.measure()
        self._lost.make_next()

    def accepts(self, app: int) -> None:
        """The process `app` accepts connections: its start is over."""
        for base in (self._root, *self._of_homes.values()):
            if base is not None:
                base.accepts(app)

    def _fresh_root(self) -> BaseProcess | None:
        return self._root.fresh() if self._root is not None else None

    def _start_at_home(self, request: Request) -> LedProcess | str:
        """The app, forked from the base of its home; or why not."""
        sharing = request.sharing
        if isinstance(sharing, str):
            return sharing
        base = self._of_homes.get(sharing.home)
        if base is None:
            return self.refused.get(sharing.home, "")
        try:
            surroundings = self._surroundings_of(sharing.home)
        except OSError as error:  # no descriptor is left
            return f"cannot read the groups of its user: {error}"
        # A process of a tenant's cannot leave a group, nor load another version of a library.
        if base.surroundings != surroundings:
            self.on_stale(base)
            return "groups or libraries have changed"
        return base.why_not(request) or base.start(request) or "it has no spare"

    def on_stale(self, base: HomeBase) -> None:
        """The base is of no use any more. Another one is made soon, but not again and again while
        packages are installed."""
        if self._of_homes.get(base.sharing.home) is not base:
            return
        self._end(base.sharing.home)
        is_young = self._loop.time() - base.made < _YOUNG_SECONDS
        calm = _LONGER_CALM_SECONDS if is_young else _CALM_SECONDS
        self._loop.call_later(calm, self._lost.make_again, base)

    def _note(self, sharing: Sharing) -> None:
        """An app of that home starts."""
        home, demand = sharing.home, self._demand
        if not demand.is_heard:
            return
        demand.note(sharing)
        is_worth_it = home in self._of_homes or demand.is_enough(home)
        if is_worth_it and demand.may_ask(home):
            demand.put_off(home, _CALM_SECONDS)
            self._loop.call_later(_CALM_SECONDS, self._make_for, sharing, self._loop.time())

    def _make_for(self, sharing: Sharing, since: float) -> None:
        """Make the base of that home, or a new one if it has served for long, or if apps that
        started since then import much that it lacks."""
        home = sharing.home
        # If the first one is made anew, the next app asks again.
        if home in self._coming or not self._may_make():
            return
        there = self._of_homes.get(home)
        if there is None:
            modules = self._demand.modules(home)
            if not self._lacks_few(modules, ()):
                self._make_room(home)
                self._make_home(sharing, modules)
            return
        new = self._demand.modules(home, since)
        if there.is_old or not self._lacks_few(new, there.asked_for):
            self._demand.put_off(home, _LEARNING_SECONDS)
            self._make_home(sharing, self._demand.wanted(home, there.modules))

    def _surroundings_of(self, home: Home) -> Surroundings:
        groups = self._listed_groups.of(home.user.name if home.user else None)
        return Surroundings(groups, {**self._root.libraries} if self._root is not None else {})

    def _make_home(self, sharing: Sharing, modules: Sequence[str]) -> HomeBase | None:
        """Make the base of that home. It takes the place of the present base when it can fork."""
        home = sharing.home
        try:
            wanted = Wanted(modules, self._surroundings_of(home))
            base = HomeBase(sharing, wanted, self._become, self._loop, self)
        except (OSError, CannotLaunch, UnicodeEncodeError) as error:
            log.warning(
                "cannot make a base of %s: %s; its apps are forked from that of the standard"
                " library", home.python, error,
            )  # fmt: skip
            self._refuse(home, str(error))
            return None
        (self._coming if home in self._of_homes else self._of_homes)[home] = base
        self._look_after(base)
        return base

    def _look_after(self, base: HomeBase) -> None:
        """Keep it for the next daemon until it ends, and no longer than somebody uses it."""
        base.process.on_leave = partial(self._leave, base)
        if self._look is None:
            self._look = self._loop.call_later(_UNUSED_SECONDS, self._end_unused)

    def _leave(self, base: HomeBase) -> None:
        """The base is killed, or has exited. One that waits in the kernel may not exit for long."""
        self._kept.forget(base.process.pid)
        # Whoever ends several bases would be in the middle of it.
        self._loop.call_soon(self._lost.is_over, base)

    def _may_make(self) -> bool:
        """Whether a base of a home can be made now: one that is a child of the daemon."""
        if self._is_closed or self._is_memory_short():
            return False
        root = self._fresh_root()
        return root is not None and root.is_child

    def _root_is_new(self, is_another_version: bool) -> None:
        """Make the bases of homes anew, which have the memory of the base of the standard library
        before this one, and those that were lost: one after the other. What another version has
        made is of no use until then."""
        for base in [*self._of_homes.values(), *self._coming.values()]:
            self._lost.note(base)
        for home in [*self._coming]:
            self._end_one(self._coming.pop(home))
        if is_another_version:
            self._end_all()
        self._lost.make_next()

    def _lacks_few(self, modules: Sequence[str], of_home: Collection[str]) -> bool:
        return are_few(modules, of_home, self._root.modules if self._root is not None else ())

    def _make_room(self, home: Home) -> None:
        """End a base if there are too many: the user's, or any, that was unused for longest."""
        own = [each for each in self._of_homes if each.user == home.user]
        if len(own) >= _MOST_OF_ONE or len(self._of_homes) >= _MOST_BASES:
            among = own if len(own) >= _MOST_OF_ONE else [*self._of_homes]
            self._end(min(among, key=lambda each: self._of_homes[each].last_used))

    def _become(self, order: bytes, fds: Sequence[int], on_exit: OnExit) -> LedProcess | None:
        root = self._fresh_root()
        return root.start(order, fds, on_exit, lambda _: None) if root is not None else None

    def on_ready(self, base: HomeBase) -> None:
        """The base can fork, and takes the place of the one before it."""
        for home in [home for home, each in self._coming.items() if each is base]:
            if home in self._of_homes:
                self._end_one(self._of_homes.pop(home))
            self._of_homes[home] = self._coming.pop(home)
        self.refused.pop(base.sharing.home, None)
        self._keep(base)
        self._lost.is_over(base)

    def on_end(self, base: HomeBase) -> None:
        """The base has exited. No other one is made for its home before a delay has passed."""
        self._ending.discard(base)
        for bases in (self._of_homes, self._coming):
            for home in [home for home, each in bases.items() if each is base]:
                del bases[home]
                self._refuse(home, base.why_ended)
        self._lost.is_over(base)

    def _refuse(self, home: Home, why: str) -> None:
        """Have none made for it for some time."""
        self._demand.put_off(home, _DELAY_SECONDS)
        self.refused[home] = why
        keep_latest(self.refused, _MOST_REFUSED)

    def _end(self, home: Home) -> None:
        for bases in (self._of_homes, self._coming):
            if home in bases:
                self._end_one(bases.pop(home))

    def _end_one(self, base: HomeBase) -> None:
        self._ending.add(base)
        base.end()

    def _end_all(self) -> None:
        """End the bases of homes."""
        for home in {*self._of_homes, *self._coming}:
            self._end(home)

    def _end_unused(self) -> None:
        self._look = None
        now = self._loop.time()
        for home, base in [*self._of_homes.items()]:
            if now - base.last_used >= _UNUSED_SECONDS:
                self._end(home)
        if self._of_homes:
            oldest = min(base.last_used for base in self._of_homes.values())
            self._look = self._loop.call_at(oldest + _UNUSED_SECONDS, self._end_unused)

    def states(self) -> tuple[BaseState, ...]:
        """The bases that can fork."""
        root = self._root.state if self._root is not None else None
        homes = (base.state(self._python) for base in self._of_homes.values())
        return tuple(state for state in (root, *homes) if state is not None)

    async def close(self) -> None:
        """End them, and wait for that: the daemon ends."""
        self._is_closed = True
        if self._look is not None:
            self._look.cancel()
        self._end_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DYING_SECONDS):
                for base in [*self._ending]:
                    await base.ended.wait()
        if self._root is not None:
            await self._root.close()
