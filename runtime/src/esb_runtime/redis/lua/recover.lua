-- Takes over pending entries in id order, without counting a start (JUSTID leaves the counter alone).
-- KEYS: stream, what the process holds, failures, the holder's lease  ARGV: group, consumer, mark, after, count, holder ('' = all), least idle time in ms
-- returns {id to go on after ('' at the end), how far the group was given events ('' unless this was the end of all), id, starts, failures, ...}
-- include: _ids
if redis.call('GET', KEYS[2]) ~= ARGV[3] then
  return redis.error_reply('ESBOWNER lost')
end
if ARGV[6] ~= '' and redis.call('EXISTS', KEYS[4]) == 1 then return {'', ''} end

local found
if ARGV[6] == '' then
  found = redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[4], '+', ARGV[5])
else
  found = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[7], '(' .. ARGV[4], '+', ARGV[5], ARGV[6])
end
local replies = {'', ''}
for _, entry in ipairs(found) do
  local id, starts = entry[1], tonumber(entry[4])
  if starts == 0 then
    -- handed back untouched: as new, so the delivery counts as its first start
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', id, 'RETRYCOUNT', '1', 'JUSTID')
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', id, 'JUSTID')
  end
  replies[#replies + 1] = id
  replies[#replies + 1] = starts
  replies[#replies + 1] = redis.call('HGET', KEYS[3], id) or '0'
end
if #found == tonumber(ARGV[5]) then
  replies[1] = found[#found][1]
elseif ARGV[6] == '' then
  replies[2] = groups(KEYS[1])[ARGV[1]]['last-delivered-id']
elseif ARGV[6] ~= '' and ARGV[6] ~= ARGV[2]
    and #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', '1', ARGV[6]) == 0 then
  -- nothing left behind, in the same step: only now may the dead consumer's name go
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[6])
end
return replies
