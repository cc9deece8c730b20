-- Some arguments of many events.
-- KEYS: payload hashes  ARGV: the names of fields; the first one is in every payload
-- returns, one after the other, the values of each payload; nothing but false where there is none
local replies, width = {}, #ARGV
for n = 1, #KEYS do
  local found = redis.pcall('HMGET', KEYS[n], unpack(ARGV))
  for m = 1, width do replies[(n - 1) * width + m] = found[m] or false end
end
return replies
