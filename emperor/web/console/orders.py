"""The orders of the console in words, and which of them ask back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OrderText:
    """An order: the text of its button, what is said while and after it is carried out, and, where
    visitors may notice it, what the page that asks back says."""

    name: str
    button: str
    done: str
    question: str = ""

    @property
    def hurts(self) -> bool:
        """Whether it is asked back."""
        return bool(self.question)


_ORDERS = (
    OrderText("start", "Start", "It was told to start."),
    OrderText("reload", "Reload", "A successor boots beside it, and takes over when it accepts."),
    OrderText(
        "restart", "Restart", "It was told to restart.",
        "Its process finishes its requests and ends, and then another one starts. Visitors wait"
        " until that accepts.",
    ),
    OrderText(
        "restart-fresh", "Kill and restart", "It was told to restart with a new socket.",
        "Its processes are killed at once: the requests that they work on fail. Then another one"
        " starts, at a new socket.",
    ),
    OrderText(
        "sleep", "Sleep", "It was told to sleep.",
        "Its process finishes its requests and ends. The next visitor waits for a start.",
    ),
    OrderText(
        "maintenance-on", "Begin maintenance", "It is in maintenance.",
        "Its process finishes its requests and ends. From then on visitors get 503, and nothing"
        " starts it, until the maintenance is ended.",
    ),
    OrderText("maintenance-off", "End maintenance", "The maintenance has ended: a hit wakes it."),
)  # fmt: skip
ORDERS = {order.name: order for order in _ORDERS}

DRAIN = {
    "drain": OrderText(
        "drain", "Drain", "This machine drains.",
        "Load balancers that ask for health are told to send new requests to other machines. That"
        " lasts until the drain is ended, or until a reboot. Requests that come are served.",
    ),
    "undrain": OrderText("undrain", "End the drain", "This machine takes requests again."),
}  # fmt: skip
