-- The list of backends that this nginx has, and how it changes while nginx runs.
--
-- If init_backends.lua sets web_server_file, that file has the list; emperord-balancer writes it.
-- Each worker takes a new list up within a second, without a reload. What cannot be used changes
-- nothing. This module is loaded by init_by_lua, so its globals are those of all requests.
local ffi = require "ffi"
local backends = require "fleet.backends"
local shared = require "fleet.shared"
local written = require "fleet.written"

ffi.cdef [[
int open(const char *path, int flags, ...);
long read(int fd, void *data, size_t most);
int close(int fd);
char *strerror(int number);
]]
local C = ffi.C
-- O_RDONLY, O_NONBLOCK and O_CLOEXEC; mips has another number for the second.
local FLAGS = 0x800 + 0x80000

local M = {}

-- Each list has a first line of its own, since it has the serial of its table.
local first_line
local complained

local function reason()
    return ffi.string(C.strerror(ffi.errno()))
end

-- The first bytes of a file, `most` at most; nil and why if there are none. It never waits: io.open
-- would have all requests of a worker wait for the writer of a FIFO.
local function read(path, most)
    local fd = C.open(path, FLAGS)
    if fd < 0 then
        return nil, reason()
    end
    local data, length, problem = ffi.new("uint8_t[?]", most), 0, nil
    repeat
        local got = tonumber(C.read(fd, data + length, most - length))
        if got < 0 then
            problem = reason()
        else
            length = length + got
        end
    until got <= 0 or length == most
    C.close(fd)
    if problem or length == 0 then
        return nil, problem or "it is empty"
    end
    return ffi.string(data, length)
end

local function is_there(path)
    local fd = C.open(path, FLAGS)
    if fd >= 0 then
        C.close(fd)
    end
    return fd >= 0
end

-- The list of the file, its ports, and its first line. If it cannot be used, nil and why.
local function load(path)
    local text, problem = read(path, written.LONGEST)
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
    if not is_there(path) then
        return false
    end
    local list, ports, line = load(path)
    if not list then
        error(ports, 0)
    end
    use(list, ports, line)
    return true
end

-- The first line of the file, or nil if it cannot be read. It may be one without an end.
local function peek(path)
    local text = read(path, written.LONGEST_LINE)
    return text and text:match("^[^\n]*") or nil
end

-- One of the workers says what all of them find.
local function say(level, ...)
    local news = table.concat({ ... })
    if shared.add("said " .. news, true, 60) then
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
