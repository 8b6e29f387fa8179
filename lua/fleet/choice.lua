-- Which backend a request goes to: its own, unless something speaks against that.
local marks = require "fleet.marks"
local order = require "fleet.order"

local M = {}

-- What speaks against a backend, least first. One that took the request and failed may be asked
-- again before one that cannot be reached: its connection may only have gone stale.
local UNWELL, TRIED, UNREACHABLE, BOTH = 1, 2, 3, 4

local function objection(entry, tried)
    local mark = marks.of(entry)
    if mark == "unreachable" then
        return tried[entry] and BOTH or UNREACHABLE
    end
    return tried[entry] and TRIED or mark and UNWELL or 0
end

-- The index of the backend that `url` names, scheme://entry.
function M.index(url, entries)
    local entry = url:match("://(.*)$")
    for i = 1, #entries do
        if entries[i] == entry then
            return i
        end
    end
    error(("cannot balance: $backend_ip is %q, which is not in web_server_ips"):format(url), 0)
end

-- The entry for a host whose own is the one of index `first`; `tried` is the set of those that have
-- failed.
function M.best(host, first, entries, tried)
    local best, least = entries[first], objection(entries[first], tried)
    if least == 0 then
        return best
    end
    for _, i in ipairs(order.substitutes(host, first, entries)) do
        local against = objection(entries[i], tried)
        if against < least then
            best, least = entries[i], against
        end
    end
    return best
end

return M
