-- The list of backends that this nginx has, and how it changes while nginx runs.
--
-- If init_backends.lua sets web_server_file, that file has the list; emperord-balancer writes it.
-- Each worker takes a new list up within a second, without a reload. What cannot be used changes
-- nothing. This module is loaded by init_by_lua, so its globals are those of all requests.
local backends = require "fleet.backends"
local written = require "fleet.written"

local M = {}

-- Each list has a first line of its own, since it has the serial of its table.
local first_line
local complained

local function read(file, what)
    local found, problem = file:read(what)
    file:close()
    return found, problem or "it is empty"
end

-- The list of the file, its ports, and its first line. If it cannot be used, nil and why.
local function load(path)
    local file, problem = io.open(path)
    if not file then
        return nil, problem
    end
    local text
    text, problem = read(file, written.LONGEST)
    if not text then
        return nil, problem
    end
    local list, ports = written.parse(text)
    if not list then
        return nil, ports
    end
    ports = ports or { http = 80, https = 443 }
    problem = backends.complaint(list, ports)
    if problem then
        return nil, problem
    end
    return list, ports, text:match("^[^\n]*")
end

local function use(list, ports, line)
    web_server_ips, web_backend_ports, first_line = list, ports, line
    -- Now, and not in a request.
    backends.of(list, ports)
end

-- At the start of nginx, and at a reload: takes the list of the file. Returns false without a file,
-- and raises the error in it.
function M.begin(path)
    local file = io.open(path)
    if not file then
        return false
    end
    file:close()
    local list, ports, line = load(path)
    if not list then
        error(ports, 0)
    end
    use(list, ports, line)
    return true
end

-- The file's first line, or nil if it cannot be read. Whoever has written it may have ended no line.
local function peek(path)
    local file = io.open(path)
    local text = file and read(file, written.LONGEST_LINE)
    return text and text:match("^[^\n]*") or nil
end

-- One of the workers says what all of them find.
local function say(level, ...)
    local news = table.concat({ ... })
    if ngx.shared.backends:add("said " .. news, true, 60) then
        ngx.log(level, news)
    end
end

-- Takes up the list of the file, if it is another one than before.
function M.look(path)
    if peek(path) == first_line and not complained then
        return
    end
    local list, ports, line = load(path)
    if not list then
        local problem = ports
        if complained ~= problem then
            complained = problem
            say(ngx.ERR, "cannot use the backends of ", path, ": ", problem,
                "; going on with the former list")
        end
        return
    end
    complained = nil
    if line ~= first_line then
        use(list, ports, line)
        say(ngx.NOTICE, "the backends are those of ", path, " now: ", line:match(": (.*)") or line)
    end
end

return M
