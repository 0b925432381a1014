-- wrk: ten routes in turn, with changing ids.
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", string.format("/route%d/%d", n % 10, n))
end
