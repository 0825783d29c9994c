// The page of what people have and may have.

export default {
  "usage.lead": "What each person has of what they may have. GET /api/usage has the same; PATCH /api/tokens/{id} gives a person a quota of their own.",
  "usage.leadDeveloper": "What you have of what you may have. Ask an administrator for more.",
  "usage.exempt": "no quota",
  "usage.servers": "Servers",
  "usage.memory": "Memory of running servers",
  "usage.stored": "Stored",
  "usage.tokens": "Tokens made",
  "usage.writes": "Changes within a minute",
  "usage.of": "{used} of {limit}",
  "usage.maxima": "Any one server may have at most {memory} of memory, {cpus} CPUs, {pids} processes and {storage} of storage.",
};
