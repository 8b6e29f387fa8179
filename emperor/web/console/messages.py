"""The pages that say one thing: a problem, or a question before an order."""

from dataclasses import dataclass

from emperor.model.problem import ProblemCode
from emperor.web.console.orders import OrderText

# Where the words of the API are not those of a page.
TITLES = {
    ProblemCode.NO_SUCH_ENDPOINT: "There is no such page",
    ProblemCode.METHOD_NOT_ALLOWED: "This page is not asked so",
}
CURES = {
    ProblemCode.NO_SUCH_VASSAL: "Look for it in the list of vassals.",
    ProblemCode.REFUSED: "Mend the ini: it is read again as soon as it changes.",
}


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """Why there is no other page. `vassal` is the one that an order was for; empty: none."""

    title: str
    detail: str
    cure: str
    vassal: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmationPage:
    """A page that asks back: the order, whom it is about, and, relative to the page, where the
    order is sent and what is shown otherwise."""

    order: OrderText
    subject: str
    action: str
    back: str
