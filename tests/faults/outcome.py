"""The outcome of a request: its answer, compared with what the apps have noted."""

from enum import Enum

from tests.faults.visitors import RETRY, Errand
from tests.fleet.client import Visit


class Outcome(Enum):
    ANSWERED = "by its app, which ran it once"
    REFUSED = "503 with Retry-After, and no app has seen it"
    UNKNOWN = "404, and no app has seen it"
    BROKEN = "502 or 503, and its app may have begun it"
    REPEATED = "a GET that ran again after its first run, or its connection, was cut off"
    UNANSWERED = "its connection ended without an answer"
    WRONG = "anything else: an answer of nobody's, a POST that ran twice"


def outcome_of(visit: Visit, runs: int) -> Outcome:
    """The outcome of a visit of which the apps have noted so many runs."""
    question = visit.question
    assert isinstance(question, Errand)
    if runs > 1:
        return Outcome.REPEATED if question.method == "GET" else Outcome.WRONG
    if visit.status is None:
        return Outcome.UNANSWERED
    if visit.status == 200:
        size = len(question.body) if question.method == "POST" else 0
        by_its_app = visit.text.split()[1:3] == [question.domain, str(size)]
        return Outcome.ANSWERED if by_its_app and runs == 1 else Outcome.WRONG
    if runs == 0 and visit.status == 404:
        return Outcome.UNKNOWN
    if runs == 0 and visit.status == 503:
        return Outcome.REFUSED if visit.text.startswith(RETRY) else Outcome.WRONG
    return Outcome.BROKEN if visit.status in (502, 503) else Outcome.WRONG
