"""The registry takes for an address what the Lua of the balancers takes."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from emperor.model.backend_address import address_problem
from tests.balancer.lua import Lua

_PORTS = st.sampled_from(["", ":80", ":0", ":65535", ":65536", ":", ":080", ":x"])
_HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){2,4}\Z"),
    st.ip_addresses(v=6, network="2000::/3").map(lambda address: f"[{address}]"),
    st.from_regex(r"\A\[([0-9a-fA-F]{0,5}:){1,9}[0-9a-f]{0,4}\]\Z"),
    st.from_regex(r"\A[0-9a-f.:%\[\] ]{0,12}\Z"),
)
ENTRIES = st.lists(st.tuples(_HOSTS, _PORTS).map("".join), min_size=1, max_size=100)


@settings(deadline=None, max_examples=50)
@example(
    ["[::ffff:1.2.3.4]", "[fe80::1%eth0]", "1.2.3.4:٣", "[1:2:3:4:5:6:7::]", "[::]:1", "٣.1.1.1"]
)
@given(ENTRIES)
def test_python_and_lua_take_the_same_addresses(luajit: Lua, entries: list[str]) -> None:
    for entry, answer in zip(entries, luajit("parse", entries), strict=True):
        problem = address_problem(entry)
        if problem != "stands for the machine itself":
            assert (problem is None) == (answer != "bad"), entry
