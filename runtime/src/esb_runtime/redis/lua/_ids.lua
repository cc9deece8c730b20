local function below(a, b)
  local am, as = a:match('^(%d+)-(%d+)$')
  local bm, bs = b:match('^(%d+)-(%d+)$')
  if am ~= bm then return #am < #bm or (#am == #bm and am < bm) end
  return #as < #bs or (#as == #bs and as < bs)
end

local function groups(stream)
  local found = {}
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local told = {}
    for n = 1, #group, 2 do told[group[n]] = group[n + 1] end
    found[told['name']] = told
  end
  return found
end
