-- Which message ids the group has on record as handled, in its present epoch.
-- KEYS: epoch, then one record per message id
-- returns 1 or 0 per record
local epoch = redis.call('GET', KEYS[1]) or '0'
local replies = {}
for n = 2, #KEYS do
  replies[n - 1] = redis.call('GET', KEYS[n]) == epoch and 1 or 0
end
return replies
