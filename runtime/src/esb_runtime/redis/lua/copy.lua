-- Copies events to another stream, entry and payload in one step each; what is there already stays as it is.
-- KEYS: the target, then per event its payload there and its payload in the source; then, where they may only come
--       behind another copy, that one's payload
-- ARGV: the id of the target that this other copy must be newer than | the number of events | how many kinds
--       then per kind: event, version, 1 when it has an ordering key
--       then per event: its kind, then message id, time, the ordering key where it has one, details
-- returns false when they do not come behind that copy; else per event its id, or '=' and the id that it had before, up
--       to the first whose payload is not in its hash
-- include: _ids
local call, to, count, replies = redis.call, KEYS[1], tonumber(ARGV[2]), {}

local behind = KEYS[2 * count + 2]
if behind then
  local id = redis.pcall('HGET', behind, '@')
  if type(id) ~= 'string' or not below(ARGV[1], id) then return false end
end
local held = call('TYPE', to).ok
if held ~= 'none' and held ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. held) end

-- a kind is the command of its entries; each event only puts its values between the names
local at, kinds = 4, {}
for n = 1, tonumber(ARGV[3]) do
  local entry = { 'XADD', to, '*', 'f', '1', 'e', ARGV[at], 'v', ARGV[at + 1], 'i', '', 't', '', 'd', '' }
  if ARGV[at + 2] == '1' then entry[14], entry[15], entry[16], entry[17] = 'k', '', 'd', '' end
  kinds[n] = { entry = entry, values = ARGV[at + 2] == '1' and 4 or 3 }
  at = at + 3
end

for n = 1, count do
  local ours, kind = KEYS[2 * n], kinds[tonumber(ARGV[at])]
  -- without REPLACE: a payload that is there says that the event is, too
  if call('COPY', KEYS[2 * n + 1], ours) == 1 then
    local entry = kind.entry
    for m = 1, kind.values do entry[9 + 2 * m] = ARGV[at + m] end
    local id = call(unpack(entry))
    local kept = redis.pcall('HSET', ours, '@', id)
    if type(kept) == 'table' then -- the payload was no hash
      call('XDEL', to, id)
      call('DEL', ours)
      return replies
    end
    replies[n] = id
  else
    local id = call('HGET', ours, '@')
    if not id then return replies end
    replies[n] = '=' .. id
  end
  at = at + kind.values + 1
end
return replies
