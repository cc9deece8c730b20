-- Stores records in order. Scripts have no rollback, so whatever can refuse a record is looked at before its write.
-- KEYS: the stream, then one key per record that knows its message id (its payload hash, or a dedup record); then, where
--       payloads lie in an external store, the queue of those that no entry followed yet
-- ARGV: 'hash' or 'record' | 1 when the first refusal refuses all | dedup window in ms | the number of records
--       then per record: n, n entry words; m, m payload words
-- returns per record: its id, '=' and the first call's id, or '!' and why it was refused
local hash, together, window = ARGV[1] == 'hash', ARGV[2] == '1', ARGV[3]
local held = redis.call('TYPE', KEYS[1]).ok
if held ~= 'none' and held ~= 'stream' then
  return redis.error_reply('WRONGTYPE ' .. held)
end

local count, replies, known = tonumber(ARGV[4]), {}, {}
local queue = KEYS[count + 2]
for n = 2, count + 1 do
  local id
  if hash then id = redis.pcall('HGET', KEYS[n], '@') else id = redis.pcall('GET', KEYS[n]) end
  if type(id) == 'table' then
    if together then
      for m = 1, count do replies[m] = '!' .. id.err end
      return replies
    end
    replies[n - 1] = '!' .. id.err
  elseif id then
    known[KEYS[n]] = id
  end
end

local at = 5
for n = 2, count + 1 do
  local entry = tonumber(ARGV[at])
  local payload = tonumber(ARGV[at + entry + 1])
  local first = at + 1
  at = at + entry + payload + 2
  local key = KEYS[n]
  if replies[n - 1] then
    -- refused above
  elseif known[key] then
    replies[n - 1] = '=' .. known[key]
  else
    local id = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, first, first + entry - 1))
    if type(id) == 'table' then
      replies[n - 1] = '!' .. id.err
    else
      if hash then
        redis.call('HSET', key, '@', id, unpack(ARGV, first + entry + 1, first + entry + payload))
      else
        redis.call('SET', key, id, 'PX', window)
      end
      known[key] = id
      replies[n - 1] = id
    end
  end
  -- field names and values come in a fixed order: the message id is the eighth word
  if queue and known[key] then redis.call('ZREM', queue, ARGV[first + 7]) end
end
return replies
