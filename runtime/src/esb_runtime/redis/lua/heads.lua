-- The first entries of a stream, without their payloads.
-- KEYS: stream  ARGV: after ('' for the beginning), count
-- returns per entry: id, message id ('' where esb did not write it), store
local replies = {}
local first = ARGV[1] == '' and '-' or '(' .. ARGV[1]
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', ARGV[2])) do
  local told = {}
  for n = 1, #entry[2], 2 do told[entry[2][n]] = entry[2][n + 1] end
  replies[#replies + 1] = entry[1]
  replies[#replies + 1] = told['f'] == '1' and told['i'] or ''
  replies[#replies + 1] = told['s'] or ''
end
return replies
