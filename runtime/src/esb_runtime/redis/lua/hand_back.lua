-- Gives entries back to the group: they go to a consumer that never lives, with the starts they really had.
-- KEYS: stream, owner  ARGV: group, mark ('' without ownership), that consumer, then id, starts, id, starts, ...
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
for n = 4, #ARGV, 2 do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], '0', ARGV[n], 'RETRYCOUNT', ARGV[n + 1], 'JUSTID')
end
return 1
