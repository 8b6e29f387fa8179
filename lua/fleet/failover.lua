-- Sends each attempt to the backend that $backend_ip names, or to a substitute if that backend is
-- marked or has failed.
local backends = require "fleet.backends"
local balancer = require "ngx.balancer"
local choice = require "fleet.choice"
local marks = require "fleet.marks"

-- nginx's NGX_BUSY, for which nginx answers 502. With an HTTP status it would answer 500 here, and
-- after ngx.DECLINED it would try again for ever.
local NGX_BUSY = -3

local CAUSES = { [502] = "no connection", [504] = "no connection in time" }
local MAY_RUN_TWICE = { GET = true, HEAD = true, OPTIONS = true }

-- The parsed entries. Without this cache, parsing would be the most expensive step of a request.
local peers = {}

local function peer(entry)
    local known = peers[entry]
    if not known then
        local address, port = backends.parse(entry)
        known = { address = address, port = port }
        peers[entry] = known
    end
    return known
end

-- Evaluates the previous attempt, and marks its backend if it was unreachable. Returns false if
-- there must be no further attempt.
local function judge(ctx)
    -- $upstream_bytes_sent has one number for each attempt. ($upstream_connect_time cannot be used:
    -- for TCP nginx sets it before it knows whether the connection was established.)
    local sent = tonumber(ngx.var.upstream_bytes_sent:match("(%d+)%D*$"))
    if sent > 0 then
        -- No mark: the cause may be a single app, and the other apps still need the backend.
        -- The app may have acted on the request: nginx by itself would repeat a PUT or a DELETE.
        return MAY_RUN_TWICE[ngx.var.request_method]
    end
    local _, status = balancer.get_last_failure()
    marks.set(ctx.entry, "unreachable", CAUSES[status] or status)
    return true
end

-- Called for each attempt of a request.
return function()
    local ctx, entries = ngx.ctx, web_server_ips
    if not ctx.tried then
        ctx.tried, ctx.attempts = {}, 0
        ctx.first = choice.index(ngx.var.backend_ip, entries)
    -- nginx adds an attempt for each kept connection that breaks. A single backend gets a second
    -- attempt, since its kept connection may have been stale.
    elseif not judge(ctx) or ctx.attempts >= math.max(2, #entries) then
        return ngx.exit(NGX_BUSY)
    end

    local entry = choice.best(ngx.var.route_host, ctx.first, entries, ctx.tried)
    ctx.entry, ctx.tried[entry], ctx.attempts = entry, true, ctx.attempts + 1
    if ctx.attempts < #entries then
        balancer.set_more_tries(1)
    end

    local to = peer(entry)
    local done, problem = balancer.set_current_peer(
        to.address, to.port or web_backend_ports[ngx.var.scheme])
    if not done then
        ngx.log(ngx.ERR, "cannot balance to ", entry, ": ", problem)
        return ngx.exit(NGX_BUSY)
    end
end
