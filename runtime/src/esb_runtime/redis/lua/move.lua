-- Moves a group: what it is given next, what stays pending, its floor, and a new epoch, in one step.
-- KEYS: stream, owner, failures, floor, epoch, then the leases of the group's consumers
-- ARGV: group, position, entries before it ('' when unknown), the id delivered when the plan was made,
--       'drop' to let go of what is pending up to the position, 'live' to take the group from living consumers
-- returns {id delivered so far, pending ones that come again, pending ones let go, pending ones kept}
-- include: _before
-- include: _ids
local group, position, live = ARGV[1], ARGV[2], ARGV[6] == 'live'
local known = groups(KEYS[1])[group]
if not known then return redis.error_reply('NOGROUP ' .. group) end
local delivered = known['last-delivered-id']
if not live then
  if delivered ~= ARGV[4] then return redis.error_reply('ESBGROUP it has been given more events since it was looked at') end
  for n = 6, #KEYS do
    if redis.call('EXISTS', KEYS[n]) == 1 then return redis.error_reply('ESBGROUP it has consumers that are alive') end
  end
end

local function settle(first, last)
  local count = 0
  while true do
    local found = redis.call('XPENDING', KEYS[1], group, first, last, '1000')
    if #found == 0 then return count end
    local ids = {}
    for n = 1, #found do ids[n] = found[n][1] end
    redis.call('XACK', KEYS[1], group, unpack(ids))
    redis.call('HDEL', KEYS[3], unpack(ids))
    count = count + #ids
  end
end

local function waiting(last)
  local count, first, lowest = 0, '-', nil
  while true do
    local found = redis.call('XPENDING', KEYS[1], group, first, last, '1000')
    if #found == 0 then return count, lowest end
    lowest = lowest or found[1][1]
    count = count + #found
    first = '(' .. found[#found][1]
  end
end

local again = settle('(' .. position, '+')
local dropped = ARGV[5] == 'drop' and settle('-', position) or 0
local kept, lowest = waiting(position)

local moved = ARGV[3] ~= '' and redis.pcall('XGROUP', 'SETID', KEYS[1], group, position, 'ENTRIESREAD', ARGV[3])
if not moved or moved.err then redis.call('XGROUP', 'SETID', KEYS[1], group, position) end

redis.call('SET', KEYS[4], lowest and before(lowest) or position)
redis.call('INCR', KEYS[5])
if live then
  redis.call('DEL', KEYS[2])
  for n = 6, #KEYS do redis.call('DEL', KEYS[n]) end
end
return {delivered, again, dropped, kept}
