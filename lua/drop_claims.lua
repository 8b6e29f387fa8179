-- rewrite_by_lua_file: removes the headers that only a server in front may send; needs $route_host.
-- As in failover.lua, all code is in a function.
require("fleet.dropping")()
