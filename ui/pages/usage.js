// What people have of what they may have: everybody for administrators, for
// developers what is their own.

import { html } from "../vendor/preact.js";
import { Failure, Loading } from "../components/controls.js";
import { Text } from "../components/text.js";
import { t } from "../lib/i18n.js";
import { useLive } from "../lib/live.js";
import { may } from "../lib/session.js";
import { amount, cores } from "../lib/units.js";
import { shareOf } from "../lib/usage.js";

/** @typedef {import("../lib/usage.js").People} People */
/** @typedef {import("../lib/usage.js").Person} Person */

export function UsagePage() {
  /** @type {import("../lib/live.js").Live<People>} */
  const live = useLive("/api/usage");
  const seen = live.data.value;
  return html`
    <div class="page-head"><h1>${t("nav.usage")}</h1></div>
    <p class="lead">${t(may("administer") ? "usage.lead" : "usage.leadDeveloper")}</p>
    <${Failure} error=${live.error.value} onRetry=${live.refresh} />
    ${!seen
      ? !live.error.value && html`<${Loading} />`
      : html`
          <ul class="people">
            ${seen.people.map((person) => html`<${PersonPanel} key=${person.name} person=${person} />`)}
          </ul>
          <p class="hint">
            ${t("usage.maxima", { memory: amount(seen.maxima.memory_bytes), cpus: cores(seen.maxima.cpus), pids: seen.maxima.pids, storage: amount(seen.maxima.storage_bytes) })}
          </p>
        `}
  `;
}

/** @param {{ person: Person }} props */
function PersonPanel({ person }) {
  const { name, exempt, servers, memory_bytes: memory, stored_bytes: stored, tokens, writes } = person;
  return html`<li class="panel" data-person=${name}>
    <h2><${Text} text=${name} /> ${exempt && html`<span class="tag">${t("usage.exempt")}</span>`}</h2>
    <dl>
      <${Amount} label=${t("usage.servers")} used=${servers.used} limit=${servers.limit} />
      <${Amount} label=${t("usage.memory")} used=${memory.used} limit=${memory.limit} words=${amount} />
      <${Amount} label=${t("usage.stored")} used=${stored.used} limit=${stored.limit} words=${amount} />
      <${Amount} label=${t("usage.tokens")} used=${tokens.used} limit=${tokens.limit} />
      <${Amount} label=${t("usage.writes")} used=${writes.used} limit=${writes.limit_per_minute} />
    </dl>
  </li>`;
}

/** @param {{ label: string, used: number, limit: number | null, words?: (value: number) => string }} props */
function Amount({ label, used, limit, words = String }) {
  const share = shareOf(used, limit);
  const text = limit === null ? words(used) : t("usage.of", { used: words(used), limit: words(limit) });
  return html`<div data-level=${share?.level}>
    <dt>${label}</dt>
    <dd>${text}${share && html`<progress max="100" value=${share.percent} aria-label=${label}></progress>`}</dd>
  </div>`;
}
