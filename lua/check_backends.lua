-- init_by_lua_file: reads the list of backends, init_backends.lua beside this file, and raises an
-- error if it cannot be used. nginx then does not start, and one that runs keeps its old list when
-- it is reloaded. `nginx -t` runs no Lua; `emperorctl route` tells of a bad list beforehand.
local backends = require "fleet.backends"

local folder = debug.getinfo(1, "S").source:match("^@(.*/)[^/]*$")
local list = folder .. "init_backends.lua"

local function refuse(problem)
    error(("cannot use the backends of %s: %s"):format(list, problem), 0)
end

local run, unreadable = loadfile(list)
if not run then
    refuse(unreadable)
end
local done, failure = pcall(run)
if not done then
    refuse(failure)
end

-- The ports of entries that name none. The list may set others, for a fleet on unusual ones.
web_backend_ports = web_backend_ports or { http = 80, https = 443 }

local complaint = backends.complaint(web_server_ips, web_backend_ports)
if complaint then
    refuse(complaint)
end
