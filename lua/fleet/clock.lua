-- Tells the time for durations. ngx.now() goes by the wall clock, which jumps when the time of the
-- machine is corrected.
local ffi = require "ffi"

ffi.cdef [[
struct emperord_time { long seconds; long nanoseconds; };
int emperord_clock(int which, struct emperord_time *now) __asm__("clock_gettime");
]]
local C = ffi.C
local CLOCK_MONOTONIC = 1

local M = {}

local found = ffi.new("struct emperord_time")

-- Seconds since some moment, the same one for all workers. nginx's own timers go by this clock too.
function M.now()
    C.emperord_clock(CLOCK_MONOTONIC, found)
    return tonumber(found.seconds) + tonumber(found.nanoseconds) / 1e9
end

return M
