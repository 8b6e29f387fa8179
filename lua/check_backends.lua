-- init_by_lua_file: reads the list of backends, init_backends.lua beside this file, and raises an
-- error if the list is not valid. nginx then does not start; at a reload it keeps the old list.
-- `nginx -t` runs no Lua; `emperorctl route` checks a list beforehand.
local backends = require "fleet.backends"
local current = require "fleet.current"

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

-- The ports of entries without a port. The list may set other ports.
web_backend_ports = web_backend_ports or { http = 80, https = 443 }

local complaint = backends.complaint(web_server_ips, web_backend_ports)
if complaint then
    refuse(complaint)
end

-- The workers inherit the result.
backends.of(web_server_ips, web_backend_ports)

-- The list above is for the time until emperord-balancer has written its file.
if web_server_file then
    list = web_server_file
    local found, problem = pcall(current.begin, web_server_file)
    if not found then
        refuse(problem)
    elseif not problem then
        ngx.log(ngx.WARN, "there is no file ", web_server_file, " yet: the backends are those of ",
            folder, "init_backends.lua")
    end
end
