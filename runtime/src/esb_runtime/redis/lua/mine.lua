-- What the group counts as this consumer's own.
-- KEYS: stream, failures  ARGV: group, consumer, after, count
-- returns {id to go on after ('' at the end), id, starts, failures, ...}
local found = redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[3], '+', ARGV[4], ARGV[2])
local replies = {''}
for _, entry in ipairs(found) do
  replies[#replies + 1] = entry[1]
  replies[#replies + 1] = tonumber(entry[4])
  replies[#replies + 1] = redis.call('HGET', KEYS[2], entry[1]) or '0'
end
if #found == tonumber(ARGV[4]) then replies[1] = found[#found][1] end
return replies
