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
  "bulk.progress": "Progress",
  "bulk.running": "{action}: {done} of {all}…",
  "bulk.done": "{action}: asked of {n}, all accepted.",
  "bulk.doneWithFailures": "{action}: {n} accepted, {failed} refused.",
  "bulk.retry": "Try those again",
};
