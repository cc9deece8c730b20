-- Stores one record that nobody knows yet, in the fewest steps. Whatever is unusual is left to append.lua.
-- KEYS: the stream, the payload hash that knows the record's message id
-- ARGV: how many words the entry has | these | names and values of the payload
-- returns its id; or nothing, and then nothing was stored
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local last = ARGV[1] + 1
local id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, 2, last))
if type(id) == 'table' then return false end
redis.call('HSET', KEYS[2], '@', id, unpack(ARGV, last + 1))
return id
