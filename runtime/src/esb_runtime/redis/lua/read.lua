-- Reads new entries as the owner: a process that lost its lease must not take any.
-- KEYS: stream, what the process holds  ARGV: group, consumer, mark, count
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return redis.error_reply('ESBOWNER lost') end
return redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')
