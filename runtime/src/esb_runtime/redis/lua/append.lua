-- Stores records in order. Scripts have no rollback, so whatever can refuse a record is looked at before its write.
-- KEYS: the stream, then one key per record that knows its message id (its payload hash, or a dedup record); then, where
--       payloads lie in an external store, the queue of those that no entry followed yet; then, where one is named, the
--       key of a record that has to be there
-- ARGV: 'hash' or 'record' | 1 when the first refusal refuses all | dedup window in ms | the number of records | how
--       many shapes | which key has to be there, or 0
--       then per shape: the sizes of its three parts | words that begin the entry | further names | payload names
--       then per record: the number of its shape | values of the further names, the message id first | payload values
-- returns per record: its id, '=' and the first call's id, or '!' and why it was refused
local hash, together, window = ARGV[1] == 'hash', ARGV[2] == '1', ARGV[3]
local count, before, replies, known = tonumber(ARGV[4]), tonumber(ARGV[6]), {}, {}
if before > 0 and redis.call('EXISTS', KEYS[before]) == 0 then return redis.error_reply('ESBBEFORE') end
local queue = before ~= count + 2 and KEYS[count + 2]
-- nearly always none of them is known, which one command tells (of as many as Lua can hand to one)
local some = count > 5000 or count > 0 and redis.call('EXISTS', unpack(KEYS, 2, count + 1)) > 0
-- what is no stream refuses the first XADD, unless there is none
local held = some and redis.call('TYPE', KEYS[1]).ok or 'stream'
if held ~= 'none' and held ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. held) end
for n = 2, some and count + 1 or 1 do
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

-- a shape is the two commands of its records; each record only puts its values between the names
local at, shapes = 7, {}
for n = 1, tonumber(ARGV[5]) do
  local begin, further, payload = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local entry, fields = { 'XADD', KEYS[1], '*' }, { 'HSET', '', '@', '' }
  at = at + 2
  for m = 1, begin do entry[3 + m] = ARGV[at + m] end
  at = at + begin
  for m = 1, further do entry[2 + begin + 2 * m], entry[3 + begin + 2 * m] = ARGV[at + m], '' end
  at = at + further
  for m = 1, payload do fields[3 + 2 * m], fields[4 + 2 * m] = ARGV[at + m], '' end
  at = at + payload + 1
  shapes[n] = { entry = entry, value = 3 + begin, further = further, fields = fields, payload = payload }
end

for n = 2, count + 1 do
  local shape, key = shapes[tonumber(ARGV[at])], KEYS[n]
  local further, payload = shape.further, shape.payload
  if replies[n - 1] then
    -- refused above
  elseif known[key] then
    replies[n - 1] = '=' .. known[key]
  else
    local entry, value = shape.entry, shape.value
    for m = 1, further do entry[value + 2 * m] = ARGV[at + m] end
    local id = redis.pcall(unpack(entry))
    if type(id) == 'table' then
      if id.err:find('WRONGTYPE', 1, true) then return id end
      replies[n - 1] = '!' .. id.err
    else
      if hash then
        local fields, from = shape.fields, at + further
        fields[2], fields[4] = key, id
        for m = 1, payload do fields[4 + 2 * m] = ARGV[from + m] end
        redis.call(unpack(fields))
      else
        redis.call('SET', key, id, 'PX', window)
      end
      known[key] = id
      replies[n - 1] = id
    end
  end
  if queue and known[key] then redis.call('ZREM', queue, ARGV[at + 1]) end
  at = at + further + payload + 1
end
return replies
