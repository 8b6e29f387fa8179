-- Where an attempt goes: to the backend that $backend_ip names, or to a substitute if that one is
-- marked or has failed.
local backends = require "fleet.backends"
local balancer = require "ngx.balancer"
local choice = require "fleet.choice"
local marks = require "fleet.marks"

-- What nginx calls NGX_BUSY: it answers 502. A HTTP status would become 500 here, and after
-- ngx.DECLINED it would ask again for ever.
local NOBODY = -3

local CAUSES = { [502] = "no connection", [504] = "no connection in time" }
local MAY_RUN_TWICE = { GET = true, HEAD = true, OPTIONS = true }

-- What entries mean: to parse one for each request would cost more than all else here.
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

-- Draws the lesson from the attempt before; false if there must be no other.
local function judge(ctx)
    -- One number for each attempt. ($upstream_connect_time does not tell: for TCP it is set before
    -- nginx looks whether the connection came about.)
    local sent = tonumber(ngx.var.upstream_bytes_sent:match("(%d+)%D*$"))
    if sent > 0 then
        -- No mark: it may suffer from a single app, which must not take it away from all others.
        -- And that app may have acted: nginx by itself would repeat a PUT or a DELETE.
        return MAY_RUN_TWICE[ngx.var.request_method]
    end
    local _, status = balancer.get_last_failure()
    marks.set(ctx.entry, "unreachable", CAUSES[status] or status)
    return true
end

-- Once for each attempt of a request.
return function()
    local ctx, entries = ngx.ctx, web_server_ips
    if not ctx.tried then
        ctx.tried, ctx.attempts = {}, 0
        ctx.first = choice.index(ngx.var.backend_ip, entries)
    -- nginx adds an attempt for each kept connection that breaks. A single backend is asked again
    -- once, since its connection may have gone stale.
    elseif not judge(ctx) or ctx.attempts >= math.max(2, #entries) then
        return ngx.exit(NOBODY)
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
        return ngx.exit(NOBODY)
    end
end
