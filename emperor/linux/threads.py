"""Starts a thread where there is room for one: the limit on processes (TasksMax= of the unit)
counts threads too."""

from threading import Thread


def start_thread(thread: Thread) -> bool:
    """Start it. Returns whether there was room for it."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
