// The shapes of the API's answers (docs/api.md), for the type checker only.

/**
 * @typedef {"stopped" | "building" | "starting" | "running" | "unresponsive" | "sleeping" | "error"} Status
 *
 * What a sentence says in numbers and names, with units in their names.
 * @typedef {{ [name: string]: string | number | boolean | Fault | null | undefined } | null | undefined} Args
 * @typedef {{ code: string, message: string, args?: Args }} Fault
 * @typedef {{ reason: string, reason_code?: string, reason_args?: Args }} Reasoned
 *
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} message
 * @property {Args} [args]
 * @property {number | null} [line] line in the user's file
 * @property {string[]} log_tail
 * @property {string} [at]
 *
 * Where it answers MCP, or, without an endpoint for that, the top of the app.
 * @typedef {{ sse?: string, mcp?: string, more?: string[], base?: string }} Urls
 *
 * @typedef {object} Server
 * @property {string} id
 * @property {string} name
 * @property {string} description
 * @property {string} entry_object
 * @property {"auto" | "mcp1" | "mcp2"} runtime
 * @property {{ memory_bytes: number, cpus: number, pids: number }} limits
 * @property {string} creator
 * @property {"running" | "stopped"} desired
 * @property {Status} status
 * @property {string} reason
 * @property {string} since
 * @property {string} address
 * @property {string | null} container_id
 * @property {number | null} exit_code
 * @property {Failure | null} last_error
 * @property {number} restarts
 * @property {string | null} started_at
 * @property {string | null} retry_at
 * @property {number} version
 * @property {boolean} restart_needed
 * @property {string} created_at
 * @property {string} updated_at
 * @property {Urls} urls
 * @property {string[]} [args]
 * @property {import("./kept.js").Storage} [storage]
 * @property {"open" | "none"} [egress]
 * @property {string[]} [pass_headers] names of headers
 * @property {import("./sleep.js").SleepChoice} [sleep]
 * @property {string} [reason_code]
 * @property {Args} [reason_args]
 * @property {{ cpu_cores: number, memory_bytes: number } | null} [usage]
 * @property {string[]} members names of tokens
 * @property {boolean} settled whether what was asked for last is done, or has failed
 * @property {boolean} [hold] whether the operator has paused EMCP for it
 * @property {{ settings: string, code: string, env: string }} etags to be sent with a change of that part
 * @property {ServerPermission[]} permissions what the caller may do with it
 *
 * @typedef {object} EnvVar
 * @property {string} key
 * @property {string} [value] left out to keep a stored secret
 * @property {boolean} is_secret
 *
 * @typedef {object} CodeVersion
 * @property {number} number
 * @property {string} sha256
 * @property {number} size_bytes
 * @property {string} uploaded_by
 * @property {string} uploaded_at
 *
 * @typedef {{ at: string, kind: string, message: string, actor?: string, code?: string, args?: Args }} ServerEvent
 * Where in the code; from 1. A line without a column is the whole line.
 * @typedef {{ line: number, column?: number | null, end_line?: number | null, end_column?: number | null, isFocused?: boolean }} Place
 *
 * @typedef {object} CheckProblem
 * @property {"error" | "warning"} severity
 * @property {string} code
 * @property {string} message
 * @property {Args} [args]
 * @property {number | null} line
 * @property {number | null} column
 * @property {number | null} end_line
 * @property {number | null} end_column
 *
 * @typedef {object} CheckAnswer
 * @property {boolean} ok
 * @property {"mcp1" | "mcp2" | null} runtime
 * @property {string[]} entry_objects
 * @property {CheckProblem[]} problems
 *
 *
 * What a server offers to its clients.
 * @typedef {object} Offer
 * @property {{ name: string, version: string }} server
 * @property {string} [instructions]
 * @property {string} protocol_version
 * @property {{
 *   name: string, title?: string, description?: string, inputSchema: object, outputSchema?: object,
 *   annotations?: { title?: string } & Record<string, unknown>,
 * }[]} tools
 * @property {{ uri: string, name: string, description?: string, mimeType?: string }[]} resources
 * @property {{ uriTemplate: string, name: string, description?: string, mimeType?: string }[]} resource_templates
 * @property {{ name: string, description?: string, arguments?: { name: string, description?: string, required?: boolean }[] }[]} prompts
 * @property {{ list: string, code: string }[]} [truncated] lists of which EMCP has read only a part
 *
 * @typedef {object} Token
 * @property {string} id
 * @property {string} name
 * @property {Role} role
 * @property {string[] | null} servers
 * @property {boolean} usable_in_url
 * @property {string} created_at
 * @property {string} created_by
 * @property {string | null} expires_at
 * @property {string | null} [last_used_at]
 *
 * @typedef {"admin" | "developer" | "viewer" | "connect"} Role
 *
 * @typedef {"inspect" | "call" | "act" | "update" | "delete" | "share" | "issue_tokens"} ServerPermission
 * @typedef {"read" | "create_servers" | "issue_tokens" | "see_usage" | "administer"} PlatformPermission
 * @typedef {{ name: string, role: Role, permissions: PlatformPermission[], token_roles: Role[] }} Caller
 *
 * @typedef {{ config: object, link: string }} WithLink
 *
 * @typedef {object} Connection
 * @property {Urls} urls
 * @property {Urls} urls_with_key
 * @property {string | null} ca_url
 * @property {string} token_placeholder
 * @property {{
 *   cherry_studio: { sse?: WithLink, streamable_http?: WithLink },
 *   claude_code: { sse?: string, http?: string },
 *   cursor: WithLink,
 *   vscode: { servers: Record<string, object>, inputs?: object[] },
 *   windsurf: object,
 * }} [clients] none for a server without MCP
 * @property {string} [curl] how to call one without
 *
 * @typedef {{ cpu_cores: number, memory_bytes: number }} Use
 * @typedef {Use & { at: string, memory_limit_bytes: number, servers: Record<string, Use> }} Usage
 *
 * @typedef {{ id: string, name: string }} ServerRef
 * @typedef {object} Overview
 * @property {number} total
 * @property {Record<Status, number>} by_status
 * @property {(Use & { at: string, memory_limit_bytes: number }) | null} [usage]
 * @property {(Use & { at: string })[]} [history]
 * @property {({ server: ServerRef, status: Status, code: string, since: string } & Reasoned)[]} [attention]
 * @property {(ServerEvent & { server: ServerRef })[]} [recent_events]
 * @property {{ code: string, message: string, args?: Args }[]} [notices]
 * @property {{ free_bytes: number, total_bytes: number } | null} [disk] of the data directory
 *
 * @typedef {{ id: string, title: string, description: string, entry_object: string, code: string, env?: EnvVar[] }} Template
 *
 * @typedef {object} AuditEntry
 * @property {number | string} id
 * @property {string} at
 * @property {string} [actor] absent where nobody was recognised
 * @property {string} action
 * @property {string} [target]
 * @property {"ok" | "refused" | "failed"} result
 * @property {string} [code]
 * @property {string} [from]
 * @property {number} [count] absent for once
 *
 * @typedef {{ ts: string, stream: "stdout" | "stderr" | "emcp", line: string, seq: number }} LogRecord
 */

export {};
