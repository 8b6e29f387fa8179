-- ssl_certificate_by_lua_file: the certificate of the domain that the client names (SNI). For
-- anybody else nginx serves that of its ssl_certificate.
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
