-- Deletes dead letters with their payloads.
-- KEYS: dead letters, then each letter's payload  ARGV: each letter's id
-- returns how many there were
local gone = 0
for n = 1, #ARGV do
  if redis.call('XDEL', KEYS[1], ARGV[n]) == 1 then
    gone = gone + 1
    redis.call('UNLINK', KEYS[n + 1])
  end
end
return gone
