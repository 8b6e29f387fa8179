-- init_worker_by_lua_file: probes the health of every backend every two seconds, over http and over
-- https.
local backends = require "fleet.backends"
local marks = require "fleet.marks"

local INTERVAL = 2
-- More than a second: Linux then repeats a lost SYN. More than 800 ms: the nginx of a backend then
-- says that its emperord does not answer.
local TIMEOUT_MS = 1500
-- The host is no valid domain: a backend that does not trust this balancer treats the probe as a
-- client's request, and would look for an app.
local QUESTION = "GET /emperord-health HTTP/1.0\r\nHost: -emperord-\r\n\r\n"

-- So many backends are probed at the same moment, and the rest of the round is spread over most of
-- the interval: a TLS handshake takes about a millisecond of the worker.
local AT_ONCE = 10

-- The beginning of the answer of a peer (fleet.backends). Without an answer: nil and the cause.
local function ask(peer)
    local socket, deadline = ngx.socket.tcp(), ngx.now() * 1000 + TIMEOUT_MS
    -- The timeout is for all steps together.
    local function limit_time()
        socket:settimeout(math.max(1, deadline - ngx.now() * 1000))
    end
    local answer
    limit_time()
    local done, problem = socket:connect(peer.address, peer.port)
    if done and peer.scheme == "https" then
        limit_time()
        -- As for requests, the certificate is not verified.
        done, problem = socket:sslhandshake(false, nil, false)
    end
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

local function probe(peer)
    local was_marked = marks.of(peer)
    local answer, problem = ask(peer)
    if not answer then
        marks.set(peer, "unreachable", "its health probe failed: " .. problem)
        return
    end
    local status = answer:match("^HTTP/1%.%d (%d%d%d) ")
    if status == "200" then
        -- A mark that was set during the probe is newer than the answer, so it stays.
        if was_marked then
            marks.clear(peer)
        end
    else
        local reason = answer:match("\r\n\r\n([%w ]+)")
        marks.set(peer, "unwell", "its health probe says " .. (status or "no HTTP")
            .. (reason and " " .. reason or ""))
    end
end

-- Probes all backends, each in a thread of its own, so that a backend without an answer does not
-- delay others.
local function round(premature)
    -- Every worker has this timer. In each interval, the first worker probes for all.
    if premature or not ngx.shared.backends:add("round", true, INTERVAL * 0.9) then
        return
    end
    local peers = backends.of(web_server_ips, web_backend_ports).peers
    local pause = 0.8 * INTERVAL * AT_ONCE / #peers
    for i = 1, #peers do
        local http, https = peers[i].http, peers[i].https
        ngx.thread.spawn(probe, http)
        if https ~= http then
            ngx.thread.spawn(probe, https)
        end
        if i % AT_ONCE == 0 and i < #peers then
            ngx.sleep(pause)
        end
    end
end

local timer, problem = ngx.timer.every(INTERVAL, round)
if timer then
    timer, problem = ngx.timer.at(0, round)
end
if not timer then
    ngx.log(ngx.ERR, "cannot probe the backends: ", problem)
end
