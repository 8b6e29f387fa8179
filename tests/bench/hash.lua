-- content_by_lua_file: the CPU seconds of one run of what the parameter `run` names.
local choice = require "fleet.choice"
local marks = require "fleet.marks"

local RUNS = 20000

local asked = ngx.req.get_uri_args()
local own = web_server_ips[1]
if asked.marked then
    marks.set(own, "unreachable", "it is measured what that costs")
else
    marks.clear(own)
end

local run
if asked.run == "choice" then
    ngx.var.backend_ip = "http://" .. own
    function run()
        local first = choice.index(ngx.var.backend_ip, web_server_ips)
        choice.best(ngx.var.route_host, first, web_server_ips, {})
    end
else
    run = assert(loadfile(ngx.var.folder .. asked.run))
end

-- gsub calls it from C, as nginx does. LuaJIT would compile a loop as a whole.
local times = ("."):rep(RUNS)
local begun = os.clock()
times:gsub(".", run)
ngx.say((os.clock() - begun) / RUNS)
