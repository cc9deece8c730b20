-- A write that changes nothing: a WAIT that follows on the same connection covers every event from before it.
-- (A connection that wrote nothing waits for nothing, and a repeated message id writes nothing.)
-- KEYS: stream  ARGV: ids
-- returns the ids that the stream does not hold (any more)
local gone = {}
for n = 1, #ARGV do
  if #redis.call('XRANGE', KEYS[1], ARGV[n], ARGV[n]) == 0 then gone[#gone + 1] = ARGV[n] end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then redis.call('XSETID', KEYS[1], info[n + 1]) end
  end
end
return gone
