"""Listeners without sockets: a test says when a connection comes, and what cannot be bound."""

from collections.abc import Callable

from emperor.model.ports import CannotListen
from emperor.model.snapshot import ListenerRef
from emperor.model.spec import Spec
from tests.supervisor.action_log import ActionLog

# The number of a descriptor of the wrong kind.
WRONG = -7


class FakeListener:
    """A listener that is only its state: the door, the watcher and what was done to it."""

    def __init__(self, spec: Spec, inode: int, actions: ActionLog) -> None:
        self.spec = spec
        self.inode = inode
        self.actions = actions
        self.door_open = False
        self.barred = False
        self.is_shut = False
        self.in_place = True
        self.closed = False
        self.refused = 0
        self.answer = b""
        self.links: list[str] = []
        self.noted = 0
        self.fault: Exception | None = None
        self.connect_fault: Exception | None = None
        self.connected: float | None = None
        self._watcher: Callable[[], object] | None = None

    @property
    def fd(self) -> int:
        return -1 if self.closed else self.inode

    @property
    def ref(self) -> ListenerRef:
        return ListenerRef(self.inode, device=1, bound_at=1)

    @property
    def watched(self) -> bool:
        return self._watcher is not None

    def connect(self) -> None:
        """A client connects. The daemon must watch the listener, and is notified."""
        assert self._watcher, "the daemon does not watch this listener"
        self._watcher()

    def open_door(self) -> None:
        if self.fault:
            raise self.fault
        if not self.door_open:
            with self.actions.step("open"):
                self.door_open = True
        self.barred = False

    def close_door(self) -> None:
        if self.fault:
            raise self.fault
        if self.door_open:
            with self.actions.step("close"):
                self.door_open = False
        self.barred = False

    def link(self, host: str) -> bool:
        self.links.append(host)
        return True

    def apply(self, spec: Spec) -> None:
        if self.closed:
            raise CannotListen("it could not be bound again")
        self.spec = spec

    def watch(self, on_connection: Callable[..., object], argument: object, /) -> None:
        self._watcher = lambda: on_connection(argument)

    def unwatch(self) -> None:
        self._watcher = None

    def bar_door(self) -> None:
        self.close_door()
        self.barred = True

    def shut(self, answer: bytes) -> None:
        assert answer
        self.is_shut = True

    def refuse(self, answer: bytes) -> int:
        self.refused += 1
        self.answer = answer
        return 1

    def is_in_place(self) -> bool:
        return self.in_place

    def last_connect(self) -> float | None:
        if self.connect_fault:
            raise self.connect_fault
        return self.connected

    def note_next_connect(self) -> None:
        self.noted += 1

    def close(self) -> None:
        self.closed = True
        self.in_place = False


class FakeListeners:
    """Makes listeners; with a `problem` it raises CannotListen, and with a `fault` the doors of
    those that it makes raise that."""

    def __init__(self, actions: ActionLog) -> None:
        self.actions = actions
        self.made: list[FakeListener] = []
        self.unlinked: list[str] = []
        self.problem: str | None = None
        self.fault: Exception | None = None

    def listen(self, spec: Spec) -> FakeListener:
        if self.problem:
            raise CannotListen(self.problem)
        self.made.append(FakeListener(spec, 10 + len(self.made), self.actions))
        self.made[-1].fault = self.fault
        return self.made[-1]

    def unlink(self, name: str) -> None:
        self.unlinked.append(name)

    def adopt(self, spec: Spec, ref: ListenerRef | None, fd: int) -> FakeListener:
        if ref is None:
            listener = FakeListener(spec, -1, self.actions)
            listener.close()
            return listener
        # The store has a duplicate, so the socket outlives a close.
        [listener] = [listener for listener in self.made if listener.inode == fd == ref.inode]
        assert listener.spec.socket == spec.socket
        listener.closed = False
        return listener
