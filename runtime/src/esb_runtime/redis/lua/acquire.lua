-- Becomes the owner of a stream for a group, unless somebody is.
-- KEYS: owner, fence  ARGV: consumer, lease in ms, the mark that it had
-- returns the owner's mark (token|consumer; the same one while the ownership never ended), or nothing
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[3] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return owner
end
if owner then return false end
local mark = redis.call('INCR', KEYS[2]) .. '|' .. ARGV[1]
redis.call('SET', KEYS[1], mark, 'PX', ARGV[2])
return mark
