-- Which backends may stand in for a domain's own, and in which order: by rendezvous hashing, every
-- pair of host and backend has a weight of its own. So each domain has always the same substitute,
-- and those of one backend spread evenly over all the others.
--
-- Pure: it runs the same in LuaJIT, Lua 5.1 and Lua 5.4.
local M = {}

-- By a linear hash (crc32, djb2) all hosts would have much the same order. Cubing modulo a prime p
-- is not linear and, since 3 does not divide p - 1, loses nothing: no two states become one. This p
-- is the largest below 2^26, so every product is exact in a double.
local PRIME = 67108859

local function cube(x)
    return x * x % PRIME * x % PRIME
end

-- Adds a text to the state of a hash.
local function stir(state, text)
    for i = 1, #text do
        state = cube((state + text:byte(i)) % PRIME)
    end
    return state
end

-- The weights of all entries for one host. Neighbours differ in their last letter alone, hence two
-- letters more: each is another round.
local function weigh(host, entries)
    local seed = stir(5381, host:lower() .. "\n")
    local weights = {}
    for i = 1, #entries do
        weights[i] = stir(seed, entries[i] .. "\n\n")
    end
    return weights
end

-- The index of the entry that a host belongs to by weight alone.
function M.favourite(host, entries)
    local weights, best = weigh(host, entries), 1
    for i = 2, #entries do
        if weights[i] > weights[best] then
            best = i
        end
    end
    return best
end

-- The indexes of all entries but the first choice, heaviest first.
function M.substitutes(host, first, entries)
    local weights, others = weigh(host, entries), {}
    for i = 1, #entries do
        if i ~= first then
            others[#others + 1] = i
        end
    end
    table.sort(others, function(a, b)
        return weights[a] > weights[b] or weights[a] == weights[b] and a < b
    end)
    return others
end

return M
