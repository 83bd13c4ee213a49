-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- What every script begins with: constants and the clock.
--
-- Times are microseconds since 2024. Stored are
--   fixed-window            "start charged"
--   sliding-window-counter  "start previous current"
--   gcra                    "high low ticks": TAT is high * 2^50 + low and
--                           ticks of 1 / count microseconds
--   moving-window           a list of "time units total": total counts all
--                           units from the beginning of the list on

local BASE_SEC = 1704067200
local LIMB = 1125899906842624
local EXACT = 9007199254740992
local SKEW = 16384
local TTL_MAX_MS = 10000000000000

local call, match, format = redis.call, string.match, string.format
local floor = math.floor
local clock = call('TIME')
local now = (clock[1] - BASE_SEC) * 1000000 + clock[2]
