-- The marks of backends, shared by all workers: "unreachable", or "unwell" for a backend that
-- answers but wants no new requests. A backend has a mark for each scheme, since its port 443 may
-- fail alone. Each change writes one line to the log. For a moment a mark may be "suspected".
local marks = require "fleet.shared"

local M = {}

-- Each failed probe renews the mark. Without probes it expires after this time.
local SECONDS = 10
-- How long a peer is suspected that no probe clears. Longer than a probe.
local SUSPECTED_SECONDS = 3
-- How long the warning about one scheme is taken for one about the whole backend. A fleet may not
-- serve https at all, and the loss of http is then worth a warning of its own.
local NEWS_SECONDS = 30

-- The mark of a peer (fleet.backends), or nil.
function M.of(peer)
    return marks.get(peer.key)
end

-- The mark of a peer that the log has told of, or nil.
local function told(peer)
    local mark = marks.get(peer.key)
    return mark ~= "suspected" and mark or nil
end

-- Has a peer avoided until its next probe, if it has no mark. This is not logged.
function M.suspect(peer)
    marks.add(peer.key, "suspected", SUSPECTED_SECONDS)
end

-- The rest of the sentence that begins with the name of a backend.
local function over(peer)
    return peer.other and " over " .. peer.scheme or ""
end

local function tell(peer, mark, cause)
    local other = peer.other
    if other and told(other) == mark and marks.get("news " .. other.key) then
        ngx.log(ngx.NOTICE, "backend ", peer.entry, ", likewise", over(peer), ": ", cause)
    else
        marks.set("news " .. peer.key, true, NEWS_SECONDS)
        ngx.log(ngx.WARN, "backend ", peer.entry, " is ", mark, over(peer), ": ", cause)
    end
end

-- Returns whether the peer had another mark or none.
function M.set(peer, mark, cause)
    -- Many requests can find the same failure at once: only one of them adds the mark and logs it.
    if marks.add(peer.key, mark, SECONDS) then
        tell(peer, mark, cause)
        return true
    end
    local before = marks.get(peer.key)
    marks.set(peer.key, mark, SECONDS)
    if before ~= mark then
        tell(peer, mark, cause)
    end
    return before ~= mark
end

function M.clear(peer)
    local mark = marks.get(peer.key)
    if not mark then
        return
    end
    marks.delete(peer.key)
    if mark == "suspected" then
        return
    end
    local left = peer.other and told(peer.other)
    if left then
        ngx.log(ngx.NOTICE, "backend ", peer.entry, " can be used again", over(peer), ", but",
            over(peer.other), " it is still ", left)
    else
        ngx.log(ngx.NOTICE, "backend ", peer.entry, " is well again, no longer ", mark)
    end
end

return M
