-- Gives a dead letter's event back to its group, in one step: the letter goes exactly when the event is the group's again.
-- KEYS: stream, dead letters, the letter's payload, the event's payload, failures, the record that it was handled
-- ARGV: group, letter's id, event's id, the consumer of what was handed back, 'hash' when the payload lies beside the
--       entry, 'new' when only a new entry reaches the group, 'dry' to change nothing, then that entry's words
-- returns 'absent', 'ahead', 'returned' or 'copied'
-- include: _ids
if not redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2])[1] then return 'absent' end
local group = redis.call('EXISTS', KEYS[1]) == 1 and groups(KEYS[1])[ARGV[1]]
if not group then return redis.error_reply('NOGROUP') end

local outcome
if ARGV[6] == 'new' or not redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1] then
  outcome = 'copied'
elseif below(group['last-delivered-id'], ARGV[3]) then
  outcome = 'ahead'
else
  outcome = 'returned'
end
if ARGV[7] == 'dry' then return outcome end

if outcome == 'copied' then
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, 8))
elseif outcome == 'returned' then
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], '0', ARGV[3], 'RETRYCOUNT', '0', 'FORCE', 'JUSTID')
end
if outcome ~= 'copied' and ARGV[5] == 'hash' and redis.call('EXISTS', KEYS[4]) == 0
    and redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('RENAME', KEYS[3], KEYS[4])
end
redis.call('DEL', KEYS[3], KEYS[6])
redis.call('HDEL', KEYS[5], ARGV[3])
redis.call('XDEL', KEYS[2], ARGV[2])
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('DEL', KEYS[2]) end
return outcome
