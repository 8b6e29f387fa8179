"""What can go wrong for a command, and the exit status that each of these means.

Nothing but `main` ends the process; a command raises one of these, or an ExceptionGroup of them.
"""


class Failed(Exception):
    """A command could not do what it was told. The message is for the user."""

    exit_status = 1


class NoSuchVassal(Failed):
    """The daemon knows no vassal of this name."""

    exit_status = 3


class Unreachable(Failed):
    """The daemon does not answer on its control socket."""

    exit_status = 4
