-- Gives up ownership and lease; the consumer's name goes when nothing is pending under it.
-- KEYS: stream, what the process holds, lease  ARGV: group, mark, consumer
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
redis.call('DEL', KEYS[3])
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', '1', ARGV[3])
if not pending.err and #pending == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[3]) end
return 1
