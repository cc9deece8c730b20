-- Makes a group exist: at its floor when it was lost, else where a new group starts.
-- KEYS: stream, floor  ARGV: group, start ('0' or '$')
-- returns the id that the group has delivered so far
-- include: _ids
local function delivered()
  local group = groups(KEYS[1])[ARGV[1]]
  return group and group['last-delivered-id']
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
  return '0-0'
end
local id = delivered()
if id then return id end

local start, floor = ARGV[2], redis.call('GET', KEYS[2])
if floor then
  local info, last = redis.call('XINFO', 'STREAM', KEYS[1]), '0-0'
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then last = info[n + 1] end
  end
  -- a floor above everything the stream ever held belongs to an earlier stream: all of this one is new
  if below(last, floor) then start = '0' else start = floor end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], start)
return delivered()
