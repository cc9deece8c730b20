-- The first entries of a stream, without their payloads: none when the first one is to stay, fewer than asked for where
-- they are large, else at least one.
-- KEYS: stream  ARGV: after ('' for the beginning), count, bytes after which no more is read, before, maxlen (-1: none),
--       'handled' or '', entries counted before
-- returns '1' when more may follow, else '0'; then per entry: id, message id ('' where esb did not write it), store
-- include: _ids
local replies = {'0'}
local first = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local left, room, page, before, maxlen = tonumber(ARGV[2]), tonumber(ARGV[3]), 1, ARGV[4], tonumber(ARGV[5])

local function stays(id)
  if ARGV[6] ~= '' or (before ~= '' and below(id, before)) then return false end
  return maxlen < 0 or redis.call('XLEN', KEYS[1]) - tonumber(ARGV[7]) <= maxlen
end

while left > 0 and room > 0 do
  local found, bytes = redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', page), 0
  if #replies == 1 and found[1] and stays(found[1][1]) then return replies end
  for _, entry in ipairs(found) do
    local told = {}
    for n = 1, #entry[2], 2 do
      told[entry[2][n]] = entry[2][n + 1]
      bytes = bytes + #entry[2][n] + #entry[2][n + 1]
    end
    replies[#replies + 1] = entry[1]
    replies[#replies + 1] = told['f'] == '1' and told['i'] or ''
    replies[#replies + 1] = told['s'] or ''
    first = '(' .. entry[1]
  end
  if #found < page then return replies end
  left, room = left - page, room - bytes
  -- as many as fit when they are like these, but not many more at once, for they may not be
  page = math.max(math.min(8 * page, left, math.floor(room * page / math.max(bytes, 1))), 1)
end
replies[1] = '1'
return replies
