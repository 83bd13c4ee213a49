-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- What both scripts know: how the state of each strategy is stored (clock.lua),
-- and how it is brought up to now. The arithmetic is that of
-- docs/strategies.md, and of src/core, whose answers these must equal: every
-- number stays below 2^53, so that nothing is rounded.
--
-- Each run of a script makes its functions anew, which costs more than what
-- most of them do: those of a strategy are made by a function, only where a
-- counter needs them.

local function broken()
  error('what is stored here is no counter')
end

-- A key is of use for so long; a second more, for Redis' own clock is read at
-- another instant than ours.
local function ttl(usec)
  local ms = floor(usec / 1000) + 1001
  return format('%.0f', ms < TTL_MAX_MS and ms or TTL_MAX_MS)
end

-- Replaces the state of a counter; an empty one is deleted.
local function store(c, text, usec)
  if text == c.raw then
    return
  end
  if text == '' then
    call('DEL', c.key)
  else
    call('SET', c.key, text, 'PX', ttl(usec))
  end
end

local function load(c)
  c.raw = call('GET', c.key) or ''
end

local function fixed_window()
  local function open(c)
    load(c)
    local start, used = 0, 0
    if c.raw ~= '' then
      start, used = match(c.raw, '^(%d+) (%d+)$')
      if not start then broken() end
      start, used = start + 0, used + 0
      if start > now then start = now end
      if now - start >= c.window then start, used = 0, 0 end
    end
    c.start, c.used = start, used
  end

  local function keep(c)
    if c.start == 0 then
      store(c, '')
    else
      store(c, format('%.0f %.0f', c.start, c.used), c.start + c.window - now)
    end
  end
  return open, keep
end

local function sliding_window_counter()
  local function open(c)
    load(c)
    local start, previous, current = 0, 0, 0
    if c.raw ~= '' then
      start, previous, current = match(c.raw, '^(%d+) (%d+) (%d+)$')
      if not start then broken() end
      start, previous, current = start + 0, previous + 0, current + 0
      if start > now then start = now end
      if now - start >= c.window then
        start, previous, current = start + c.window, current, 0
      end
      if now - start >= c.window or previous + current == 0 then
        start, previous, current = 0, 0, 0
      end
    end
    c.start, c.previous, c.current = start, previous, current
  end

  local function keep(c)
    if c.previous + c.current == 0 then
      store(c, '')
    else
      store(c, format('%.0f %.0f %.0f', c.start, c.previous, c.current),
            c.start + 2 * c.window - now)
    end
  end
  return open, keep
end

-- Lengths of time are high * 2^50 + low microseconds and ticks.
local function gcra()
  -- Not above: a <= b.
  local function fits_in(ah, al, at, bh, bl, bt)
    if ah ~= bh then return ah < bh end
    if al ~= bl then return al < bl end
    return at <= bt
  end

  local function open(c)
    load(c)
    local high, low, ticks = 0, 0, 0
    if c.raw ~= '' then
      high, low, ticks = match(c.raw, '^(%d+) (%d+) (%d+)$')
      if not high then broken() end
      high, low, ticks = high + 0, low - now, ticks + 0
      if low < 0 then high, low = high - 1, low + LIMB end
      if high < 0 then high, low, ticks = 0, 0, 0 end
      if ticks >= c.count then ticks = c.count - 1 end
      if not fits_in(high, low, ticks, c.most_high, c.most_low, c.most_ticks) then
        high, low, ticks = c.most_high, c.most_low, c.most_ticks
      end
    end
    c.high, c.low, c.ticks = high, low, ticks
  end

  local function keep(c)
    local high, low = c.high, c.low + now
    if high == 0 and c.low == 0 and c.ticks == 0 then
      store(c, '')
      return
    end
    if low >= LIMB then high, low = high + 1, low - LIMB end
    store(c, format('%.0f %.0f %.0f', high, low, c.ticks), c.high * LIMB + c.low)
  end
  return open, keep, fits_in
end

local function moving_window()
  local function entry(c, index)
    local at, units, total = match(call('LINDEX', c.key, index) or '',
                                   '^(%d+) (%d+) (%d+)$')
    if not at then broken() end
    return at + 0, units + 0, total + 0
  end

  -- The first entry from `first` to `last`, which is one, that is late enough:
  -- its time above `after`, or its total at least `least`.
  local function search(c, first, last, after, least)
    while first < last do
      local middle = floor((first + last) / 2)
      local at, _, total = entry(c, middle)
      if at > after or total >= least then
        last = middle
      else
        first = middle + 1
      end
    end
    return first
  end

  -- The clock stepped back: charges of the future happened now.
  local function redate(c)
    local future = {}
    local at, units, total = entry(c, -1)
    while at and at > now do
      future[#future + 1] = format('%.0f %.0f %.0f', now, units, total)
      call('RPOP', c.key)
      at = nil
      if call('LLEN', c.key) > 0 then at, units, total = entry(c, -1) end
    end
    for i = #future, 1, -1 do call('RPUSH', c.key, future[i]) end
    call('PEXPIRE', c.key, ttl(c.window))
  end

  -- Fills in how many entries have left the window, and of the others the oldest
  -- and the units in use. The clock may be a little behind the newest.
  local function open(c)
    local len = call('LLEN', c.key)
    c.now, c.len, c.gone, c.used, c.oldest, c.total = now, len, 0, 0, 0, 0
    if len == 0 then return end
    local newest, units, total = entry(c, -1)
    if newest - now > SKEW then
      redate(c)
      newest, units, total = entry(c, -1)
    elseif newest > now then
      c.now = newest
    end
    local past = c.now - c.window
    if newest <= past then
      c.gone = len
      return
    end
    c.total = total
    local oldest
    oldest, units, total = entry(c, 0)
    if oldest <= past then
      c.gone = search(c, 1, c.len - 1, past, EXACT)
      oldest, units, total = entry(c, c.gone)
    end
    c.oldest, c.used = oldest, c.total - total + units
  end

  -- Drops what has left the window.
  local function keep(c)
    if c.gone == c.len and c.len > 0 then
      call('DEL', c.key)
    elseif c.gone > 0 then
      call('LTRIM', c.key, c.gone, -1)
    end
  end
  return open, keep, entry, search
end
