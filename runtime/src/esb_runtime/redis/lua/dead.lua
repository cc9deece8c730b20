-- Moves one event to the group's dead letters, in one step. The dead letter owns a copy of the payload.
-- KEYS: stream, what the process holds, failures, payload, dead letters, the dead letter's payload
-- ARGV: group, mark, id, n, n words of a payload that lies outside Redis, then the dead letter's own words
-- returns 1, or 0 when the event was settled already
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
local held = redis.call('TYPE', KEYS[5]).ok
if held ~= 'none' and held ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. held) end
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])
-- the entry as it was, however garbled: cmsgpack keeps bytes, order and repeated names
local raw = entry[1] and cmsgpack.pack(entry[1][2]) or ''
local outside = tonumber(ARGV[4])
if outside > 0 then
  redis.call('DEL', KEYS[6])
  redis.call('HSET', KEYS[6], unpack(ARGV, 5, 4 + outside))
else
  redis.call('COPY', KEYS[4], KEYS[6], 'REPLACE')
end
redis.call('XADD', KEYS[5], '*', 'id', ARGV[3], 'raw', raw, unpack(ARGV, 5 + outside))
redis.call('HDEL', KEYS[3], ARGV[3])
return 1
