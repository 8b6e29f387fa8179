-- init_worker_by_lua_file: asks every backend, every two seconds, how it is.
local backends = require "fleet.backends"
local marks = require "fleet.marks"

local INTERVAL = 2
-- Above one second, after which a SYN that got lost is sent again, and the nginx of a backend says
-- that its emperord is stuck.
local TIMEOUT_MS = 1500
-- No domain's name: a backend that does not know this balancer takes it for a visitor, and would
-- look for the app.
local QUESTION = "GET /emperord-health HTTP/1.0\r\nHost: -emperord-\r\n\r\n"

-- The beginning of the backend's answer; nil and the cause if there is none.
local function ask(entry)
    local address, port = backends.parse(entry)
    local socket, deadline = ngx.socket.tcp(), ngx.now() * 1000 + TIMEOUT_MS
    -- The time is for all three steps together.
    local function hurry()
        socket:settimeout(math.max(1, deadline - ngx.now() * 1000))
    end
    local answer
    hurry()
    local done, problem = socket:connect(address, port or web_backend_ports.http)
    if done then
        hurry()
        done, problem = socket:send(QUESTION)
    end
    if done then
        hurry()
        answer, problem = socket:receiveany(1024)
    end
    socket:close()
    return answer, problem
end

local function probe(entry)
    local was_marked = marks.of(entry)
    local answer, problem = ask(entry)
    if not answer then
        marks.set(entry, "unreachable", "its health probe failed: " .. problem)
        return
    end
    local status = answer:match("^HTTP/1%.%d (%d%d%d) ")
    if status == "200" then
        -- One that was not there when the question was put knows better than the answer.
        if was_marked then
            marks.clear(entry)
        end
    else
        local reason = answer:match("\r\n\r\n([%w ]+)")
        marks.set(entry, "unwell", "its health probe says " .. (status or "no HTTP")
            .. (reason and " " .. reason or ""))
    end
end

-- Side by side, so that one which does not answer keeps nobody waiting.
local function round(premature)
    -- The timers of all workers come here; the first in each interval does the work for all.
    if premature or not ngx.shared.backends:add("round", true, INTERVAL * 0.9) then
        return
    end
    for _, entry in ipairs(web_server_ips) do
        ngx.thread.spawn(probe, entry)
    end
end

local timer, problem = ngx.timer.every(INTERVAL, round)
if timer then
    timer, problem = ngx.timer.at(0, round)
end
if not timer then
    ngx.log(ngx.ERR, "cannot probe the backends: ", problem)
end
