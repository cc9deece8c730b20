-- Gives entries back to the group: they go to a consumer that never lives, with the starts they really had.
-- Only those that are still this process's own: this step is repeated when its reply was lost.
-- KEYS: stream, what the process holds  ARGV: group, mark, consumer, the one who never lives, then id, starts, ...
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
for n = 5, #ARGV, 2 do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], '1', ARGV[3]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], '0', ARGV[n], 'RETRYCOUNT', ARGV[n + 1], 'JUSTID')
  end
end
return 1
