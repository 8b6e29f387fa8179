-- Removes from a request what a client claims of itself.
local claims = require "fleet.claims"

-- By host, for the hosts that keep some.
local exceptions = {}
for host, kept in pairs(web_kept_headers or {}) do
    exceptions[host] = claims.of(kept)
end

return function()
    -- If an app answers 101 to an Upgrade, nginx opens a tunnel, and the client could send the
    -- backend headers that it trusts because they come from this balancer. A proxy_set_header does
    -- not prevent this, since nginx looks at the client's header.
    ngx.req.clear_header("Upgrade")
    local dropped = exceptions[ngx.var.route_host] or claims.headers
    for i = 1, #dropped do
        ngx.req.clear_header(dropped[i])
    end
end
