"""The orders of the console in words, and which of them ask back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OrderText:
    """An order: the text of its button, what the page that asks back says where visitors may notice
    it, and whether they get errors."""

    name: str
    button: str
    question: str = ""
    hurts: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether the console asks back before it gives the order."""
        return bool(self.question)


_ORDERS = (
    OrderText("start", "Start"),
    OrderText("reload", "Reload"),
    OrderText(
        "restart", "Restart",
        "Its process finishes its requests and ends, and then another one starts. Visitors wait"
        " until that accepts.",
    ),
    OrderText(
        "restart-fresh", "Kill and restart",
        "Its processes are killed at once: the requests that they work on fail. Then another one"
        " starts, at a new socket.", hurts=True,
    ),
    OrderText(
        "sleep", "Sleep",
        "Its process finishes its requests and ends. The next visitor waits for a start.",
    ),
    OrderText(
        "maintenance-on", "Begin maintenance",
        "Its process finishes its requests and ends. From then on visitors get 503, and nothing"
        " starts it, until the maintenance is ended.", hurts=True,
    ),
    OrderText("maintenance-off", "End maintenance"),
)  # fmt: skip
ORDERS = {order.name: order for order in _ORDERS}

DRAIN = {
    "drain": OrderText(
        "drain", "Drain",
        "Load balancers that ask for health are told to send new requests to other machines. That"
        " lasts until the drain is ended, or until a reboot. Requests that come are served.",
    ),
    "undrain": OrderText("undrain", "End the drain"),
}  # fmt: skip
