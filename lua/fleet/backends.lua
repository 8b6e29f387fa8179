-- Checks the list of backends and parses its entries.
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

-- Two entries with the same identity are the same server.
local function identity(address, port)
    return (ipv6(address:match("^%[(.*)%]$") or "") or address) .. " " .. (port or "default")
end

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
    local seen, with, without = {}, nil, nil
    for i = 1, last do
        if list[i] == nil then
            return ("web_server_ips has a hole: entry %d is nil"):format(i)
        end
        local address, port = M.parse(list[i])
        if not address then
            return ("entry %d of web_server_ips, %q, %s"):format(i, tostring(list[i]), port)
        end
        local same = seen[identity(address, port)]
        if same then
            return ("entries %d and %d of web_server_ips are the same backend, %s"):format(
                same, i, list[i])
        end
        seen[identity(address, port)] = i
        if port then
            with = with or i
        else
            without = without or i
        end
    end
    -- In a mixed list, a backend could get plain http on its https port.
    if with and without then
        return ("entry %d of web_server_ips has a port and entry %d has none; "
            .. "either all have one or none"):format(with, without)
    end
    return nil
end

return M
