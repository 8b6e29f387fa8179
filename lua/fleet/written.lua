-- Reads a list of backends that emperord-balancer has written: as data, since a program with a user
-- of its own writes it, and nginx's master, which is root, reads it too.
--
-- Pure: no nginx API; the same in LuaJIT, Lua 5.1 and Lua 5.4.
local M = {}

local FIRST_LINE = "^%-%- emperord%-balancer writes this file: table (%d+), (%d+) slots of "
-- Above any that emperord-balancer writes: 65,536 slots.
M.LONGEST = 4 * 1024 * 1024
M.LONGEST_LINE = 256

-- The list and its ports (nil: the default ones). For a text that is no such list, nil and why.
function M.parse(text)
    local _, count = text:match(FIRST_LINE)
    if not count then
        return nil, "it does not begin as emperord-balancer begins it"
    end
    local body = text:match("\nweb_server_ips = (%b{})\n")
    if not body then
        return nil, "it is cut off"
    end
    local list = {}
    for entry in body:gmatch('"([^"]*)"') do
        list[#list + 1] = entry
    end
    if #list ~= tonumber(count) then
        return nil, ("it has %d slots, and its first line says %s"):format(#list, count)
    end
    local http, https = text:match("\nweb_backend_ports = { http = (%d+), https = (%d+) }\n")
    return list, http and { http = tonumber(http), https = tonumber(https) } or nil
end

return M
