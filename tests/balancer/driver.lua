-- Runs the balancer's Lua for many host names, in nginx or without it. Returns a function of the
-- folder of the Lua files, what is wanted, the backends, and an iterator over the hosts, that
-- returns one answer for each host.

-- A list so long that the index of the stock hash is the hash itself, and whose entries are their
-- own index.
local function endless()
    local tricks = {
        __len = function() return 2 ^ 40 end,
        __index = function(_, index) return ("%.0f"):format(index - 1) end,
    }
    if not newproxy then
        return setmetatable({}, tricks)
    end
    -- Until Lua 5.1, the length of a table cannot be feigned.
    local list = newproxy(true)
    for name, trick in pairs(tricks) do
        getmetatable(list)[name] = trick
    end
    return list
end

-- Runs an access_by_lua_file with globals of its own, as nginx does for each request.
local function placement(file, entries, var)
    local globals = setmetatable({ web_server_ips = entries, ngx = { var = var } }, { __index = _G })
    local run = setfenv and setfenv(assert(loadfile(file)), globals)
        or assert(loadfile(file, "t", globals))
    return function(host)
        var.route_host, var.scheme, var.backend_ip = host, "http", ""
        run()
        return (var.backend_ip:gsub("^http://", ""))
    end
end

local wanted = {}

function wanted.hash(folder, _, var)
    return placement(folder .. "/get_backend_ip.lua", endless(), var)
end

function wanted.rendezvous(folder, entries, var)
    return placement(folder .. "/get_backend_ip_rendezvous.lua", entries, var)
end

-- The numbers of all other backends than that of the first slot.
function wanted.substitutes(_, entries)
    local order = require "fleet.order"
    local fleet = require("fleet.backends").of(entries)
    return function(host)
        return table.concat(order.substitutes(host, 1, fleet.entries, fleet.shares), " ")
    end
end

-- What an entry is understood as; the hosts are the entries here.
function wanted.parse()
    local backends = require "fleet.backends"
    return function(entry)
        local address, port = backends.parse(entry)
        return address and address .. " " .. (port or "-") or "bad"
    end
end

return function(folder, what, entries, hosts)
    local answer, answers = wanted[what](folder, entries, {}), {}
    for host in hosts do
        answers[#answers + 1] = answer(host)
    end
    return answers
end
