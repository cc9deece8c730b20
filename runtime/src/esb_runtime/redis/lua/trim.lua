-- Removes entries at the beginning of a stream with their payloads, or says how many it would.
-- KEYS: stream, per entry its payload hash, or the queue of deletes in its external store, or the stream again (inline);
--       then the failures of each group (only with force)
-- ARGV: 'dry' or 'trim', 'force' or '', before, last, maxlen (-1: none), 'handled' or '', entries counted before, the
--       lowest id above these entries, the number of entries; then per entry id, message id, 'hash', 'outside' or '';
--       then each group (only with force)
-- returns {entries, payload hashes, payloads outside, the groups that keep the next entry, the last entry's id where
--         only the memory that one step may free stopped it, else ''}
-- include: _ids
local dry, force, before, last = ARGV[1] == 'dry', ARGV[2] == 'force', ARGV[3], ARGV[4]
local count = tonumber(ARGV[9])
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0, 0, {}, ''} end

local bounds = {}
for name, group in pairs(groups(KEYS[1])) do
  if name ~= '__NONE_CUNSUMER__' then
    local pending = group['pending'] > 0 and redis.call('XPENDING', KEYS[1], name)[2]
    bounds[#bounds + 1] = {name, group['last-delivered-id'], pending}
  end
end
local excess = tonumber(ARGV[5])
excess = excess < 0 and 0 or redis.call('XLEN', KEYS[1]) - excess - tonumber(ARGV[7])
local handled = ARGV[6] ~= '' and #bounds > 0

local function keepers(id)
  local found = {}
  for _, bound in ipairs(bounds) do
    if below(bound[2], id) or (bound[3] and not below(id, bound[3])) then found[#found + 1] = bound[1] end
  end
  return found
end

-- the server's allocator may give what a step frees back to the system at once, 100 MB in about ten milliseconds
local room = 16 * 1024 * 1024

local goes, pinned, last_of_step = 0, {}, ''
for n = 1, count do
  local id = ARGV[7 + 3 * n]
  local wanted = (before ~= '' and below(id, before)) or n <= excess or handled
  if not wanted or (last ~= '+' and below(last, id)) then break end
  if not force then pinned = keepers(id) end
  if #pinned > 0 then break end
  if ARGV[9 + 3 * n] == 'hash' then
    local size = redis.pcall('MEMORY', 'USAGE', KEYS[n + 1]) -- a user who may not ask it does without this bound
    room = room - (type(size) == 'number' and size or 0)
    if room < 0 and goes > 0 then
      last_of_step = ARGV[7 + 3 * goes]
      break
    end
  end
  goes = n
end
if goes == 0 then return {0, 0, 0, pinned, ''} end

local hashes, outside, ids = 0, 0, {}
for n = 1, goes do
  local id, message, place, key = ARGV[7 + 3 * n], ARGV[8 + 3 * n], ARGV[9 + 3 * n], KEYS[n + 1]
  ids[n] = id
  if place == 'outside' then
    outside = outside + 1
    if not dry then redis.call('ZADD', key, '0', message) end
  elseif place == 'hash' then
    -- a hash that says it belongs to another entry is that one's
    local owner = redis.pcall('HGET', key, '@')
    if redis.call('EXISTS', key) == 1 and (type(owner) ~= 'string' or owner == id) then
      hashes = hashes + 1
      if not dry then redis.call('UNLINK', key) end
    end
  end
end
if dry then return {goes, hashes, outside, pinned, last_of_step} end
local threshold = goes < count and ARGV[10 + 3 * goes] or ARGV[8]
local gone = redis.call('XTRIM', KEYS[1], 'MINID', '=', threshold)
for n = 1, #KEYS - 1 - count do
  local group = ARGV[9 + 3 * count + n]
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('HDEL', KEYS[1 + count + n], unpack(ids))
end
return {gone, hashes, outside, pinned, last_of_step}
