-- The certificates of domains: FOLDER/www.example.com.pem for one host, or
-- FOLDER/_wildcard.example.com.pem for all directly below example.com. Each holds the certificate,
-- those between it and its root, and the key.
local ffi = require "ffi"
local lrucache = require "resty.lrucache"
local ssl = require "ngx.ssl"

local M = {}

local FOLDER = "/etc/nginx/certs/"
-- Of the two below, each. A file that is looked for in vain is in none.
local CAPACITY = 2000
-- How long a file is believed not to have changed.
local SECONDS = 1
local ENOENT = 2

ffi.cdef [[
void *OPENSSL_sk_value(const void *stack, int index);
int X509_check_private_key(const void *certificate, const void *key);
void ERR_clear_error(void);
]]

-- Files with a pair, and without: if nginx may not enter the folder, any name makes one of these,
-- which must not push out what is served.
local served, useless = lrucache.new(CAPACITY), lrucache.new(CAPACITY)

-- The text of a file; nil, the problem and its errno if it cannot be read.
local function read(path)
    local file, problem, errno = io.open(path, "rb")
    if not file then
        return nil, problem, errno
    end
    local text
    text, problem, errno = file:read("*a")
    file:close()
    return text, problem, errno
end

-- The certificate and its key as OpenSSL has them; nil and the problem if the text is none.
local function parse(text)
    local chain, problem = ssl.parse_pem_cert(text)
    if not chain then
        return nil, problem
    end
    local key
    key, problem = ssl.parse_pem_priv_key(text)
    if not key then
        return nil, problem
    end
    -- Found out now, since a handshake that has dropped its old certificate cannot have it back.
    if ffi.C.X509_check_private_key(ffi.C.OPENSSL_sk_value(chain, 0), key) ~= 1 then
        ffi.C.ERR_clear_error()
        return nil, "the key does not belong to the first certificate"
    end
    return { chain = chain, key = key }
end

-- The pair of a file, nil if there is none. A file that has become unusable leaves its pair in use.
local function load(name)
    local file, now = served:get(name) or useless:get(name), ngx.now()
    if file and now - file.read_at < SECONDS then
        return file.pair
    end
    local path = FOLDER .. name .. ".pem"
    local text, problem, errno = read(path)
    if errno == ENOENT then
        served:delete(name)
        useless:delete(name)
        return nil
    end
    file = file or {}
    file.read_at = now
    if file.source ~= (text or problem) then
        file.source = text or problem
        local pair
        if text then
            pair, problem = parse(text)
        end
        file.pair = pair or file.pair
        if not pair then
            ngx.log(ngx.ERR, "cannot use the certificate ", path, ": ", problem, "; serving the ",
                file.pair and "one before" or "default")
        end
    end
    local cache = file.pair and served or useless
    cache:set(name, file)
    return file.pair
end

-- The { chain =, key = } for a name that a client has sent, nil if there is none.
function M.find(server_name)
    local name = server_name:lower()
    -- No slash gets through, so there is no way out of the folder; and file names end at 255 bytes.
    if #name > 240 or name:find("[^a-z0-9_.-]") then
        return nil
    end
    return load(name) or load((name:gsub("^[^.]*", "_wildcard")))
end

return M
