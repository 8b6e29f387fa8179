-- balancer_by_lua_file, called for each attempt. LuaJIT compiles functions, but never the body of a
-- file. So all code is in a function, which halves the CPU time.
require("fleet.failover")()
