-- Copies events to another stream, entry and payload in one step each; what is there already stays as it is.
-- KEYS: the target, then per event its payload there and its payload in the source
-- ARGV: per event: its entry's values: event, version, message id, time, details, '+' and ordering key or ''
-- returns per event its id, or '=' and the id that it had before; up to the first whose payload is not in its hash
local held = redis.call('TYPE', KEYS[1]).ok
if held ~= 'none' and held ~= 'stream' then return redis.error_reply('WRONGTYPE ' .. held) end

local replies = {}
for n = 1, (#KEYS - 1) / 2 do
  local ours, theirs, at = KEYS[2 * n], KEYS[2 * n + 1], 6 * n - 5
  -- without REPLACE: a payload that is there says that the event is, too
  if redis.call('COPY', theirs, ours) == 1 then
    local words = {'f', '1', 'e', ARGV[at], 'v', ARGV[at + 1], 'i', ARGV[at + 2], 't', ARGV[at + 3]}
    if ARGV[at + 5] ~= '' then
      words[11], words[12] = 'k', ARGV[at + 5]:sub(2)
    end
    words[#words + 1], words[#words + 2] = 'd', ARGV[at + 4]
    local id = redis.call('XADD', KEYS[1], '*', unpack(words))
    local kept = redis.pcall('HSET', ours, '@', id)
    if type(kept) == 'table' then -- the payload was no hash
      redis.call('XDEL', KEYS[1], id)
      redis.call('DEL', ours)
      return replies
    end
    replies[n] = id
  else
    local id = redis.call('HGET', ours, '@')
    if not id then return replies end
    replies[n] = '=' .. id
  end
end
return replies
