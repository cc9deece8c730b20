-- Counts the next start of entries, just before it happens.
-- KEYS: stream, what the process holds  ARGV: group, consumer, mark, then id, count, id, count, ...
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return redis.error_reply('ESBOWNER lost') end
for n = 4, #ARGV, 2 do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', ARGV[n], 'RETRYCOUNT', ARGV[n + 1], 'JUSTID')
end
return 1
