-- Renews what a process holds (the stream's ownership, or its own lease) and keeps the group's floor.
-- KEYS: stream, what it holds, its lease, floor  ARGV: group, mark, lease in ms
-- returns 1, or 0 when it holds it no longer
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if KEYS[3] ~= KEYS[2] then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3]) end

local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if pending.err then return 1 end
if pending[1] > 0 then
  local ms, seq = pending[2]:match('^(%d+)-(%d+)$')
  local floor
  if seq ~= '0' then
    floor = ms .. '-' .. string.format('%.0f', tonumber(seq) - 1)
  else
    floor = string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615'
  end
  redis.call('SET', KEYS[4], floor)
  return 1
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local name, id
  for n = 1, #group, 2 do
    if group[n] == 'name' then name = group[n + 1] end
    if group[n] == 'last-delivered-id' then id = group[n + 1] end
  end
  if name == ARGV[1] then redis.call('SET', KEYS[4], id) end
end
return 1
