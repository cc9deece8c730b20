-- The payloads of a batch in one call.
-- KEYS: payload hashes
-- returns per key: its fields and values, or the error as text
local replies = {}
for n = 1, #KEYS do
  local fields = redis.pcall('HGETALL', KEYS[n])
  replies[n] = fields.err or fields
end
return replies
