-- Which backend a host name belongs to. access_by_lua_file; needs $route_host and $backend_ip.
local canonicalHost = string.lower(ngx.var.route_host)
local hash = 5381
local limit = (2 ^ 32)
for i = 1, #canonicalHost do
    local c = canonicalHost:sub(i, i)
    hash = ((hash * 33) % limit) + string.byte(c)
end
local serverNo = (hash % #web_server_ips) + 1
ngx.var.backend_ip = ngx.var.scheme .. "://" .. web_server_ips[serverNo]
