-- content_by_lua_file: the CPU seconds of one run of what the parameter `run` names.
local backends = require "fleet.backends"
local choice = require "fleet.choice"
local marks = require "fleet.marks"

local RUNS = 20000

local asked = ngx.req.get_uri_args()
local own = web_server_ips[1]
local fleet = backends.of(web_server_ips, web_backend_ports)
local peer = fleet.peers[1].http
if asked.marked then
    marks.set(peer, "unreachable", "it is measured what that costs")
else
    marks.clear(peer)
end

local run
if asked.run == "choice" then
    ngx.var.backend_ip = "http://" .. own
    function run()
        local among, first = choice.own(ngx.var.backend_ip, fleet)
        choice.best(ngx.var.route_host, first, among, "http", {})
    end
else
    run = assert(loadfile(ngx.var.folder .. asked.run))
end

-- gsub calls it from C, as nginx does. LuaJIT would compile a loop as a whole.
local times = ("."):rep(RUNS)
local begun = os.clock()
times:gsub(".", run)
ngx.say((os.clock() - begun) / RUNS)
