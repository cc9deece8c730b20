-- Forgets the place of a replay that has come to its end.
-- KEYS: the replay's place  ARGV: the replay
if redis.call('HGET', KEYS[1], 'run') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
