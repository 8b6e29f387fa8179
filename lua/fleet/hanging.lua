-- Ends the requests that wait for a backend that hangs.
--
-- The kernel of such a backend still confirms what is sent to it, so neither TCP nor nginx notices.
-- A request would wait until proxy_read_timeout, which is long for the sake of slow apps. But a
-- backend whose nginx accepts probes and answers none for a while answers no request either. Its
-- connections are shut down here. nginx then finds them closed, and repeats what may be repeated on
-- a substitute.
local clock = require "fleet.clock"
local ffi = require "ffi"
local silent = require "fleet.shared"

local M = {}

-- How long a backend may answer no probe, in seconds. More than a reload or a short overload takes.
-- With the time of a probe, less than proxy_next_upstream_timeout, after which nothing is repeated.
local SILENT = 20

ffi.cdef [[
struct emperord_peer { uint16_t family; uint8_t port[2]; uint8_t rest[124]; };
struct emperord_entry {
    uint64_t inode; int64_t offset; uint16_t length; uint8_t type; char name[256];
};
void *opendir(const char *path);
struct emperord_entry *readdir(void *folder);
int closedir(void *folder);
int getpeername(int fd, struct emperord_peer *peer, uint32_t *length);
int shutdown(int fd, int how);
int inet_pton(int family, const char *text, void *address);
]]
local C = ffi.C
local AF_INET, AF_INET6, SHUT_RDWR = 2, 10, 2

local function key(peer)
    return "silent " .. peer.key
end

-- A probe of a peer (fleet.backends) was accepted, and not answered.
function M.note(peer)
    silent.add(key(peer), clock.now())
end

-- A peer has answered a probe.
function M.forget(peer)
    silent.delete(key(peer))
end

-- The address of a connection in the form of `name_of`.
local function name_of_peer(peer)
    local text, family = peer.address:match("^%[(.*)%]$"), AF_INET6
    if not text then
        text, family = peer.address, AF_INET
    end
    local address = ffi.new("uint8_t[16]")
    C.inet_pton(family, text, address)
    return ffi.string(address, family == AF_INET and 4 or 16) .. " " .. peer.port
end

-- The address and port of the other end of a descriptor, or nil if it is no TCP connection.
local function name_of(fd, found)
    local length = ffi.new("uint32_t[1]", ffi.sizeof(found))
    if C.getpeername(fd, found, length) ~= 0 then
        return nil
    end
    local port = found.port[0] * 256 + found.port[1]
    -- sin_addr begins after the port, sin6_addr after the flow information.
    if found.family == AF_INET then
        return ffi.string(found.rest, 4) .. " " .. port
    elseif found.family == AF_INET6 then
        return ffi.string(found.rest + 4, 16) .. " " .. port
    end
end

-- The descriptors of this worker.
local function descriptors()
    local found, folder = {}, C.opendir("/proc/self/fd")
    if folder == nil then
        return found
    end
    local entry = C.readdir(folder)
    while entry ~= nil do
        found[#found + 1] = tonumber(ffi.string(entry.name))
        entry = C.readdir(folder)
    end
    C.closedir(folder)
    return found
end

-- Shuts down the connections of this worker to all peers that have been silent for too long.
function M.shut_down(peers)
    local hanging, any = {}, false
    for i = 1, #peers do
        for _, peer in pairs(peers[i]) do
            local since = silent.get(key(peer))
            if since and clock.now() - since >= SILENT then
                hanging[name_of_peer(peer)], any = true, true
            end
        end
    end
    if not any then
        return
    end
    local found = ffi.new("struct emperord_peer")
    for _, fd in ipairs(descriptors()) do
        local name = name_of(fd, found)
        if name and hanging[name] then
            C.shutdown(fd, SHUT_RDWR)
        end
    end
end

return M
