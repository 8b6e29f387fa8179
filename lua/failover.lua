-- balancer_by_lua_file, once for each attempt. LuaJIT compiles functions but never the body of a
-- file, so this has none: that halves what it costs.
require("fleet.failover")()
