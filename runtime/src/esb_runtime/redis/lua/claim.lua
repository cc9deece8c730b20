-- Takes pending entries from a holder with the starts they really had; an owner loses its ownership in the same step.
-- KEYS: stream, owner  ARGV: group, holder, the one who gets them, then ids
-- returns {moved, gone: no longer in the stream}
local moved, gone = 0, 0
for n = 4, #ARGV do
  local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], '1', ARGV[2])[1]
  if entry then
    if #redis.call('XRANGE', KEYS[1], ARGV[n], ARGV[n]) == 1 then
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], '0', ARGV[n], 'RETRYCOUNT', entry[4], 'JUSTID')
      moved = moved + 1
    else -- from Redis 7 on XCLAIM would forget it by itself
      redis.call('XACK', KEYS[1], ARGV[1], ARGV[n])
      gone = gone + 1
    end
  end
end
local owner = redis.call('GET', KEYS[2])
if moved > 0 and owner and owner:match('|(.*)$') == ARGV[2] then redis.call('DEL', KEYS[2]) end
return {moved, gone}
