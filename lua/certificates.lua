-- ssl_certificate_by_lua_file: sets the certificate of the domain that the client names (SNI).
-- Otherwise nginx serves the certificate of its ssl_certificate directive.
local certificates = require "fleet.certificates"
local ssl = require "ngx.ssl"

local name = ssl.server_name()
local pair = name and certificates.find(name)
if pair then
    local done, problem = ssl.clear_certs()
    if done then
        done, problem = ssl.set_cert(pair.chain)
    end
    if done then
        done, problem = ssl.set_priv_key(pair.key)
    end
    if not done then
        ngx.log(ngx.ERR, "cannot serve the certificate of ", name, ": ", problem)
    end
end
