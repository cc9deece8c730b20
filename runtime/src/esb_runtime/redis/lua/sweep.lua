-- Deletes payload hashes whose entry is gone.
-- KEYS: stream, payload hashes  ARGV: 'dry' or 'sweep', the id below which entries are old enough
-- returns how many
-- include: _ids
local gone = 0
for n = 2, #KEYS do
  local id = redis.pcall('HGET', KEYS[n], '@')
  if type(id) == 'string' and id:match('^%d+-%d+$') and below(id, ARGV[2])
      and not redis.call('XRANGE', KEYS[1], id, id)[1] then
    gone = gone + 1
    if ARGV[1] ~= 'dry' then redis.call('UNLINK', KEYS[n]) end
  end
end
return gone
