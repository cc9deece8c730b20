-- Takes hold of a key for a lease, unless somebody has it: a stream's ownership, or a consumer's own lease.
-- KEYS: that key, fence  ARGV: consumer, lease in ms, the mark that it had, 1 when others may have it (an ownership)
-- returns the holder's mark (token|consumer; the same one while it never ended), or nothing
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[3] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return owner
end
if owner and ARGV[4] == '1' then return false end
local mark = redis.call('INCR', KEYS[2]) .. '|' .. ARGV[1]
redis.call('SET', KEYS[1], mark, 'PX', ARGV[2])
return mark
