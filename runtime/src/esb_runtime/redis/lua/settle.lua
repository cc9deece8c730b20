-- Writes outcomes that belong together.
-- KEYS: stream, what the process holds, failures, epoch, then one record per handled message id (none when the group does
--       not remember)
-- ARGV: group, mark, remember in ms, n, n handled ids, failed ids
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
local handled = tonumber(ARGV[4])
if handled > 0 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 5, 4 + handled))
  if redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HDEL', KEYS[3], unpack(ARGV, 5, 4 + handled))
  end
  local epoch = #KEYS > 4 and redis.call('GET', KEYS[4]) or '0'
  for n = 5, #KEYS do redis.call('SET', KEYS[n], epoch, 'PX', ARGV[3]) end
end
for n = 5 + handled, #ARGV do
  -- no more failures than starts: this step is repeated when its reply was lost. Nothing for what is settled already
  local entry = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], '1')[1]
  local failures = tonumber(redis.call('HGET', KEYS[3], ARGV[n]) or '0')
  if entry and failures < tonumber(entry[4]) then redis.call('HINCRBY', KEYS[3], ARGV[n], 1) end
end
return 1
