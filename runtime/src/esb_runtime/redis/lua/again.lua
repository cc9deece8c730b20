-- Gives events back to a group that has been given them before: it handles them again, and no other group does.
-- KEYS: stream, failures, epoch, the replay's place, floor, then per event the record that it was handled
-- ARGV: group, the consumer of what was handed back, the replay, 'new' when it may begin, the id it ends with,
--       the id just below the first of these, then the ids
-- returns {given, given out already or not yet, gone}, or 'other' when another replay to this group has begun since
-- include: _ids
local group = redis.call('EXISTS', KEYS[1]) == 1 and groups(KEYS[1])[ARGV[1]]
if not group then return redis.error_reply('NOGROUP') end
local place = redis.call('HMGET', KEYS[4], 'run', 'at', 'given', 'waiting', 'gone')
if place[1] ~= ARGV[3] then
  if ARGV[4] ~= 'new' then return 'other' end
  redis.call('DEL', KEYS[4])
  redis.call('HSET', KEYS[4], 'run', ARGV[3], 'last', ARGV[5])
  redis.call('INCR', KEYS[3])
elseif place[2] and not below(place[2], ARGV[#ARGV]) then
  return {tonumber(place[3]), tonumber(place[4]), tonumber(place[5])} -- repeated, because its reply was lost
end

local given, waiting, gone = 0, 0, 0
local at = place[1] == ARGV[3] and place[2]
for n = 7, #ARGV do
  local id = ARGV[n]
  if at and not below(at, id) then
    -- another process goes on with the same replay and was here already
  elseif below(group['last-delivered-id'], id) or #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, '1') > 0 then
    waiting = waiting + 1
  elseif not redis.call('XRANGE', KEYS[1], id, id)[1] then
    gone = gone + 1
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', id, 'RETRYCOUNT', '0', 'FORCE', 'JUSTID')
    redis.call('DEL', KEYS[n - 1])
    redis.call('HDEL', KEYS[2], id)
    given = given + 1
  end
end
local floor = redis.call('GET', KEYS[5])
if floor and below(ARGV[6], floor) then redis.call('SET', KEYS[5], ARGV[6]) end
redis.call('HSET', KEYS[4], 'at', ARGV[#ARGV], 'given', given, 'waiting', waiting, 'gone', gone)
redis.call('PEXPIRE', KEYS[4], '604800000')
return {given, waiting, gone}
