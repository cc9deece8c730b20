-- The first entries of a stream, without their payloads: fewer than asked for where they are large, at least one.
-- KEYS: stream  ARGV: after ('' for the beginning), count, bytes after which no more is read
-- returns '1' when more may follow, else '0'; then per entry: id, message id ('' where esb did not write it), store
local replies = {'0'}
local first = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local left, room, page = tonumber(ARGV[2]), tonumber(ARGV[3]), 1
while left > 0 and room > 0 do
  page = math.min(page, left)
  local found = redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', page)
  for _, entry in ipairs(found) do
    local told = {}
    for n = 1, #entry[2], 2 do
      told[entry[2][n]] = entry[2][n + 1]
      room = room - #entry[2][n] - #entry[2][n + 1]
    end
    replies[#replies + 1] = entry[1]
    replies[#replies + 1] = told['f'] == '1' and told['i'] or ''
    replies[#replies + 1] = told['s'] or ''
    first = '(' .. entry[1]
  end
  if #found < page then return replies end
  left, page = left - page, page * 2
end
replies[1] = '1'
return replies
