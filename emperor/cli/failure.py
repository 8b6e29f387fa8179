"""What can go wrong for a command, and the exit status that each of these means.

Nothing but `main` ends the process; a command raises one of these, or an ExceptionGroup of them.
"""


class Failed(Exception):
    """The daemon was asked and could not, or the answer is no. The message is for the user."""

    exit_status = 1


class NoSuchVassal(Failed):
    """The daemon knows no vassal of this name."""

    exit_status = 3


class Unreachable(Failed):
    """Nobody answers on the control socket, or no longer."""

    exit_status = 4


class WentAway(Unreachable):
    """The daemon had taken the request, and ended the connection without an answer."""
