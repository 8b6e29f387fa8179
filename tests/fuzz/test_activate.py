"""No header that nginx could pass on makes the activation endpoint fail."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.exchange import ask_activate

NAMES = (
    "X-Domain", "X-Host", "X-Navigate", "X-Html", "X-Try", "X-Runs", "X-May-Run", "X-Head-Bytes",
    "X-Refused-File", "X-Forwarded-For", "X-Request-Id", "X-Original-Method", "X-Original-Path",
    "X-Original-Agent", "X-Traceparent",
)  # fmt: skip
DOMAINS = ("mallory.example", "www.mallory.example", "x.wild.alice.example", "fails.root.example")
VALUES = st.one_of(
    st.sampled_from([b"", b"0", b"1", *map(str.encode, DOMAINS)]),
    st.integers(1, 8000).map(lambda length: b"9" * length),
    st.binary(max_size=300).map(lambda value: value.translate(None, b"\r\n\0")),
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.sampled_from([b"GET", b"POST"]))
@example({"X-Head-Bytes": b"9" * 5000}, b"GET")
def test_no_header_makes_the_endpoint_fail(headers: dict[str, bytes], method: bytes) -> None:
    lines = [name.encode() + b": " + value for name, value in headers.items()]
    ask_activate(b"\n".join([method + b" /", *lines]))
