// The list of servers, and what is done with one.

export default {
  "action.start": "Start",
  "action.stop": "Stop",
  "action.restart": "Restart",
  "action.delete": "Delete",
  "action.edit": "Edit",
  "action.save": "Save",

  "servers.search": "Search servers",
  "servers.all": "All",
  "servers.noMatch": "No server matches",
  "servers.noMatchHint": "None of the {n} servers fits the search and the status.",

  "server.id": "ID",
  "server.status": "Status",
  "server.address": "Address",
  "server.creator": "Created by",
  "server.version": "Version",
  "server.updated": "Changed",
  "server.actions": "Actions",
  "server.stopping": "stopping",
  "server.restarting": "restarting",
  "server.restartNeeded": "Restart needed",
  "server.memory": "Memory",
  "server.memoryOf": "{used} of {limit}",
  "server.memoryAtMost": "at most {limit}",

  "tab.logs": "Logs",

  "list.shown": "{n} of {all} shown",

  "bulk.label": "Chosen servers",
  "bulk.all": "All ({n})",
  "bulk.choose": "Choose {name}",
  "bulk.chosen": "{n} chosen",
  "bulk.clear": "Choose none",
  "bulk.ask": "{action} {n} servers?",
  "bulk.do": "{action} {n}",
  "bulk.means.start": "Each is started, or woken where it sleeps.",
  "bulk.means.stop": "Clients get no answer from them until they are started again; calls under way end.",
  "bulk.means.restart": "Each gets a new container. Calls under way end; new ones wait until it is back.",
  "bulk.progress": "Progress",
  "bulk.running": "{action}: {done} of {all}…",
  "bulk.done": "{action}: asked of {n}, all accepted.",
  "bulk.doneWithFailures": "{action}: {n} accepted, {failed} refused.",
  "bulk.retry": "Try those again",
};
