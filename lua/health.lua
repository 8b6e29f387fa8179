-- init_worker_by_lua_file: probes the health of every backend every two seconds.
local backends = require "fleet.backends"
local marks = require "fleet.marks"

local INTERVAL = 2
-- More than a second: Linux then repeats a lost SYN. More than 800 ms: the nginx of a backend then
-- says that its emperord does not answer.
local TIMEOUT_MS = 1500
-- The host is no valid domain: a backend that does not trust this balancer treats the probe as a
-- client's request, and would look for an app.
local QUESTION = "GET /emperord-health HTTP/1.0\r\nHost: -emperord-\r\n\r\n"

-- The beginning of the backend's answer. Without an answer: nil and the cause.
local function ask(entry)
    local address, port = backends.parse(entry)
    local socket, deadline = ngx.socket.tcp(), ngx.now() * 1000 + TIMEOUT_MS
    -- The timeout is for all three steps together.
    local function limit_time()
        socket:settimeout(math.max(1, deadline - ngx.now() * 1000))
    end
    local answer
    limit_time()
    local done, problem = socket:connect(address, port or web_backend_ports.http)
    if done then
        limit_time()
        done, problem = socket:send(QUESTION)
    end
    if done then
        limit_time()
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
        -- A mark that was set during the probe is newer than the answer, so it stays.
        if was_marked then
            marks.clear(entry)
        end
    else
        local reason = answer:match("\r\n\r\n([%w ]+)")
        marks.set(entry, "unwell", "its health probe says " .. (status or "no HTTP")
            .. (reason and " " .. reason or ""))
    end
end

-- Probes all backends at the same time, so that a backend without an answer does not delay others.
local function round(premature)
    -- Every worker has this timer. In each interval, the first worker probes for all.
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
