-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- For wrk: requests of many client addresses, told to mod_remoteip.
--     wrk ... URL -- FIRST COUNT
-- goes through the COUNT addresses from number FIRST on, again and again. The
-- requests are put together one by one, so that few and many addresses cost
-- the client the same.

local format = string.format
local first, count, at = 0, 1, 0
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    first, count = tonumber(args[1]), tonumber(args[2])
    -- Threads begin far from one another.
    at = math.floor(count * (number % 8) / 8)
end

function request()
    local n = first + at
    at = at + 1
    if at == count then at = 0 end
    local b = math.floor(n / 65536)
    local c = math.floor(n / 256) % 256
    return format("GET /file.txt HTTP/1.1\r\nHost: localhost\r\n"
                  .. "X-Forwarded-For: %d.%d.%d.%d\r\n\r\n",
                  11 + math.floor(b / 256), b % 256, c, n % 256)
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests,
                           summary.duration, e.status,
                           e.connect + e.read + e.write + e.timeout))
end
