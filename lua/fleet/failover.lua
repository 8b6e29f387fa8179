-- Sends each attempt to the backend that $backend_ip names, or to a substitute if that backend is
-- marked or has failed.
local backends = require "fleet.backends"
local balancer = require "ngx.balancer"
local choice = require "fleet.choice"
local marks = require "fleet.marks"
local probe = require "fleet.probe"

-- nginx's NGX_BUSY, for which nginx answers 502. With an HTTP status it would answer 500 here, and
-- after ngx.DECLINED it would try again for ever.
local NGX_BUSY = -3

local CAUSES = { [502] = "no connection", [504] = "no connection in time" }
local MAY_RUN_TWICE = { GET = true, HEAD = true, OPTIONS = true }

-- The most attempts of a request. Each goes to another backend, so that the request finds one that
-- answers when many fail at the same moment. Two kinds of attempts are fewer: at backends that are
-- known to be unreachable, since a request would wait for each backend of a fleet that is down; and
-- at backends that took the request, since an app that breaks off would run on all of them.
local MOST, MOST_IN_VAIN = 16, 3

-- The cause may be the whole machine. So the port for the other scheme is avoided too, until it has
-- answered a probe, which takes milliseconds if only this port has failed.
local function check_other(peer)
    marks.suspect(peer)
    ngx.timer.at(0, function(premature)
        if not premature then
            probe(peer)
        end
    end)
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
        ctx.in_vain = ctx.in_vain + 1
        return MAY_RUN_TWICE[ngx.var.request_method]
    end
    local _, status = balancer.get_last_failure()
    local is_new = marks.set(ctx.peer, "unreachable", CAUSES[status] or status)
    if is_new and ctx.peer.other then
        check_other(ctx.peer.other)
    end
    return true
end

-- Called for each attempt of a request.
return function()
    local ctx = ngx.ctx
    if not ctx.tried then
        local fleet = backends.of(web_server_ips, web_backend_ports)
        ctx.fleet, ctx.own = choice.own(ngx.var.backend_ip, fleet)
        ctx.tried, ctx.attempts, ctx.in_vain = {}, 0, 0
        ctx.most = math.min(MOST, #ctx.fleet.entries)
    -- nginx adds an attempt for each kept connection that breaks. A single backend gets a second
    -- attempt, since its kept connection may have been stale.
    elseif not judge(ctx) or ctx.attempts >= math.max(2, ctx.most)
        or ctx.in_vain >= MOST_IN_VAIN then
        return ngx.exit(NGX_BUSY)
    end

    local peer, objection = choice.best(
        ngx.var.route_host, ctx.own, ctx.fleet, ngx.var.scheme, ctx.tried)
    ctx.peer, ctx.tried[peer], ctx.attempts = peer, true, ctx.attempts + 1
    if objection >= choice.UNREACHABLE then
        ctx.in_vain = ctx.in_vain + 1
    end
    if ctx.attempts < ctx.most and ctx.in_vain < MOST_IN_VAIN then
        balancer.set_more_tries(1)
    end

    local done, problem = balancer.set_current_peer(peer.address, peer.port)
    if not done then
        ngx.log(ngx.ERR, "cannot balance to ", peer.entry, ": ", problem)
        return ngx.exit(NGX_BUSY)
    end
end
