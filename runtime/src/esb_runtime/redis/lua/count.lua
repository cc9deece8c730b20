-- Counts entries, a slice at a time.
-- KEYS: stream  ARGV: first, last, at most
-- returns {how many, the last of them ('' without any)}
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return {#found, #found > 0 and found[#found][1] or ''}
