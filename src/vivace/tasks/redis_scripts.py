"""What the spool does inside Redis: one script per step, each of which is done or not done at all.

Rules of this file:

- A task is a hash; each state has its index: ``ready:<name>`` by priority and time, ``suspect:<name>``
  for those whose process died, ``later:<name>`` by time, ``running`` by lease, ``done`` by when it may be
  deleted. ``all`` has every task by number.
- A task changes its state by `leave` and `enter` only, which keep indexes and counts together.
- Times come and go as text: a number of Lua as text has but 14 digits.
- All keys carry one hash tag, for they belong to one slot of a cluster.
- Follows the documentation of Redis, "Scripting with Lua".
"""

from typing import Final

__all__ = ["SCRIPTS"]

_COMMON: Final = """
local P = KEYS[1]
local call = redis.call
local function T(id) return P .. 't:' .. id end
local function field(id, name) return call('HGET', T(id), name) end
local function text(number) return string.format('%.6f', number) end
local function index(id, state)
  local name = field(id, 'name')
  if state == 'ready' and tonumber(field(id, 'kills')) > 0 then return P .. 'suspect:' .. name end
  if state == 'ready' or state == 'later' then return P .. state .. ':' .. name end
  if state == 'running' or state == 'done' then return P .. state end
end
local function count(id, state, by)
  call('HINCRBY', P .. 'count', state .. '|' .. field(id, 'name'), by)
end
local function leave(id)
  local state = field(id, 'state')
  local key = index(id, state)
  if key then call('ZREM', key, id) end
  count(id, state, -1)
end
local function enter(id, state)
  call('HSET', T(id), 'state', state)
  local key, score = index(id, state), nil
  if state == 'ready' then
    score = text(tonumber(field(id, 'run_at')) - tonumber(field(id, 'priority')) * 1e10)
  elseif state == 'later' then score = field(id, 'run_at')
  elseif state == 'running' then score = field(id, 'lease_until')
  elseif state == 'done' then
    score = text(tonumber(field(id, 'finished')) + tonumber(field(id, 'keep')))
  end
  if key then call('ZADD', key, score, id) end
  count(id, state, 1)
  if state == 'done' or state == 'dead' then
    local unique = field(id, 'unique_key')
    local place = field(id, 'name') .. '|' .. (unique or '')
    if unique and call('HGET', P .. 'unique', place) == id then call('HDEL', P .. 'unique', place) end
  end
end
local function delete(id)
  leave(id)
  enter(id, 'dead')
  count(id, 'dead', -1)
  call('ZREM', P .. 'all', id)
  call('DEL', T(id))
end
local function move(id, state, ...)
  leave(id)
  if #{...} > 0 then call('HSET', T(id), ...) end
  if state ~= 'running' then call('HDEL', T(id), 'lease_until') end
  enter(id, state)
end
local function own(id, worker, attempts)
  local found = call('HMGET', T(id), 'state', 'worker', 'attempts')
  return found[1] == 'running' and found[2] == worker and found[3] == attempts
end
local function tally(id, what) call('HINCRBY', P .. 'tally', what .. '|' .. field(id, 'name'), 1) end
local function put(now, name, unique, run_at, rest)
  local place = name .. '|' .. unique
  if unique ~= '' then
    local there = call('HGET', P .. 'unique', place)
    if there then return {tonumber(there), 0} end
  end
  local id = tostring(call('INCR', P .. 'seq'))
  call('HSET', T(id), 'id', id, 'name', name, 'run_at', run_at, 'created', now, 'attempts', 0, 'kills', 0,
    unpack(rest))
  if unique ~= '' then
    call('HSET', T(id), 'unique_key', unique)
    call('HSET', P .. 'unique', place, id)
  end
  call('ZADD', P .. 'all', id, id)
  call('SADD', P .. 'names', name)
  enter(id, tonumber(run_at) > tonumber(now) and 'later' or 'ready')
  call('PUBLISH', P .. 'bell', '')
  return {tonumber(id), 1}
end
"""

