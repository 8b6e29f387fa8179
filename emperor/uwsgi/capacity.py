"""Finds numbers of workers and threads that are beyond this machine (uwsgi_setup_workers of
core/init.c and others, measured on 2.0.31)."""

from collections.abc import Iterator

from emperor.model.machine import Machine
from emperor.model.spec import Spec
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import WORKERS, Ini, Option, leading_number

_MEGABYTE = 1 << 20
# What the smallest worker takes.
_LEAST_WORKER_BYTES = _MEGABYTE
# uWSGI makes a pair of sockets for each worker, before it starts one.
_DESCRIPTORS_EACH = 2
# It counts the bytes of all buffers of a worker in a signed int.
_MOST_BUFFER_BYTES = (1 << 31) - 1


def too_many(ini: Ini, spec: Spec, machine: Machine) -> Iterator[Finding]:
    """An error for more workers or threads than can be. The ini is resolved."""
    last = ini.last
    workers = ini.last_of(WORKERS)
    threads = last.get("threads")
    multiples = [last[key] for key in ("threads", "async") if key in last]
    cores = max(multiples, key=lambda option: leading_number(option.value), default=None)
    count = leading_number(workers.value) if workers else 1
    each = leading_number(threads.value) if threads else 1
    if workers and (limit := _limit(count, "cheaper" in last, machine)):
        yield _error(workers, f"{workers.key} = {count} is more than {limit}")
    elif cores and leading_number(cores.value) * spec.head_bytes > _MOST_BUFFER_BYTES:
        most = _MOST_BUFFER_BYTES // spec.head_bytes
        limit = f"{most}, for which uWSGI can count its buffers of {spec.head_bytes} bytes"
        yield _error(cores, f"{cores.key} = {leading_number(cores.value)} is more than {limit}")
    elif problem := _of_its_user(last.get("limit-nproc"), count, spec):
        yield problem
    elif threads and count * each > machine.processes:
        total = f"{count} workers with {each} threads each are"
        yield _error(threads, f"{total} more than the {machine.processes} that the kernel allows")


def _of_its_user(limit: Option | None, workers: int, spec: Spec) -> Finding | None:
    """A finding about a limit on the processes of the user, which root does not have. It counts
    those of other apps too."""
    most = leading_number(limit.value) if limit else 0
    if limit is None or spec.identity is None or spec.identity.uid == 0 or most <= 0:
        return None
    name = spec.identity.user or f"uid {spec.identity.uid}"
    if most < workers + 1:
        text = f"limit-nproc = {most} is too few for a master and {workers} workers"
        return Finding(limit.line, Severity.ERROR, f"{text}, so the app does not start", "raise it")
    text = f"limit-nproc = {most} counts all processes of {name}, not those of this app alone"
    return Finding(limit.line, Severity.WARNING, text, "use pids-max in [emperor]")


def _limit(workers: int, is_cheap: bool, machine: Machine) -> str:
    """What so many workers are too many for; empty if nothing is known."""
    if not is_cheap and workers * _LEAST_WORKER_BYTES > machine.memory_bytes:
        return f"the {machine.memory_bytes // _MEGABYTE} MB of memory of this machine can hold"
    if not is_cheap and workers > machine.processes:
        return f"the {machine.processes} processes that the kernel allows"
    if workers * _DESCRIPTORS_EACH > machine.descriptors:
        return f"the {machine.descriptors} descriptors of uWSGI suffice for, 2 each"
    return ""


def _error(option: Option, cause: str) -> Finding:
    text = f"{cause}, so the app does not start"
    return Finding(option.line, Severity.ERROR, text, f"write a smaller number of {option.key}")
