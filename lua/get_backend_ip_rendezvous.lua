-- The other placement: access_by_lua_file instead of get_backend_ip.lua. When a backend is added to
-- N backends, the stock hash moves N of N + 1 domains. This placement moves only 1 of N + 1, to the
-- new backend. A change between the two placements moves most domains once.
local backends = require "fleet.backends"
local order = require "fleet.order"

local fleet = backends.of(web_server_ips, web_backend_ports)
local favourite = order.favourite(ngx.var.route_host, fleet.entries, fleet.shares)
ngx.var.backend_ip = ngx.var.scheme .. "://" .. fleet.entries[favourite]
