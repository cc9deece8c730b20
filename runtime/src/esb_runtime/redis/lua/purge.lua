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
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end
return gone
