// The API's documents by the names that the pages use, for the type checker only.
// Their shapes are those of its description: scripts/api.sh makes documents.d.ts of
// docs/openapi.json. What only the pages know is below.

/**
 * @typedef {import("./documents.d.ts").components["schemas"]} Documents
 *
 * @typedef {Documents["Status"]} Status
 * @typedef {Documents["Fault"]} Fault
 * @typedef {Documents["ReasonView"]} Reasoned
 * @typedef {Documents["Failure"]} Failure
 * @typedef {Documents["Urls"]} Urls
 * @typedef {Documents["ServerView"]} Server
 * @typedef {Documents["CodeVersion"]} CodeVersion
 * @typedef {Documents["Event"]} ServerEvent
 * @typedef {Documents["Problem"]} CheckProblem
 * @typedef {Documents["CheckView"]} CheckAnswer
 * @typedef {Documents["ToolsView"]} Offer
 * @typedef {Documents["TokenView"]} Token
 * @typedef {Documents["Role"]} Role
 * @typedef {Documents["ServerPermission"]} ServerPermission
 * @typedef {Documents["PlatformPermission"]} PlatformPermission
 * @typedef {Documents["WithLink"]} WithLink
 * @typedef {Documents["ConnectionView"]} Connection
 * @typedef {Documents["ServerUsage"]} Use
 * @typedef {Documents["UsageView"]} Usage
 * @typedef {Documents["ServerRef"]} ServerRef
 * @typedef {Documents["OverviewView"]} Overview
 * @typedef {Documents["Template"]} Template
 * @typedef {Documents["PeopleView"]} People
 * @typedef {Documents["PersonView"]} Person
 * @typedef {Documents["AuditRecord"]} AuditEntry
 * @typedef {Documents["LogRecord"]} LogRecord
 * @typedef {Documents["Storage"] | null} Storage
 * @typedef {Documents["SleepAfter"]} SleepAfter
 * @typedef {Documents["SleepChoice"]} SleepChoice
 *
 * A variable, also one that is about to be sent: a stored secret is kept by
 * leaving its value out.
 * @typedef {Omit<Documents["EnvVarView"], "value"> & { value?: string }} EnvVar
 *
 * What a sentence says in numbers and names, with units in their names.
 * @typedef {{ [name: string]: string | number | boolean | Fault | null | undefined } | null | undefined} Args
 *
 * Where in the code; from 1. A line without a column is the whole line.
 * @typedef {{ line: number, column?: number | null, end_line?: number | null, end_column?: number | null, isFocused?: boolean }} Place
 *
 * Who is signed in.
 * @typedef {Required<Pick<Documents["SessionView"], "name" | "role" | "permissions" | "token_roles">>} Caller
 */

export {};