SCRIPTS: Final = {
    name: _COMMON + body
    for name, body in {
        # now, name, unique key or '', run_at, then fields and values
        "enqueue": "return put(ARGV[1], ARGV[2], ARGV[3], ARGV[4], {unpack(ARGV, 5)})",
        # worker, limit, end of lease, now, '1' if one may be a suspect, names
        "claim": """
local taken, most = {}, tonumber(ARGV[2])
for n = 6, #ARGV do
  local later = P .. 'later:' .. ARGV[n]
  for _, id in ipairs(call('ZRANGEBYSCORE', later, '-inf', ARGV[4], 'LIMIT', 0, 500)) do move(id, 'ready') end
end
local function take(kind)
  local best, least = nil, nil
  for n = 6, #ARGV do
    local first = call('ZRANGE', P .. kind .. ARGV[n], 0, 0, 'WITHSCORES')
    local score = tonumber(first[2])
    if score and (not best or score < least) then best, least = first[1], score end
  end
  if not best then return false end
  call('HINCRBY', T(best), 'attempts', 1)
  move(best, 'running', 'worker', ARGV[1], 'lease_until', ARGV[3])
  taken[#taken + 1] = call('HGETALL', T(best))
  return true
end
if ARGV[5] == '1' then take('suspect:') end
while #taken < most and take('ready:') do end
return taken
""",
        # worker, end of lease, numbers
        "extend": """
local kept = {}
for n = 3, #ARGV do
  local found = call('HMGET', T(ARGV[n]), 'state', 'worker')
  if found[1] == 'running' and found[2] == ARGV[1] then
    call('HSET', T(ARGV[n]), 'lease_until', ARGV[2])
    call('ZADD', P .. 'running', ARGV[2], ARGV[n])
    kept[#kept + 1] = tonumber(ARGV[n])
  end
end
return kept
""",
        # number, worker, attempts, now, result
        "ack": """
if not own(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
tally(ARGV[1], 'done')
if tonumber(field(ARGV[1], 'keep')) > 0 then move(ARGV[1], 'done', 'finished', ARGV[4], 'result', ARGV[5])
else delete(ARGV[1]) end
return 1
""",
        # number, worker, attempts, now, error, again at or ''
        "nack": """
if not own(ARGV[1], ARGV[2], ARGV[3]) then return 0 end
tally(ARGV[1], 'failed')
if ARGV[6] == '' then move(ARGV[1], 'dead', 'last_error', ARGV[5], 'finished', ARGV[4])
else
  local state = tonumber(ARGV[6]) > tonumber(ARGV[4]) and 'later' or 'ready'
  move(ARGV[1], state, 'last_error', ARGV[5], 'run_at', ARGV[6])
end
return 1
""",
        # number, worker, attempts, now
        "release": """
local id = ARGV[1]
if not own(id, ARGV[2], ARGV[3]) then return 0 end
local error = 'its runner was stopped before it was done'
if tonumber(field(id, 'max_attempts')) <= 1 then move(id, 'dead', 'last_error', error, 'finished', ARGV[4])
else
  call('HINCRBY', T(id), 'max_attempts', 1)
  move(id, 'ready', 'last_error', error)
  call('PUBLISH', P .. 'bell', '')
end
return 1
""",
        # now, most kills, '1' if leases count, workers that are gone
        "recover": """
local gone, number = {}, 0
for n = 4, #ARGV do gone[ARGV[n]] = true end
for _, id in ipairs(call('ZRANGE', P .. 'running', 0, -1)) do
  local found = call('HMGET', T(id), 'worker', 'lease_until', 'attempts', 'max_attempts')
  local over = ARGV[3] == '1' and tonumber(found[2]) < tonumber(ARGV[1])
  if over or gone[found[1]] then
    local error = over and 'its lease ran out while it ran' or 'its process died while it ran'
    local kills = call('HINCRBY', T(id), 'kills', 1)
    tally(id, 'failed')
    if tonumber(found[3]) >= tonumber(found[4]) or kills >= tonumber(ARGV[2]) then
      move(id, 'dead', 'last_error', error, 'finished', ARGV[1])
    else move(id, 'ready', 'last_error', error) end
    number = number + 1
  end
end
return number
""",
        # schedule, slot, '1' if it waits, now; then what "put" takes of a task, or nothing
        "schedule": """
local last = call('HGET', P .. 'slots', ARGV[1])
if last and tonumber(last) >= tonumber(ARGV[2]) then return 'taken' end
if ARGV[5] and ARGV[3] == '1' and ARGV[6] ~= '' then
  if call('HEXISTS', P .. 'unique', ARGV[5] .. '|' .. ARGV[6]) == 1 then return 'busy' end
end
call('HSET', P .. 'slots', ARGV[1], ARGV[2])
if not ARGV[5] then return 'queued' end
local placed = put(ARGV[4], ARGV[5], ARGV[6], ARGV[7], {unpack(ARGV, 8)})
return placed[2] == 1 and 'queued' or 'busy'
""",
        # schedule, slot
        "set_back": """
local last = call('HGET', P .. 'slots', ARGV[1])
if last and tonumber(last) > tonumber(ARGV[2]) then call('HSET', P .. 'slots', ARGV[1], ARGV[2]) end
""",
        # now, '1' if suspects count, names
        "next_due": """
local due = nil
for n = 3, #ARGV do
  if call('ZCARD', P .. 'ready:' .. ARGV[n]) > 0 then return ARGV[1] end
  if ARGV[2] == '1' and call('ZCARD', P .. 'suspect:' .. ARGV[n]) > 0 then return ARGV[1] end
  local first = call('ZRANGE', P .. 'later:' .. ARGV[n], 0, 0, 'WITHSCORES')
  if first[1] and (not due or tonumber(first[2]) < tonumber(due)) then due = first[2] end
end
return due
""",
        # now
        "sweep": """
local old = call('ZRANGEBYSCORE', P .. 'done', '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, id in ipairs(old) do delete(id) end
return #old
""",
        # number, now
        "retry": """
local id = ARGV[1]
local state = field(id, 'state')
if not state then return {'gone'} end
if state ~= 'dead' and state ~= 'later' then return {'state', state} end
local unique = field(id, 'unique_key')
if state == 'dead' and unique then
  local place = field(id, 'name') .. '|' .. unique
  local there = call('HGET', P .. 'unique', place)
  if there then return {'same', there, unique} end
  call('HSET', P .. 'unique', place, id)
end
local attempts, most = tonumber(field(id, 'attempts')), tonumber(field(id, 'max_attempts'))
if state == 'dead' then most = math.max(most, attempts + 1) end
call('HDEL', T(id), 'finished')
move(id, 'ready', 'run_at', ARGV[2], 'max_attempts', most, 'kills', 0)
call('PUBLISH', P .. 'bell', '')
return {''}
""",
        # number
        "drop": """
local state = field(ARGV[1], 'state')
if state and state ~= 'running' then delete(ARGV[1]) end
return state
""",
    }.items()
}
