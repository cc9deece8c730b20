-- Renews what a process holds (the stream's ownership, or its own lease) and keeps the group's floor.
-- KEYS: stream, what it holds, its lease, floor  ARGV: group, mark, lease in ms
-- returns 1, or 0 when it holds it no longer
-- include: _before
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if KEYS[3] ~= KEYS[2] then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3]) end

local infos = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, info in ipairs(infos.err and {} or infos) do
  local told = {}
  for n = 1, #info, 2 do told[info[n]] = info[n + 1] end
  if told['name'] == ARGV[1] then
    local floor = told['last-delivered-id']
    if told['pending'] > 0 then
      floor = before(redis.call('XPENDING', KEYS[1], ARGV[1])[2])
    end
    redis.call('SET', KEYS[4], floor)
  end
end
return 1
