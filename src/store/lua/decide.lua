-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- Decides a batch of counters in one step.
-- KEYS: one for each counter.
-- ARGV[1]: what a refused request is charged to: 0 nothing, 1 the counters up
--   to the first without room, 2 all that have room; 3 charges nobody. Then
--   for each counter: strategy (f, s, g, m; or 0, which never has room), cost,
--   1 if it is only tested, count, window; gcra further: the most backlog,
--   and what the cost adds to it, each as high, low and ticks.
-- The reply, one text: seconds and microseconds of the clock, a digit for each
--   counter, 1 if it was charged, and what each had stored before (a moving
--   window: units in use, oldest charge, its own now, when it has room again).

local IN_ORDER, ALL, LOOK = 1, 2, 3
local mode = ARGV[1] + 0

local make = {}

make['0'] = function()
  return { weigh = function(c) c.fits, c.told = false, '' end }
end

make.f = function()
  local open, keep = fixed_window()
  return {
    keep = keep,
    weigh = function(c)
      open(c)
      c.fits, c.told = c.used + c.cost <= c.count, c.raw
    end,
    charge = function(c)
      if c.start == 0 then c.start = now end
      c.used = c.used + c.cost
      keep(c)
    end,
  }
end

make.s = function()
  local open, keep = sliding_window_counter()

  -- a * b as three limbs, a below 2^31, b below 2^53.
  local function product(a, b)
    local b2 = floor(b / 68719476736)
    b = b - b2 * 68719476736
    local b1 = floor(b / 262144)
    local low = a * (b - b1 * 262144)
    local carry = floor(low / 262144)
    local middle = a * b1 + carry
    local up = floor(middle / 262144)
    return a * b2 + up, middle - up * 262144, low - carry * 262144
  end

  -- a * b < c * d
  local function is_less(a, b, c, d)
    local ab, cd = a * b, c * d
    if ab < EXACT and cd < EXACT then return ab < cd end
    local a2, a1, a0 = product(a, b)
    local c2, c1, c0 = product(c, d)
    if a2 ~= c2 then return a2 < c2 end
    if a1 ~= c1 then return a1 < c1 end
    return a0 < c0
  end

  return {
    keep = keep,
    weigh = function(c)
      open(c)
      local room = c.count - c.current - c.cost
      c.fits = room >= 0 and (c.previous <= room
        or is_less(c.previous, c.start + c.window - now, room + 1, c.window))
      c.told = c.raw
    end,
    charge = function(c)
      if c.start == 0 then c.start = now end
      c.current = c.current + c.cost
      keep(c)
    end,
  }
end

make.g = function()
  local open, keep, fits_in = gcra()
  return {
    keep = keep,
    weigh = function(c)
      open(c)
      local high, low, ticks = c.high + c.cost_high, c.low + c.cost_low,
                               c.ticks + c.cost_ticks
      if ticks >= c.count then low, ticks = low + 1, ticks - c.count end
      if low >= LIMB then high, low = high + 1, low - LIMB end
      c.fits = fits_in(high, low, ticks, c.most_high, c.most_low, c.most_ticks)
      c.next_high, c.next_low, c.next_ticks, c.told = high, low, ticks, c.raw
    end,
    charge = function(c)
      c.high, c.low, c.ticks = c.next_high, c.next_low, c.next_ticks
      keep(c)
    end,
  }
end

make.m = function()
  local open, keep, entry, search = moving_window()
  return {
    keep = keep,
    always_keeps = true,
    weigh = function(c)
      open(c)
      c.fits = c.used + c.cost <= c.count
      local retry = 0
      if not c.fits and c.cost <= c.count then
        local last = search(c, c.gone, c.len - 1, EXACT,
                            c.total + c.cost - c.count)
        retry = entry(c, last) + c.window
      end
      c.told = format('%.0f %.0f %.0f %.0f', c.used, c.oldest, c.now, retry)
    end,
    charge = function(c)
      keep(c)
      call('RPUSH', c.key, format('%.0f %.0f %.0f', c.now, c.cost,
                                  c.total + c.cost))
      call('PEXPIRE', c.key, ttl(c.window + c.now - now))
    end,
  }
end

if now < 1 then
  return redis.error_reply('CLOCK the clock of the server is before 2024')
end

local counters, told, at, refused, made = {}, {}, 2, false, {}
for i, key in ipairs(KEYS) do
  local kind = ARGV[at]
  local is = made[kind]
  if not is then
    is = make[kind]()
    made[kind] = is
  end
  local cost = ARGV[at + 1] + 0
  -- With room for what comes later: a table that grows costs more.
  local c = { key = key, is = is, cost = cost,
              pays = cost > 0 and ARGV[at + 2] ~= '1',
              count = ARGV[at + 3] + 0, window = ARGV[at + 4] + 0,
              start = 0, used = 0, raw = '', told = '', fits = false }
  at = at + 5
  if kind == 'g' then
    c.most_high, c.most_low, c.most_ticks =
      ARGV[at] + 0, ARGV[at + 1] + 0, ARGV[at + 2] + 0
    c.cost_high, c.cost_low, c.cost_ticks =
      ARGV[at + 3] + 0, ARGV[at + 4] + 0, ARGV[at + 5] + 0
    at = at + 6
  end
  is.weigh(c)
  refused = refused or not c.fits
  counters[i], told[i] = c, c.told
end

-- All that was read has been read: from here on it is written.
local flags, open = {}, mode ~= LOOK and (not refused or mode > 0)
for i, c in ipairs(counters) do
  flags[i] = '0'
  if open and c.fits and c.pays then
    flags[i] = '1'
    c.is.charge(c)
  elseif mode ~= LOOK and c.is.keep
         and (not c.fits or c.cost == 0 or c.is.always_keeps) then
    c.is.keep(c)
  end
  if not c.fits and mode == IN_ORDER then open = false end
end
return clock[1] .. ' ' .. clock[2] .. ';' .. table.concat(flags) .. ';'
       .. table.concat(told, ';')
