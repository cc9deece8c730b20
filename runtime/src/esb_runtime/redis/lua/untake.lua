-- Gives back what was read by a process that no longer owned the stream: as if it had never been delivered.
-- KEYS: stream  ARGV: group, consumer, the one who holds what was given back, then ids
for n = 4, #ARGV do
  local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], '1', ARGV[2])[1]
  if entry and entry[4] == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], '0', ARGV[n], 'RETRYCOUNT', '0', 'JUSTID')
  end
end
return redis.status_reply('OK')
