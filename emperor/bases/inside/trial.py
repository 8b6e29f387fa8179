"""Imports the modules of a virtual environment in a process of its own, and finds those that a base
must not have: what they do at their import would be missing in a fork, or the same in all of them.
"""

import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from emperor.bases.inside.calls import counted_calls
from emperor.bases.inside.effects import Effects
from emperor.bases.inside.needs import Needs
from emperor.bases.inside.preload import no_lazy_imports

_MOST_TRIALS = 8
# For so long a module may do nothing but its own code, and all trials may take together. emperord
# waits 60 s for a base (emperor/bases/base_process.py), which imports once more after the trials.
_MODULE_SECONDS = 4.0
_ALL_SECONDS = 40.0
# A package of which more modules are unfit is left out; after so many trials, one is enough.
_FEW = 2
_PATIENT_TRIALS = 4
_MOST_BYTES = 1 << 20
_CHUNK = 65536
_BEGUN, _ENDED, _BAD, _DONE = "+", "/", "-", "."


def unfit_modules(names: Sequence[str], needs: Needs) -> dict[str, str]:
    """The modules among `names` that a base must not import, each with the reason."""
    left_out: dict[str, str] = {}
    # Those that have stopped a trial. No other one imports them.
    stopped: dict[str, str] = {}
    deadline, trial = time.monotonic() + _ALL_SECONDS, 0
    while trial < _MOST_TRIALS and time.monotonic() < deadline:
        few = _FEW if trial < _PATIENT_TRIALS else 0
        tried = [name for name in names if name not in left_out]
        found, stop = _try(tried, needs, few, stopped, deadline)
        if not found and not stop:
            return left_out
        # What another module had imported already was not seen alone.
        left_out |= found | stop
        stopped |= stop
        trial += not stop
    return dict.fromkeys(names, "too many modules cannot be imported in a base")


def _try(
    names: Sequence[str], needs: Needs, few: int, stopped: Mapping[str, str], deadline: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Import these in another process. Returns those that are unfit, and the one that has stopped
    it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.setsid()
            os.close(reader)
            _import_each(names, needs, few, stopped, writer)
        os._exit(0)
    os.close(writer)
    told, is_late = _read_all(reader, deadline)
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    why = f"it takes more than {_MODULE_SECONDS:.0f} s" if is_late else "it ends the process"
    return _judged(told.decode(errors="replace").splitlines(), why)


def _judged(lines: Iterable[str], why_stopped: str) -> tuple[dict[str, str], dict[str, str]]:
    bad: dict[str, str] = {}
    importing: list[str] = []
    for line in lines:
        name, _, reason = line[1:].partition("\t")
        if line[:1] == _BEGUN:
            importing.append(name)
        elif line[:1] == _ENDED and importing:
            importing.pop()
        elif line[:1] == _BAD:
            bad[name] = reason
        elif line[:1] == _DONE:
            return bad, {}
    return bad, {importing[-1]: why_stopped} if importing else {}


def _read_all(reader: int, deadline: float) -> tuple[bytes, bool]:
    """What a trial tells, and whether a module of it has taken too long."""
    told, is_late = b"", False
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while len(told) < _MOST_BYTES:
        left = min(_MODULE_SECONDS, deadline - time.monotonic())
        if left <= 0 or not poll.poll(left * 1000):
            is_late = True
            break
        if not (part := os.read(reader, _CHUNK)):
            break
        told += part
        if told.endswith(f"{_DONE}\n".encode()):  # what it has started may keep the pipe
            break
    os.close(reader)
    return told, is_late


def _import_each(
    names: Sequence[str], needs: Needs, few: int, stopped: Mapping[str, str], writer: int
) -> None:
    def tell(line: str) -> None:
        os.write(writer, f"{line}\n".encode())

    bad: dict[str, str] = {}
    failed: dict[str, str] = {}
    packages: set[str] = set()
    effects = Effects(counted_calls())
    needs.follow(lambda name: tell(_BEGUN + name), lambda name: tell(_ENDED + name))
    vars(sys)["modules"].update(dict.fromkeys(stopped))  # an import fails
    for name in names:
        tell(_BEGUN + name)
        before, loaded = effects.state(), {*sys.modules}
        try:
            with no_lazy_imports():
                __import__(name)  # which `Needs` notes
        except Exception as error:
            failed[name] = _one_line(f"{type(error).__name__}: {error}")
        if done := effects.since(before):
            bad[name] = f"it {done}"
            # The package may have done it, and would do it again for each of its modules.
            packages.add(_first_loaded(name, loaded))
        elif _has_own_random(sys.modules.keys() - loaded):
            bad[name] = "it has random numbers of its own"
        tell(_ENDED + name)
    # Of modules that import each other, one that is named first may fail, and succeed by another.
    bad |= {name: why for name, why in failed.items() if name not in sys.modules}
    unfit = Counter(_top(name) for name in bad if name not in failed)
    # At the next trial others of its modules would do it.
    packages |= {package for package, count in unfit.items() if count > few}
    for name in names:
        if name not in bad and (package := next(_within(name, packages), None)):
            bad[name] = f"it belongs to {package}"
        elif name not in bad and (why := next(_reached(name, {**stopped, **bad}, needs), None)):
            bad[name] = f"it needs {why}"
    for name, reason in bad.items():
        tell(f"{_BAD}{name}\t{reason}")
    tell(_DONE)


def _with_packages(name: str) -> Iterator[str]:
    """The packages that a module is in, the outermost first, and itself."""
    for end in [at for at, letter in enumerate(name) if letter == "."]:
        yield name[:end]
    yield name


def _top(name: str) -> str:
    return name.partition(".")[0]


def _first_loaded(name: str, before: Container[str]) -> str:
    """The outermost package that the import of a module has loaded, or the module itself."""
    return next((each for each in _with_packages(name) if each not in before), name)


def _within(name: str, packages: Container[str]) -> Iterator[str]:
    return (each for each in _with_packages(name) if each in packages)


def _has_own_random(names: Iterable[str]) -> bool:
    """Whether a module keeps a generator, whose numbers would be those of all forks."""
    # An object may take itself for one of another class, and do anything when it is asked.
    kinds = {
        type(value)
        for name in names if name != "random"
        for value in vars(sys.modules[name]).values()
    }  # fmt: skip
    return any(
        issubclass(kind, random.Random) and not issubclass(kind, random.SystemRandom)
        for kind in kinds
    )


def _reached(name: str, bad: dict[str, str], needs: Needs) -> Iterator[str]:
    """The bad modules that the module `name` needs, also by way of others."""
    pending, seen = [name], {name}
    while pending:
        for needed in needs.of(pending.pop()) - seen:
            seen.add(needed)
            pending.append(needed)
            if needed in bad:
                yield needed


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:100]
