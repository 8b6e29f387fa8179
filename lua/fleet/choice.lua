-- Chooses the backend of a request: its domain's own backend, or a substitute while that one is
-- marked or has failed.
local lrucache = require "resty.lrucache"
local marks = require "fleet.marks"
local order = require "fleet.order"

local M = {}

-- The objections to a backend, from the least to the most serious. A backend that failed in this
-- request is better than an unreachable backend: perhaps only its kept connection was stale.
local UNWELL, TRIED = 1, 2
M.UNREACHABLE = 3
local BOTH = 4

-- To find the substitutes of a host, all backends are ranked. Their first few are kept for so many
-- hosts, so that requests to a backend that is down cost nearly the same in a fleet of any size. A
-- worker may need 10 MB for that.
local HOSTS, FEW = 20000, 8

local function objection(peer, tried)
    local mark = marks.of(peer)
    if mark == "unreachable" then
        return tried[peer] and BOTH or M.UNREACHABLE
    end
    return tried[peer] and TRIED or mark and UNWELL or 0
end

local function first_substitutes(host, own, fleet)
    local kept = fleet.kept
    if not kept then
        kept = lrucache.new(HOSTS)
        fleet.kept = kept
    end
    local found = kept:get(host)
    if not found then
        local all = order.substitutes(host, own, fleet.entries, fleet.shares)
        found = {}
        for i = 1, math.min(FEW, #all) do
            found[i] = all[i]
        end
        kept:set(host, found)
    end
    return found
end

-- The backends among which `url`, which is scheme://entry, was chosen, and its index there. A new
-- list may have been taken up since then.
function M.own(url, fleet)
    local own = fleet.index[url]
    if own then
        return fleet, own
    end
    local before = fleet.before
    own = before and before.index[url]
    if not own then
        error(("cannot balance: $backend_ip is %q, which is not in web_server_ips"):format(url), 0)
    end
    return before, own
end

-- The best peer so far, or the first of the substitutes to which there is less objection.
local function better(best, least, substitutes, fleet, scheme, tried)
    for i = 1, #substitutes do
        local peer = fleet.peers[substitutes[i]][scheme]
        local against = objection(peer, tried)
        if against < least then
            best, least = peer, against
            if least == 0 then
                break
            end
        end
    end
    return best, least
end

-- The best peer for a host, and the objection to it. `own` is the index of the host's own backend;
-- `scheme` is the client's; `tried` is the set of peers that have failed in this request.
function M.best(host, own, fleet, scheme, tried)
    local best = fleet.peers[own][scheme]
    local least = objection(best, tried)
    if least > 0 then
        local first = first_substitutes(host, own, fleet)
        best, least = better(best, least, first, fleet, scheme, tried)
    end
    if least > 0 and #fleet.entries > FEW + 1 then
        local all = order.substitutes(host, own, fleet.entries, fleet.shares)
        best, least = better(best, least, all, fleet, scheme, tried)
    end
    return best, least
end

return M
