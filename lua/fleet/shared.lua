-- What all workers know, for some seconds or until it is deleted. The expiry of nginx's shared
-- memory goes by the wall clock: after it is set back by an hour, an entry would stay for an hour.
-- So each entry has its end beside it, by the monotonic clock.
local clock = require "fleet.clock"

local M = {}

local memory = ngx.shared.backends

-- The user flags of an entry hold its end. They are 32 bits, enough for 13 years since the boot.
local IN_A_SECOND = 10
-- How long it is kept who removes an entry that is past.
local CLAIM_SECONDS = 10

local function end_in(seconds)
    return seconds and math.ceil((clock.now() + seconds) * IN_A_SECOND) or 0
end

-- The value of a key, or nil; and its end, if it has one that has passed.
local function look(key)
    local value, last = memory:get(key)
    if last and last <= clock.now() * IN_A_SECOND then
        return nil, last
    end
    return value
end

function M.get(key)
    return (look(key))
end

function M.set(key, value, seconds)
    memory:set(key, value, 0, end_in(seconds))
end

-- Sets a key that has no value. Of several workers that try, one succeeds. Returns whether it did.
function M.add(key, value, seconds)
    local _, past = look(key)
    if past then
        -- One of the workers that find it so removes it, and no worker a later one.
        if not memory:add(("%s, past %d"):format(key, past), true, CLAIM_SECONDS) then
            return false
        end
        memory:delete(key)
    end
    return (memory:add(key, value, 0, end_in(seconds)))
end

function M.delete(key)
    memory:delete(key)
end

return M
