-- What is known to be wrong with a backend, in all workers: "unreachable", or "unwell" when it
-- answers but wants no new work. One line in the log for each change.
local M = {}

local marks = ngx.shared.backends

-- A probe that fails renews the mark. If nobody probes any more, it goes by itself.
local SECONDS = 10

-- The mark of an entry, or nil.
function M.of(entry)
    return marks:get(entry)
end

function M.set(entry, mark, cause)
    -- Many requests notice the same at once: only one adds the mark, and logs.
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
