-- wrk: paths that nobody has asked for before, made of words that are no identifiers.
local n = 0
request = function()
  n = n + 1
  local word, rest = "", n
  for _ = 1, 6 do
    word = word .. string.char(97 + rest % 26)
    rest = math.floor(rest / 26)
  end
  return wrk.format("GET", "/new/" .. word)
end
