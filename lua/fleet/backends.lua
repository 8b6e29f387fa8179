-- Checks the list of backends, parses its entries and finds the backends that it names.
--
-- The entries of the list are slots. Several slots may name the same backend.
--
-- Pure: no nginx API; the same in LuaJIT, Lua 5.1 and Lua 5.4.
local M = {}

local function is_ipv4(text)
    local octets = 0
    for octet in (text .. "."):gmatch("([^.]*)%.") do
        if not octet:find("^%d%d?%d?$") or tonumber(octet) > 255 or octet:find("^0.") then
            return false
        end
        octets = octets + 1
    end
    return octets == 4
end

-- The groups of hexadecimal digits in one half of an IPv6 address, or nil.
local function groups(text)
    local found = {}
    if text ~= "" then
        for group in (text .. ":"):gmatch("([^:]*):") do
            if not group:find("^%x%x?%x?%x?$") then
                return nil
            end
            found[#found + 1] = tonumber(group, 16)
        end
    end
    return found
end

-- The eight groups of an IPv6 address, so that all spellings of an address are equal; nil if the
-- text is no IPv6 address.
local function ipv6(text)
    local left, right = text:match("^(.-)::(.*)$")
    local head, tail = groups(left or text), groups(right or "")
    if not head or not tail then
        return nil
    end
    local gap = 8 - #head - #tail
    if left and gap < 1 or not left and gap ~= 0 then
        return nil
    end
    for _ = 1, gap do
        head[#head + 1] = 0
    end
    for i = 1, #tail do
        head[#head + 1] = tail[i]
    end
    return table.concat(head, ":")
end

local function is_port(number)
    return type(number) == "number" and number % 1 == 0 and number >= 1 and number <= 65535
end

-- The address of an entry (IPv6 in brackets) and its port, or nil without a port. For a malformed
-- entry, nil and the reason. Host names are refused: nginx cannot resolve them in this phase.
function M.parse(entry)
    if type(entry) ~= "string" then
        return nil, "is a " .. type(entry) .. " and not a string"
    end
    local address, port = entry:match("^(%[[^%]]*%])(.*)$")
    if not address then
        address, port = entry:match("^([^:]*)(.*)$")
    end
    if not is_ipv4(address) and not ipv6(address:match("^%[(.*)%]$") or "") then
        return nil, "is neither an IPv4 address nor an IPv6 address in brackets"
    end
    if port == "" then
        return address, nil
    end
    local number = tonumber(port:match("^:(%d+)$"))
    if not is_port(number) then
        return nil, "has no port from 1 to 65535 after its address"
    end
    return address, number
end

-- An address in a form that all its spellings share.
local function canonical(address)
    return ipv6(address:match("^%[(.*)%]$") or "") or address
end

-- The unspecified address, also as IPv6 writes that of IPv4. Linux connects to the machine itself.
local ITSELF = { ["0.0.0.0"] = true, ["0:0:0:0:0:0:0:0"] = true, ["0:0:0:0:0:65535:0:0"] = true }

local function last_index(list)
    local last = 0
    for key in pairs(list) do
        if type(key) ~= "number" then
            return nil, ("has the key %q; it is a plain list: { \"192.0.2.11\", ... }"):format(
                tostring(key))
        end
        last = math.max(last, key)
    end
    return last
end

-- The error in a list of backends, or nil if it is valid. `ports` has the ports, by scheme, of
-- entries without a port; nil means the default ports.
function M.complaint(list, ports)
    if ports and not (type(ports) == "table" and is_port(ports.http) and is_port(ports.https)) then
        return "web_backend_ports is not set to two ports: { http = 80, https = 443 }"
    end
    if ports and ports.http == ports.https then
        return ("web_backend_ports has %d for both schemes; each needs a port of its own"):format(
            ports.http)
    end
    if type(list) ~= "table" then
        return "web_server_ips is not set to a list: { \"192.0.2.11\", ... }"
    end
    local last, problem = last_index(list)
    if problem then
        return "web_server_ips " .. problem
    end
    if last == 0 then
        return "web_server_ips is empty; it needs at least one backend"
    end
    local spelling, slot, with, without = {}, {}, nil, nil
    for i = 1, last do
        local entry = list[i]
        if entry == nil then
            return ("web_server_ips has a hole: entry %d is nil"):format(i)
        end
        if type(entry) ~= "string" or not slot[entry] then
            local address, port = M.parse(entry)
            if not address then
                return ("entry %d of web_server_ips, %q, %s"):format(i, tostring(entry), port)
            end
            if ITSELF[canonical(address)] then
                return ("entry %d of web_server_ips, %q, is no backend: it stands for this "
                    .. "balancer, which would send requests to itself"):format(i, entry)
            end
            local identity = canonical(address) .. " " .. (port or "default")
            local same = spelling[identity]
            if same then
                return ("entries %d and %d of web_server_ips are the same backend in two "
                    .. "spellings, %s and %s"):format(slot[same], i, same, entry)
            end
            slot[entry], spelling[identity] = i, entry
            if port then
                with = with or i
            else
                without = without or i
            end
        end
    end
    -- In a mixed list, a backend could get plain http on its https port.
    if with and without then
        return ("entry %d of web_server_ips has a port and entry %d has none; "
            .. "either all have one or none"):format(with, without)
    end
    return nil
end

local PORTS = { http = 80, https = 443 }

-- Where the requests of each scheme of a client go. Each has a mark of its own. `other` is the one
-- of the other scheme. With a port in the list there is only one, for http.
local function peers(entry, ports)
    local address, port = M.parse(entry)
    local function peer(scheme)
        local to = port or (ports or PORTS)[scheme]
        local key = ("%s %s:%d"):format(scheme, address, to)
        return { entry = entry, scheme = scheme, address = address, port = to, key = key }
    end
    local http = peer("http")
    if port then
        return { http = http, https = http }
    end
    local https = peer("https")
    http.other, https.other = https, http
    return { http = http, https = https }
end

local function distinct(list, ports)
    local fleet = { list = list, ports = ports, entries = {}, shares = {}, peers = {}, index = {} }
    local found = {}
    for i = 1, #list do
        local entry = list[i]
        local n = found[entry]
        if n then
            fleet.shares[n] = fleet.shares[n] + 1
        else
            n = #fleet.entries + 1
            found[entry] = n
            fleet.entries[n], fleet.shares[n], fleet.peers[n] = entry, 1, peers(entry, ports)
            fleet.index["http://" .. entry], fleet.index["https://" .. entry] = n, n
        end
    end
    return fleet
end

local known = {}

-- The backends of a list that has no error, each of them once, in the order of their first slots:
-- `entries`, `shares` (the number of slots of each), `peers` (of each, by the scheme of the client)
-- and `index` (by scheme://entry). The list has thousands of slots, so this is computed once for
-- each list, and never for a request. `before` are those of the list before this one.
function M.of(list, ports)
    if known.list ~= list or known.ports ~= ports then
        local before = known.list and known or nil
        if before then
            before.before = nil
        end
        known = distinct(list, ports)
        known.before = before
    end
    return known
end

return M
