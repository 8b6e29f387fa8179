-- The order in which other backends are substitutes for a domain's own backend. This is rendezvous
-- hashing: each pair of host and backend has a weight. So a domain always has the same substitute,
-- and the domains of one backend are spread evenly over all others.
--
-- Pure: no nginx API; the same in LuaJIT, Lua 5.1 and Lua 5.4.
local M = {}

-- With a linear hash (crc32, djb2) the order would be nearly the same for all hosts. Cubing modulo
-- a prime p is not linear. Since 3 does not divide p - 1, it maps no two states to the same state.
-- This p is the largest prime below 2^26, so every product is exact in a double.
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

-- The weights of all entries for one host. Similar addresses differ only in their last letter. Two
-- appended letters add two rounds, which spread that difference.
local function weigh(host, entries)
    local seed = stir(5381, host:lower() .. "\n")
    local weights = {}
    for i = 1, #entries do
        weights[i] = stir(seed, entries[i] .. "\n\n")
    end
    return weights
end

-- The index of the entry with the greatest weight for a host.
function M.favourite(host, entries)
    local weights, best = weigh(host, entries), 1
    for i = 2, #entries do
        if weights[i] > weights[best] then
            best = i
        end
    end
    return best
end

-- The indexes of all entries except `first`, in the order of falling weight.
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
