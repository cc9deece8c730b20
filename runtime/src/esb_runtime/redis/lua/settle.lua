-- Writes outcomes that belong together.
-- KEYS: stream, owner, failures, epoch, then one record per handled message id (none when the group does not remember)
-- ARGV: group, mark ('' without ownership), remember in ms, n, n handled ids, failed ids
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
local handled = tonumber(ARGV[4])
if handled > 0 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 5, 4 + handled))
  if redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HDEL', KEYS[3], unpack(ARGV, 5, 4 + handled))
  end
  local epoch = #KEYS > 4 and redis.call('GET', KEYS[4]) or '0'
  for n = 5, #KEYS do redis.call('SET', KEYS[n], epoch, 'PX', ARGV[3]) end
end
for n = 5 + handled, #ARGV do redis.call('HINCRBY', KEYS[3], ARGV[n], 1) end
return 1
