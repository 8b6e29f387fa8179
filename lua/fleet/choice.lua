-- Chooses the backend of a request: its domain's own backend, or a substitute while that one is
-- marked or has failed.
local marks = require "fleet.marks"
local order = require "fleet.order"

local M = {}

-- The objections to a backend, from the least to the most serious. A backend that failed in this
-- request is better than an unreachable backend: perhaps only its kept connection was stale.
local UNWELL, TRIED, UNREACHABLE, BOTH = 1, 2, 3, 4

local function objection(entry, tried)
    local mark = marks.of(entry)
    if mark == "unreachable" then
        return tried[entry] and BOTH or UNREACHABLE
    end
    return tried[entry] and TRIED or mark and UNWELL or 0
end

-- The index of the backend in `url`, which is scheme://entry.
function M.index(url, entries)
    local entry = url:match("://(.*)$")
    for i = 1, #entries do
        if entries[i] == entry then
            return i
        end
    end
    error(("cannot balance: $backend_ip is %q, which is not in web_server_ips"):format(url), 0)
end

-- The best entry for a host. `first` is the index of the host's own backend; `tried` is the set of
-- entries that have failed in this request.
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
