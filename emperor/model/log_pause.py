"""Decides whether a line may be logged that others can bring about as often as they like."""


class LogPause:
    """One pause of `seconds` for each subject."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told: dict[str, float] = {}

    def ends(self, subject: str, now: float) -> bool:
        """Whether a line about that subject may be logged at `now`, in monotonic seconds. If so,
        the next pause begins."""
        self._told = {each: at for each, at in self._told.items() if now < at + self._seconds}
        if subject in self._told:
            return False
        self._told[subject] = now
        return True
