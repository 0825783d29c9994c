// Whom a server belongs to besides its creator.

import { html, useState } from "../../vendor/preact.js";
import { Conflict } from "../../components/conflict.js";
import { Dialog, Failure, Field } from "../../components/controls.js";
import { Icon } from "../../components/icon.js";
import { Text } from "../../components/text.js";
import { ApiError, call, serverPath } from "../../lib/api.js";
import { t } from "../../lib/i18n.js";
import { refreshAll } from "../../lib/live.js";
import { memberProblem } from "../../lib/rules.js";

/** @typedef {import("../../lib/types.js").Server} Server */

/** @param {{ server: Server, onClose: () => void }} props */
export function MembersDialog({ server, onClose }) {
  const [base, setBase] = useState(server);
  const [members, setMembers] = useState(server.members);
  const [name, setName] = useState("");
  const [other, setOther] = useState(/** @type {Server | null} */ (null));
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [isBusy, setBusy] = useState(false);
  const wanted = name.trim();
  const problem = wanted === "" ? null : memberProblem(wanted, members, server.creator);
  // Who writes a name and saves means that name too.
  const whole = wanted === "" ? members : [...members, wanted];
  const isChanged = JSON.stringify(whole) !== JSON.stringify(base.members);

  const add = () => {
    if (wanted === "" || problem) return;
    setMembers(whole);
    setName("");
    setError(null);
  };
  /** @param {Event} [event] */
  const save = async (event) => {
    event?.preventDefault();
    if (problem) return;
    setBusy(true);
    setError(null);
    try {
      await put(base);
      refreshAll();
      onClose();
    } catch (trouble) {
      setError(trouble);
      setBusy(false);
    }
  };
  /** @param {Server} seen */
  const put = async (seen) => {
    try {
      await call("PATCH", serverPath(server.id), { json: { members: whole }, ifMatch: seen.etags.settings });
    } catch (trouble) {
      if (!(trouble instanceof ApiError) || trouble.code !== "precondition_failed") throw trouble;
      /** @type {Server} */
      const now = await call("GET", serverPath(server.id));
      // Another of its settings is nothing to ask about.
      if (JSON.stringify(now.members) === JSON.stringify(seen.members)) return put(now);
      setOther(now);
      throw trouble;
    }
  };
  /** @param {string[]} next */
  const goOn = (next) => {
    if (!other) return;
    setBase(other);
    setMembers(next);
    setOther(null);
    setError(null);
  };
  const merge = () => {
    const theirs = other?.members ?? [];
    const added = members.filter((one) => !base.members.includes(one) && !theirs.includes(one));
    goOn([...theirs.filter((one) => members.includes(one) || !base.members.includes(one)), ...added]);
  };
  return html`<${Dialog} title=${t("members.title")} onClose=${onClose}>
    <form onSubmit=${save}>
      <p>${t("members.lead")}</p>
      ${members.length === 0 && html`<p class="hint">${t("members.none")}</p>`}
      <ul class="members">
        ${members.map(
          (member) => html`<li key=${member} data-member=${member}>
            <${Text} text=${member} />
            <button
              type="button"
              class="button icon-only quiet"
              aria-label=${t("members.remove", { name: member })}
              title=${t("action.remove")}
              onClick=${() => setMembers(members.filter((one) => one !== member))}
            >
              <${Icon} name="trash" />
            </button>
          </li>`,
        )}
      </ul>
      <${Field} label=${t("members.name")} hint=${t("members.hint")} problem=${problem && t(`members.problem.${problem}`)}>
        ${(/** @type {object} */ attributes) => html`<span class="with-button">
          <input
            ...${attributes}
            maxlength="64"
            autocomplete="off"
            value=${name}
            onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setName(event.currentTarget.value)}
            onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
              if (event.key !== "Enter" || wanted === "") return;
              event.preventDefault();
              add();
            }}
          />
          <button type="button" class="button" disabled=${wanted === "" || problem !== null} onClick=${add}><${Icon} name="plus" />${t("members.add")}</button>
        </span>`}
      <//>
      ${other
        ? html`<${Conflict}
            differences=${[{ label: t("members.title"), theirs: other.members.join(", "), mine: whole.join(", ") }]}
            onMerge=${merge}
            onTake=${() => goOn(other.members)}
          />`
        : html`<${Failure} error=${error} />`}
      <footer>
        <button type="button" class="button" onClick=${onClose}>${t("action.cancel")}</button>
        <button type="submit" class="button primary" disabled=${isBusy || !isChanged || problem !== null || other !== null}>${t("action.save")}</button>
      </footer>
    </form>
  <//>`;
}
