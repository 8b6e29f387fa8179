-- The headers in which a server in front of an app says who the client is, and which request it
-- sent. Apps believe them, and a client can send them too. The balancer removes them; the backend
-- does too, with the same list: nginx/emperord/claims.conf. loadbalancer.conf itself replaces those
-- that it sets.
--
-- A host may keep some: `web_kept_headers` in the list of backends.
local M = {}

M.headers = {
    -- The client's address.
    "Forwarded",
    "Forwarded-For",
    "X-Forwarded",
    "X-Client-IP",
    "Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Fastly-Client-IP",
    "X-Appengine-User-IP",
    "X-Azure-ClientIP",
    "X-Envoy-External-Address",
    "X-Original-Forwarded-For",
    "X-Originating-IP",
    "X-ProxyUser-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    -- The scheme.
    "X-Forwarded-Ssl",
    "X-Forwarded-Scheme",
    "X-Forwarded-Protocol",
    "X-Scheme",
    "X-Url-Scheme",
    "Front-End-Https",
    -- The host and the path.
    "X-Host",
    "X-Original-Host",
    "X-Forwarded-Server",
    "X-HTTP-Host-Override",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Forwarded-Uri",
    "X-Original-URL",
    "X-Original-URI",
    "X-Rewrite-URL",
    "X-Script-Name",
    "Script-Name",
    -- The user.
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Authenticated-User",
    "X-Webauth-User",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    -- The certificate of a client.
    "SSL-Client-Cert",
    "SSL-Client-DN",
    "SSL-Client-S-DN",
    "SSL-Client-Verify",
    "X-Client-Cert",
    "X-Client-DN",
    "X-Client-Verify",
    "X-Forwarded-Client-Cert",
    "X-SSL-Client-Cert",
    "X-SSL-Client-DN",
    "X-SSL-Client-S-DN",
    "X-SSL-Client-Verify",
    "X-SSL-Cert",
    -- Orders to a server in front.
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    -- HTTP libraries read HTTP_PROXY as a setting (CVE-2016-5385).
    "Proxy",
}

local known = {}
for i = 1, #M.headers do
    known[M.headers[i]:lower()] = true
end

-- The error in `web_kept_headers`, or nil if it is valid: a table of lists of headers, by host.
function M.complaint(kept)
    if kept ~= nil and type(kept) ~= "table" then
        return "web_kept_headers is not a table: { [\"www.example.com\"] = { \"True-Client-IP\" } }"
    end
    for host, names in pairs(kept or {}) do
        if type(host) ~= "string" or host ~= host:lower() or type(names) ~= "table" then
            return ("web_kept_headers has %q, which is not a host name in lower case with a list "
                .. "of headers"):format(tostring(host))
        end
        for _, name in pairs(names) do
            if type(name) ~= "string" or not known[name:lower()] then
                return ("web_kept_headers of %s has %q, which is no header that the balancer "
                    .. "removes"):format(host, tostring(name))
            end
        end
    end
    return nil
end

local function has(list, name)
    for _, each in pairs(list) do
        if each:lower() == name:lower() then
            return true
        end
    end
    return false
end

-- What is removed from the requests for a host: all of the list, except `kept`, a list too.
function M.of(kept)
    local dropped = {}
    for i = 1, #M.headers do
        if not has(kept, M.headers[i]) then
            dropped[#dropped + 1] = M.headers[i]
        end
    end
    return dropped
end

return M
