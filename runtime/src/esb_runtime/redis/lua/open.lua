-- Makes a group exist: at its floor when it was lost, else where a new group starts.
-- KEYS: stream, floor  ARGV: group, start ('0' or '$')
-- returns the id that the group has delivered so far
local function below(a, b)
  local am, as = a:match('^(%d+)-(%d+)$')
  local bm, bs = b:match('^(%d+)-(%d+)$')
  if am ~= bm then return #am < #bm or (#am == #bm and am < bm) end
  return #as < #bs or (#as == #bs and as < bs)
end

local function delivered()
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local name, id
    for n = 1, #group, 2 do
      if group[n] == 'name' then name = group[n + 1] end
      if group[n] == 'last-delivered-id' then id = group[n + 1] end
    end
    if name == ARGV[1] then return id end
  end
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
