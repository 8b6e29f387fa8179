-- The order in which other backends are substitutes for a domain's own backend. This is rendezvous
-- hashing: each pair of host and backend has a rank. So a domain always has the same substitute,
-- and the domains of one backend are spread over all others, in proportion to their slots.
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

-- The ranks of all entries for one host; the lowest is the best. `shares` has the number of slots
-- of each entry; without it all are equal. Similar addresses differ only in their last letter. Two
-- appended letters add two rounds, which spread that difference.
local function rank(host, entries, shares)
    local seed = stir(5381, host:lower() .. "\n")
    local ranks = {}
    for i = 1, #entries do
        -- The logarithm of a uniform number, over the share of its entry: an entry with twice the
        -- share is the best for twice as many hosts. Equal shares keep the order of the numbers.
        local number = (stir(seed, entries[i] .. "\n\n") + 0.5) / PRIME
        ranks[i] = -math.log(number) / (shares and shares[i] or 1)
    end
    return ranks
end

-- The index of the best entry for a host.
function M.favourite(host, entries, shares)
    local ranks, best = rank(host, entries, shares), 1
    for i = 2, #entries do
        if ranks[i] < ranks[best] then
            best = i
        end
    end
    return best
end

-- The indexes of all entries except `first`, the best one first.
function M.substitutes(host, first, entries, shares)
    local ranks, others = rank(host, entries, shares), {}
    for i = 1, #entries do
        if i ~= first then
            others[#others + 1] = i
        end
    end
    table.sort(others, function(a, b)
        return ranks[a] < ranks[b] or ranks[a] == ranks[b] and a < b
    end)
    return others
end

return M
