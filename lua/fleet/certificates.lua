-- The certificates of domains: FOLDER/www.example.com.pem for one host, or
-- FOLDER/_wildcard.example.com.pem for all hosts directly below example.com. Each file holds the
-- certificate, its intermediate certificates and the key.
--
-- A file that vanishes or becomes unusable changes nothing for visitors: all workers go on with
-- what was served last, also after a reload. The log says so once.
local clock = require "fleet.clock"
local ffi = require "ffi"
local lrucache = require "resty.lrucache"
local ssl = require "ngx.ssl"

local M = {}

local FOLDER = "/etc/nginx/certs/"
-- The number of entries in each of the two caches below. Missing files are not cached.
local CAPACITY = 2000
-- A cached file is used for this long before it is read again.
local SECONDS = 1
-- The log warns so long before a certificate expires, in seconds.
local SOON = 14 * 86400
-- The largest file, in bytes. Usual chains have 5 to 10 KB.
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
const void *X509_get0_notAfter(const void *certificate);
void *ASN1_TIME_set(void *time, long seconds);
void ASN1_TIME_free(void *time);
int ASN1_TIME_diff(int *days, int *seconds, const void *from, const void *to);
long SSL_CTX_ctrl(void *context, int command, long larg, void *parg);
unsigned long ERR_peek_last_error(void);
const char *ERR_reason_error_string(unsigned long number);
void ERR_clear_error(void);
]]
local C = ffi.C
local ENOENT = 2
-- Non-blocking, so that a named pipe instead of a certificate does not block the worker.
local O_RDONLY_NONBLOCK_CLOEXEC = 0x80800
local SSL_CTRL_CHAIN_CERT = 89

local buffer = ffi.new("char[?]", LONGEST)

-- Files with a usable certificate and key, and unusable files. There are two caches because, if
-- nginx may not enter the folder, every name adds an unusable file, which must not evict a usable
-- file.
local served, useless = lrucache.new(CAPACITY), lrucache.new(CAPACITY)

-- The text of each file that was served last, and what the log has said, for all workers. With the
-- nginx.conf of an earlier version, which lacks this memory, each worker remembers for itself.
local store = ngx.shared.certificates
if not store then
    local own = lrucache.new(CAPACITY)
    store = {
        get = function(_, key) return own:get(key) end,
        set = function(_, key, value) own:set(key, value) end,
        delete = function(_, key) own:delete(key) end,
        add = function(_, key, value)
            local is_new = own:get(key) == nil
            own:set(key, value)
            return is_new
        end,
    }
end

-- The text of a file. If it cannot be read: nil, the problem and the errno.
local function read(path)
    local fd = C.open(path, O_RDONLY_NONBLOCK_CLOEXEC)
    local length, errno = 0, ffi.errno()
    if fd >= 0 then
        -- For a regular file, one read(2) returns everything.
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

-- The reason why OpenSSL cannot serve the certificate with the key, or nil if it can. This is
-- checked beforehand: a handshake that has dropped its old certificate cannot get it back.
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

local EPOCH = ffi.gc(C.ASN1_TIME_set(nil, 0), C.ASN1_TIME_free)

-- When the certificate expires, in seconds since the epoch.
local function expiry(certificate)
    local days, seconds = ffi.new("int[1]"), ffi.new("int[1]")
    if C.ASN1_TIME_diff(days, seconds, EPOCH, C.X509_get0_notAfter(certificate)) ~= 1 then
        return math.huge
    end
    return days[0] * 86400 + seconds[0]
end

-- The certificate and its key as OpenSSL objects. If the text is not valid: nil and the problem.
local function parse(text)
    if text:find("ENCRYPTED", 1, true) then
        -- OpenSSL would ask for the pass phrase on the terminal, which blocks the worker.
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
    return { chain = chain, key = key, expires = expiry(C.OPENSSL_sk_value(chain, 0)) }
end

local function path_of(name)
    return FOLDER .. name .. ".pem"
end

-- What was served last of a file that this worker has not served, or nil.
local function served_before(name)
    local text = store:get("text " .. name)
    return text and parse(text)
end

local function tell_problem(name, problem, pair)
    ngx.log(ngx.ERR, "cannot use the certificate ", path_of(name), ": ", problem, "; serving the ",
        pair and "one before" or "default")
end

-- One line when a certificate expires soon, and one when it has expired.
local function tell_expiry(name, file)
    local expires, now = file.pair.expires, ngx.time()
    local said = expires <= now and "has expired" or expires - now <= SOON and "expires soon"
    if not said or file.said == said then
        return
    end
    file.said = said
    if store:add(("%s %s %d"):format(said, name, expires), true) then
        ngx.log(said == "has expired" and ngx.ERR or ngx.WARN, "the certificate ", path_of(name),
            " ", said, ": ", os.date("!%Y-%m-%d %H:%M:%S UTC", expires))
    end
end

-- Takes up the text of a file, which may be the same as before, or the problem with it.
local function take_up(name, file, text, problem)
    if file.source == (text or problem) then
        return
    end
    file.source = text or problem
    local pair
    if text then
        pair, problem = parse(text)
    end
    if pair then
        file.pair, file.said = pair, nil
        if store:get("text " .. name) ~= text then
            store:set("text " .. name, text)
        end
    else
        file.pair = file.pair or served_before(name)
        tell_problem(name, problem, file.pair)
    end
end

-- The certificate and key of a file, nil without a file. If the file becomes unusable, the previous
-- certificate and key stay in use.
local function load(name)
    local file, now = served:get(name) or useless:get(name) or {}, clock.now()
    if file.read_at and now - file.read_at < SECONDS then
        return file.pair
    end
    local text, problem, errno = read(path_of(name))
    if errno == ENOENT then
        useless:delete(name)
        return nil
    end
    file.read_at = now
    take_up(name, file, text, problem)
    if text and store:get("gone " .. name) then
        store:delete("gone " .. name)
        ngx.log(ngx.NOTICE, "the certificate ", path_of(name), " is there again")
    end
    local cache = file.pair and served or useless
    cache:set(name, file)
    if file.pair then
        tell_expiry(name, file)
    end
    return file.pair
end

-- The certificate and key that were served of a file that is gone, or nil.
local function kept(name)
    local file = served:get(name)
    if not file then
        local pair = served_before(name)
        if not pair then
            return nil
        end
        file = { pair = pair, source = store:get("text " .. name) }
        served:set(name, file)
    end
    if store:add("gone " .. name, true) then
        tell_problem(name, "it is gone", file.pair)
    end
    tell_expiry(name, file)
    return file.pair
end

local function forget(name)
    served:delete(name)
    store:delete("text " .. name)
end

-- The { chain =, key = } for the name that a client has sent, or nil.
function M.find(server_name)
    local name = server_name:lower()
    -- Without slashes a name cannot leave the folder. A file name has at most 255 bytes.
    if #name > 240 or name:find("[^a-z0-9_.-]") then
        return nil
    end
    local own = load(name)
    if own then
        return own
    end
    local wildcard = name:gsub("^[^.]*", "_wildcard")
    local shared = load(wildcard)
    if not shared then
        return kept(name) or kept(wildcard)
    end
    -- The file of the name was removed in favour of the wildcard.
    if store:get("text " .. name) then
        forget(name)
    end
    return shared
end

return M
