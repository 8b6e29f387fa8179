"""What a page shows of an output, beside what a command prints."""

import re

# A number, a moment or an address, perhaps with its unit, or the id of a request. Addresses of
# TEST-NET-1 are those of a page's machines, and stay.
VARIES = re.compile(r"\b[0-9a-f]{32}\b|(?<![\w.-])(?!192\.0\.2\.)(?:::)?\d[\w.:-]*(?: m?s\b)?")


def pattern(output: str) -> str:
    """Matches an output of the page on one line, but for numbers, moments and ids of requests, and
    with anything in the place of three dots."""
    parts = [re.escape(part) for part in VARIES.split(" ".join(output.split()))]
    return f"(?:{VARIES.pattern})".join(parts).replace("…", ".*")
