-- Entries by id.
-- KEYS: stream  ARGV: ids
-- returns per id: its fields and values, or nothing where it is gone
local replies = {}
for n = 1, #ARGV do
  local found = redis.call('XRANGE', KEYS[1], ARGV[n], ARGV[n])
  replies[n] = found[1] and found[1][2] or false
end
return replies
