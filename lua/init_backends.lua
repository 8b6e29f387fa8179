-- The backends, in order: 192.0.2.11 or [2001:db8::11]; or else all with a port, for plain http
-- whatever the client speaks: 192.0.2.11:8080, [2001:db8::11]:8080.
--
-- Order and length decide which backend a domain belongs to. Append to the list, and leave a dead
-- backend in it: taking it out moves most domains to other backends, where they sleep.
web_server_ips = { "192.0.2.11", "192.0.2.12", "192.0.2.13" }
