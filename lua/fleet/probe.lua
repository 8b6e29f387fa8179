-- Asks a backend for its health.
local clock = require "fleet.clock"
local hanging = require "fleet.hanging"
local marks = require "fleet.marks"

-- More than a second: Linux then repeats a lost SYN. More than 800 ms: the nginx of a backend then
-- says that its emperord does not answer.
local TIMEOUT_MS = 1500
-- The host is no valid domain: a backend that does not trust this balancer treats the probe as a
-- client's request, and would look for an app.
local QUESTION = "GET /emperord-health HTTP/1.0\r\nHost: -emperord-\r\n\r\n"

-- The beginning of the answer of a peer (fleet.backends). Without an answer: nil, the cause, and
-- whether the connection was accepted.
local function ask(peer)
    local socket, deadline = ngx.socket.tcp(), clock.now() * 1000 + TIMEOUT_MS
    -- The timeout is for all steps together.
    local function limit_time()
        socket:settimeout(math.max(1, deadline - clock.now() * 1000))
    end
    local answer
    limit_time()
    local accepted, problem = socket:connect(peer.address, peer.port)
    local done = accepted
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
    return answer, problem, accepted
end

-- Probes a peer, and marks it or removes its mark.
return function(peer)
    local was_marked = marks.of(peer)
    local answer, problem, accepted = ask(peer)
    if not answer then
        if accepted and problem == "timeout" then
            hanging.note(peer)
        end
        marks.set(peer, "unreachable", "its health probe failed: " .. problem)
        return
    end
    hanging.forget(peer)
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
