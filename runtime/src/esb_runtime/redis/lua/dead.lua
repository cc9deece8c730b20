-- Moves one event to the group's dead letters, in one step. The dead letter owns a copy of the payload.
-- KEYS: stream, owner, failures, payload, dead letters, the dead letter's payload
-- ARGV: group, mark ('' without ownership), id, then the dead letter's own words
-- returns 1, or 0 when the event was settled already
if ARGV[2] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('ESBOWNER lost') end
local held = redis.call('TYPE', KEYS[5]).ok
if held ~= 'none' and held ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. held) end
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) == 0 then return 0 end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])
-- the entry as it was, however garbled: cmsgpack keeps bytes, order and repeated names
local raw = entry[1] and cmsgpack.pack(entry[1][2]) or ''
redis.call('COPY', KEYS[4], KEYS[6], 'REPLACE')
redis.call('XADD', KEYS[5], '*', 'id', ARGV[3], 'raw', raw, unpack(ARGV, 4))
redis.call('HDEL', KEYS[3], ARGV[3])
return 1
