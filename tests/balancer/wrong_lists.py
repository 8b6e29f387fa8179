"""Lists of backends that cannot be used, and how nginx complains of each."""

# By what is wrong: the text of init_backends.lua (None: no file), and a pattern of what nginx says.
WRONG = {
    "no file": (None, "cannot open"),
    "nothing in it": ("", "web_server_ips is not set to a list"),
    "a syntax error": ('\n\nweb_server_ips = { "', r"init_backends.lua:3: unfinished string"),
    "an error": ('\nerror("what now?")', r"init_backends.lua:2: what now\?"),
    "a string": ('web_server_ips = "192.0.2.1"', "web_server_ips is not set to a list"),
    "an empty list": ("web_server_ips = {}", "web_server_ips is empty"),
    "names for the backends": (
        'web_server_ips = { one = "192.0.2.1" }', 'web_server_ips has the key "one"',
    ),
    "a hole": ('web_server_ips = { "192.0.2.1", nil, "192.0.2.3" }', "has a hole: entry 2 is nil"),
    "a number": ("web_server_ips = { 192 }", 'entry 1 of web_server_ips, "192", is a number'),
    "a host name": (
        'web_server_ips = { "192.0.2.1", "two.example" }',
        'entry 2 of web_server_ips, "two.example", is neither an IPv4 address nor',
    ),
    "a port too large": (
        'web_server_ips = { "192.0.2.1:65536" }',
        'entry 1 of web_server_ips, "192.0.2.1:65536", has no port from 1 to 65535',
    ),
    "the same, spelled differently": (
        'web_server_ips = { "[2001:DB8::1]", "[2001:db8:0:0::1]" }',
        "entries 1 and 2 of web_server_ips are the same backend in two spellings",
    ),
    "the same among slots, spelled differently": (
        'web_server_ips = { "[2001:db8::1]", "192.0.2.1", "192.0.2.1", "[2001:db8:0::1]" }',
        "entries 1 and 4 of web_server_ips are the same backend in two spellings",
    ),
    "the balancer itself": (
        'web_server_ips = { "192.0.2.1", "0.0.0.0" }',
        'entry 2 of web_server_ips, "0.0.0.0", is no backend: it stands for this balancer',
    ),
    "the balancer itself, with a port": (
        'web_server_ips = { "0.0.0.0:8080" }', 'entry 1 of web_server_ips, "0.0.0.0:8080", is no',
    ),
    "the balancer itself, by IPv6": (
        'web_server_ips = { "[::]" }', r'entry 1 of web_server_ips, "\[::\]", is no backend',
    ),
    "the balancer itself, by IPv6 in full": (
        'web_server_ips = { "[0:0:0::0]" }', r'"\[0:0:0::0\]", is no backend',
    ),
    "the balancer itself, by IPv4 in IPv6": (
        'web_server_ips = { "[::ffff:0:0]" }', r'"\[::ffff:0:0\]", is no backend',
    ),
    "half of the ports": (
        'web_server_ips = { "192.0.2.1" } web_backend_ports = { http = 80 }',
        "web_backend_ports is not set to two ports",
    ),
    "one port for both schemes": (
        'web_server_ips = { "192.0.2.1" } web_backend_ports = { http = 80, https = 80 }',
        "web_backend_ports has 80 for both schemes",
    ),
    "ports for some": (
        'web_server_ips = { "192.0.2.1", "192.0.2.2:8080", "192.0.2.3" }',
        "entry 2 of web_server_ips has a port and entry 1 has none; either all have one or none",
    ),
    "ports for some, the first": (
        'web_server_ips = { "192.0.2.1:8080", "192.0.2.2" }',
        "entry 1 of web_server_ips has a port and entry 2 has none; either all have one or none",
    ),
}  # fmt: skip
