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
-- Chains have 5 to 10 KB.
local LONGEST = 256 * 1024

ffi.cdef [[
int open(const char *path, int flags, ...);
ssize_t read(int fd, void *buffer, size_t count);
int close(int fd);
char *strerror(int number);

int OPENSSL_sk_num(const void *stack);
void *OPENSSL_sk_value(const void *stack, int index);
const void *TLS_server_method(void);
void *SSL_CTX_new(const void *method);
void SSL_CTX_free(void *context);
int SSL_CTX_use_certificate(void *context, void *certificate);
int SSL_CTX_use_PrivateKey(void *context, void *key);
long SSL_CTX_ctrl(void *context, int command, long larg, void *parg);
unsigned long ERR_peek_last_error(void);
const char *ERR_reason_error_string(unsigned long number);
void ERR_clear_error(void);
]]
local C = ffi.C
local ENOENT = 2
-- Does not wait for somebody to write to a pipe that stands in a certificate's place.
local O_RDONLY_NONBLOCK_CLOEXEC = 0x80800
local SSL_CTRL_CHAIN_CERT = 89

local buffer = ffi.new("char[?]", LONGEST)

-- Files with a pair, and without: if nginx may not enter the folder, any name makes one of these,
-- which must not push out what is served.
local served, useless = lrucache.new(CAPACITY), lrucache.new(CAPACITY)

-- The text of a file; nil, the problem and its errno if it cannot be read.
local function read(path)
    local fd = C.open(path, O_RDONLY_NONBLOCK_CLOEXEC)
    local length, errno = 0, ffi.errno()
    if fd >= 0 then
        -- A file on a disk is read in one piece.
        length, errno = tonumber(C.read(fd, buffer, LONGEST)), ffi.errno()
        C.close(fd)
    end
    if fd < 0 or length < 0 then
        return nil, ffi.string(C.strerror(errno)), errno
    elseif length == 0 then
        return nil, "it is empty"
    elseif length == LONGEST then
        return nil, "it is longer than any chain of certificates"
    end
    return ffi.string(buffer, length)
end

-- Nil if OpenSSL can serve the pair, else why not. It is asked beforehand, since a handshake that
-- has dropped its old certificate cannot have it back.
local function complaint(chain, key)
    local context = ffi.gc(C.SSL_CTX_new(C.TLS_server_method()), C.SSL_CTX_free)
    local accepted = C.SSL_CTX_use_certificate(context, C.OPENSSL_sk_value(chain, 0)) == 1
    for i = 1, C.OPENSSL_sk_num(chain) - 1 do
        local certificate = C.OPENSSL_sk_value(chain, i)
        accepted = accepted and C.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, certificate) == 1
    end
    if accepted and C.SSL_CTX_use_PrivateKey(context, key) == 1 then
        return nil
    end
    local reason = C.ERR_reason_error_string(C.ERR_peek_last_error())
    C.ERR_clear_error()
    return "OpenSSL says: " .. (reason ~= nil and ffi.string(reason) or "no")
end

-- The certificate and its key as OpenSSL has them; nil and the problem if the text is none.
local function parse(text)
    if text:find("ENCRYPTED", 1, true) then
        -- OpenSSL would ask on the terminal for the pass phrase, and the worker stand still.
        return nil, "its key is encrypted"
    end
    local chain, problem = ssl.parse_pem_cert(text)
    if not chain then
        return nil, problem
    end
    local key
    key, problem = ssl.parse_pem_priv_key(text)
    if not key then
        return nil, problem
    end
    problem = complaint(chain, key)
    if problem then
        return nil, problem
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
