-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- Gives back charges, each counter by itself; see docs/strategies.md.
-- KEYS: one for each counter.
-- ARGV[1]: when they were charged, by the clock of this server, in
--   microseconds since 2024. Then for each counter: strategy, units, count,
--   window; gcra further the most backlog and the time that the units take,
--   each as high, low and ticks.

local charged_at = ARGV[1] + 0
local make = {}

make.f = function()
  local open, keep = fixed_window()
  return function(c)
    open(c)
    if c.used > 0 and charged_at >= c.start then
      if c.units < c.used then
        c.used = c.used - c.units
      else
        c.start = 0
      end
      keep(c)
    end
  end
end

make.s = function()
  local open, keep = sliding_window_counter()
  return function(c)
    open(c)
    local bucket = charged_at >= c.start and 'current' or 'previous'
    if c.start > 0 and c[bucket] > 0 and charged_at >= c.start - c.window then
      c[bucket] = math.max(0, c[bucket] - c.units)
      keep(c)
    end
  end
end

-- a - b, where b is not above a; each high, low, ticks.
local function minus(count, ah, al, at, bh, bl, bt)
  local high, low, ticks = ah - bh, al - bl, at - bt
  if ticks < 0 then low, ticks = low - 1, ticks + count end
  if low < 0 then high, low = high - 1, low + LIMB end
  return high, low, ticks
end

-- No more of the charge is due than time has not yet worked off.
make.g = function()
  local open, keep, fits_in = gcra()
  return function(c)
    open(c)
    if fits_in(c.cost_high, c.cost_low, c.cost_ticks, 0, now - charged_at, 0) then
      return
    end
    local high, low, ticks = minus(c.count, c.cost_high, c.cost_low,
                                   c.cost_ticks, 0, now - charged_at, 0)
    if fits_in(high, low, ticks, c.high, c.low, c.ticks) then
      c.high, c.low, c.ticks = minus(c.count, c.high, c.low, c.ticks, high, low,
                                     ticks)
      keep(c)
    end
  end
end

make.m = function()
  local open, _, entry = moving_window()

  -- How well an entry goes with the charge; 0: not at all.
  local function likeness(c, at, units)
    if units < c.units or at > charged_at + SKEW then return 0 end
    return 1 + (units == c.units and 1 or 0) + (at == charged_at and 2 or 0)
  end

  -- The entry to be changed, counted from the end; of equals the oldest.
  local function find(c)
    local best, found, back = 1, nil, 1
    while back <= c.len - c.gone do
      local at, units = entry(c, -back)
      if at < charged_at then break end
      local like = likeness(c, at, units)
      if like >= best then best, found = like, back end
      back = back + 1
    end
    return found
  end

  -- Entries after it are written anew, for their totals change.
  return function(c)
    open(c)
    if charged_at <= c.now - c.window then return end
    local back = find(c)
    if not back then return end
    local later, newest = {}, 0
    for i = 1, back do
      local at, units, total = entry(c, -1)
      if i == back then units = units - c.units end
      if units > 0 then
        table.insert(later, 1, format('%.0f %.0f %.0f', at, units,
                                      total - c.units))
      end
      if newest == 0 then newest = at end
      call('RPOP', c.key)
    end
    if c.gone > 0 then call('LTRIM', c.key, c.gone, -1) end
    for _, text in ipairs(later) do call('RPUSH', c.key, text) end
    call('PEXPIRE', c.key, ttl(newest + c.window - now))
  end
end

if charged_at > now then return 0 end
local at, made = 2, {}
for i, key in ipairs(KEYS) do
  local kind = ARGV[at]
  local c = { key = key, units = ARGV[at + 1] + 0, count = ARGV[at + 2] + 0,
              window = ARGV[at + 3] + 0 }
  at = at + 4
  if kind == 'g' then
    c.most_high, c.most_low, c.most_ticks =
      ARGV[at] + 0, ARGV[at + 1] + 0, ARGV[at + 2] + 0
    c.cost_high, c.cost_low, c.cost_ticks =
      ARGV[at + 3] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0
    at = at + 6
  end
  made[kind] = made[kind] or make[kind]()
  made[kind](c)
end
return 1
