"""Why the daemon does not start, or ends."""


class CannotStart(Exception):
    """Why the daemon does not start; the message names the cause and, if there is one, the cure."""


def first_error(group: BaseException) -> BaseException:
    """The first error of a group, and of a group in it; or the error itself."""
    return first_error(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group
