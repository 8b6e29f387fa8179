-- init_worker_by_lua_file: probes the health of every backend every two seconds, over http and over
-- https; and takes up what emperord-balancer writes.
local backends = require "fleet.backends"
local current = require "fleet.current"
local hanging = require "fleet.hanging"
local probe = require "fleet.probe"
local shared = require "fleet.shared"

local INTERVAL = 2
-- How often each worker looks for a new list.
local LOOK = 1
-- So many backends are probed at the same moment, and the rest of the round is spread over most of
-- the interval: a TLS handshake takes about a millisecond of the worker.
local AT_ONCE = 10

-- Probes all backends, each in a thread of its own, so that a backend without an answer does not
-- delay others.
local function round(premature)
    if premature then
        return
    end
    -- Every worker has this timer, and connections of its own.
    hanging.shut_down(backends.of(web_server_ips, web_backend_ports).peers)
    -- In each interval, the first worker probes for all.
    if not shared.add("round", true, INTERVAL * 0.9) then
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

if web_server_file then
    timer, problem = ngx.timer.every(LOOK, function(premature)
        if not premature then
            current.look(web_server_file)
        end
    end)
    if not timer then
        ngx.log(ngx.ERR, "cannot take up new backends: ", problem)
    end
end
