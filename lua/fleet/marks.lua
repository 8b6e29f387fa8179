-- The marks of backends, shared by all workers: "unreachable", or "unwell" for a backend that
-- answers but wants no new requests. Each change writes one line to the log.
local M = {}

local marks = ngx.shared.backends

-- Each failed probe renews the mark. Without probes it expires after this time.
local SECONDS = 10

-- The mark of an entry, or nil.
function M.of(entry)
    return marks:get(entry)
end

function M.set(entry, mark, cause)
    -- Many requests can find the same failure at once: only one of them adds the mark and logs it.
    if marks:add(entry, mark, SECONDS) then
        ngx.log(ngx.WARN, "backend ", entry, " is ", mark, ": ", cause)
        return
    end
    local before = marks:get(entry)
    marks:set(entry, mark, SECONDS)
    if before ~= mark then
        ngx.log(ngx.WARN, "backend ", entry, " is ", mark, ": ", cause)
    end
end

function M.clear(entry)
    local mark = marks:get(entry)
    if mark then
        marks:delete(entry)
        ngx.log(ngx.NOTICE, "backend ", entry, " is well again, no longer ", mark)
    end
end

return M
