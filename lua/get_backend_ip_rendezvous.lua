-- The other placement; access_by_lua_file in place of get_backend_ip.lua. When a backend is added,
-- the stock hash moves most domains, N of N + 1; this moves to it one of N + 1, and no other.
-- Changing from one to the other moves most domains once.
local order = require "fleet.order"

local favourite = order.favourite(ngx.var.route_host, web_server_ips)
ngx.var.backend_ip = ngx.var.scheme .. "://" .. web_server_ips[favourite]
